"""A Bayesian network's tables from data, by counts, or by EM where cells are missing; for `statistics_learner`.

Lauritzen 1995 (EM).  The E-step is the derivative of the log-likelihood: expected counts of x_i and its parents are
`Σ_rows ∂ log p(row) / ∂ log p(x_i | parents)`, all at once (Darwiche 2003).

A batch has `states`, int [batch, variable], -1 where missing, and `mask` [batch].
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research import randomness
from research.errors import UserError
from research.families.graphical_model import elimination, factors
from research.metrics import Mean

Tables = tuple[Float[Array, "..."], ...]

DEFINITIONS = {"nll": "negative log-likelihood of a row's cells that are known, nats a row"}


class Family(NamedTuple):
  """The functions of a network; params are logarithms of its tables [state of each parent, ..., own state].

  Attributes:
    init: `init(key, batch) -> params`.
    expect: `expect(params, batch, key) -> (statistics, metrics)`: expected counts, as the tables.
    maximise: `maximise(params, statistics) -> params`.
    evaluate: `evaluate(params, batch) -> metrics`.
    marginals: `marginals(params, states [variable]) -> elimination.Marginals`, given those states that are not -1.
    plan: of the elimination.
  """

  init: Callable[..., Tables]
  expect: Callable[..., Any]
  maximise: Callable[..., Tables]
  evaluate: Callable[..., dict[str, Mean]]
  marginals: Callable[[Tables, Int[Array, " variable"]], elimination.Marginals]
  plan: elimination.Plan


def bayesian_network(
  cards: Sequence[int],
  parents: Sequence[Sequence[int]],
  *,
  prior: float = 0.0,
  complete: bool = False,
  given: Sequence[np.ndarray] | None = None,
) -> Family:
  """A network of these variables and arrows.

  Args:
    cards: states of each variable.
    parents: of each variable.
    prior: pseudo-counts of each cell of each table; 0 is maximum likelihood, where what is never seen is uniform.
    complete: no cell of any batch is missing: likelihoods and counts are looked up, and EM is done after one step.
    given: probabilities to start from; by default they are drawn, uniformly from all distributions, by the run's seed.

  Raises:
    UserError: a prior below 0, or a network that is too thick (`elimination.plan`).
  """
  if prior < 0:
    raise UserError("prior", prior, "give a number of pseudo-counts, 0 or more.")
  scopes = factors.families([tuple(each) for each in parents])
  shapes = [tuple(cards[v] for v in scope) for scope in scopes]
  plan = elimination.plan(cards, scopes)
  # Tables of one shape are drawn, looked up and normalised together: programs are as long as there are shapes.
  groups = [[n for n, shape in enumerate(shapes) if shape == each] for each in dict.fromkeys(shapes)]
  grouped = lambda tables: [(jnp.stack([tables[n] for n in nodes]), nodes) for nodes in groups]

  def ungrouped(stacked):
    tables = {n: group[i] for group, nodes in zip(stacked, groups) for i, n in enumerate(nodes)}
    return tuple(tables[n] for n in range(len(shapes)))

  def init(key, batch):
    del batch
    if given is not None:
      return tuple(factors.log(jnp.asarray(table, jnp.zeros(()).dtype)) for table in given)
    draw = lambda nodes: jax.vmap(lambda key: jax.random.exponential(key, shapes[nodes[0]]))(
      randomness.place_keys(key, np.asarray(nodes))
    )
    # Exponential waiting times, normalised, are uniform on the simplex.
    return ungrouped([_distribution(draw(nodes)) for nodes in groups])

  def log_likelihood(params, states):
    if complete:
      return sum(_looked_up(group, [scopes[n] for n in nodes], states) for group, nodes in grouped(params))
    unary = factors.evidence(cards, states)
    return jax.vmap(lambda row: elimination.log_joint(plan, params, row))(unary)

  def total(params, batch):
    values = log_likelihood(params, batch["states"])
    return jnp.where(batch["mask"] > 0, values * batch["mask"], 0).sum(), values

  def expect(params, batch, key):
    del key
    (_, values), counts = jax.value_and_grad(total, has_aux=True)(params, batch)
    return counts, {"nll": Mean.of(-values, batch["mask"])}

  def maximise(params, statistics):
    del params
    return ungrouped([_distribution(counts + prior) for counts, _ in grouped(statistics)])

  def evaluate(params, batch):
    return {"nll": Mean.of(-log_likelihood(params, batch["states"]), batch["mask"])}

  def marginals(params, states):
    return elimination.marginals(plan, params, factors.evidence(cards, states, params[0].dtype))

  return Family(init, expect, maximise, evaluate, marginals, plan)


def num_parameters(cards: Sequence[int], parents: Sequence[Sequence[int]]) -> int:
  """Numbers that a network's tables are free in."""
  return sum((size - 1) * int(np.prod([cards[p] for p in each])) for size, each in zip(cards, parents))


def _looked_up(
  tables: Float[Array, "node ..."], scopes: Sequence[factors.Scope], states: Int[Array, "batch variable"]
) -> Float[Array, " batch"]:
  """The sum of the entries of several tables of one shape, for each row of states."""
  here = states[:, np.asarray(scopes)]
  return tables[(np.arange(len(scopes)), *jnp.moveaxis(here, -1, 0))].sum(-1)


def _distribution(counts) -> Float[Array, "..."]:
  """Logarithms of shares of the last axis; uniform where nothing was counted."""
  total = counts.sum(-1, keepdims=True)
  share = jnp.where(total > 0, counts / jnp.where(total > 0, total, 1), 1 / counts.shape[-1])
  return factors.log(share)
