"""Naive mean field: the product of independent distributions that is nearest, by coordinate ascent on a bound of log Z.

Saul, Jaakkola & Jordan 1996; Wainwright & Jordan 2008, section 5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from research.families.graphical_model import factors
from research.families.graphical_model.factors import FactorGraph


class MeanField(NamedTuple):
  """A product of distributions.

  Attributes:
    variables: q(x_i), 0 beyond a variable's states.
    bound: of log Z, from below, nats, after each sweep.
  """

  variables: Float[Array, "variable state"]
  bound: Float[Array, " sweep"]


def start(graph: FactorGraph, unary: Float[Array, "variable state"]) -> Float[Array, "variable state"]:
  """What the unary factors say alone."""
  return jax.nn.softmax(graph.within(unary), -1)


def sweep(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  q: Float[Array, "variable state"],
) -> Float[Array, "variable state"]:
  """Every variable once, a colour at a time: the bound never falls.

  What the model says cannot be (`LOG_ZERO` in a table of several variables) drives q to one of the states that can, at
  once: of deterministic tables mean field is a poor approximation.
  """
  unary = graph.within(unary)
  colour = factors.colours(graph)
  for each in range(colour.max() + 1):
    expected = factors.sums(graph, [_of_slots(graph, i, tables[i], q) for i in range(len(tables))], unary)
    q = jnp.where((colour == each)[:, None], jax.nn.softmax(expected, -1), q)
  return q


def bound(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  q: Float[Array, "variable state"],
) -> Float[Array, ""]:
  """`E_q[log p̃(x)] + H(q) <= log Z`, nats."""
  total = (q * jnp.where(q > 0, unary, 0)).sum() - (q * jnp.log(jnp.where(q > 0, q, 1))).sum()
  for i, table in enumerate(tables):
    first = _of_slots(graph, i, table, q)[0]
    total += (first * _slots(graph, i, q)[0]).sum()
  return total


def run(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  *,
  sweeps: int = 50,
) -> MeanField:
  """So many sweeps from `start`."""

  def step(q, _):
    q = sweep(graph, tables, unary, q)
    return q, bound(graph, tables, unary, q)

  return MeanField(*jax.lax.scan(step, start(graph, unary), length=sweeps))


def _slots(graph, group: int, q):
  """q of the variables in each slot of a group's factors."""
  variables = np.asarray(graph.groups[group])
  return [q[variables[:, slot], : graph.cards[variables[0, slot]]] for slot in range(variables.shape[1])]


def _of_slots(graph, group: int, table, q):
  """`E[log ψ]` for each state of each slot, the others being as q has them."""
  slots, axes = _slots(graph, group, q), list(range(1, table.ndim))
  expected = []
  for slot in range(len(slots)):
    others = [operand for i, each in enumerate(slots) if i != slot for operand in (each, [0, i + 1])]
    expected.append(jnp.einsum(table, [0, *axes], *others, [0, slot + 1]))
  return expected
