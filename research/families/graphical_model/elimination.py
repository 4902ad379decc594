"""Exact inference by variable elimination, in logarithms; everything else that is exact is a derivative of it.

Zhang & Poole 1996 (elimination); Kjærulff 1990 (orders); Darwiche 2003 (marginals as derivatives of log Z); Dechter
1999 (the most probable state, and samples, by going back through the eliminated tables).
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.errors import UserError
from research.families.graphical_model.factors import LOG_ZERO, Scope

LIMIT = 2**26  # entries of one table


class Step(NamedTuple):
  """One variable is summed out.

  Attributes:
    variable: which.
    inputs: the tables that it is in, by their places: factors, then unary ones, then the results of steps.
    scope: of the result.
  """

  variable: int
  inputs: tuple[int, ...]
  scope: Scope


class Plan(NamedTuple):
  """An order of elimination, worked out.

  Attributes:
    cards: states of each variable.
    scopes: of the factors.
    steps: in order.
    kept: variables that are not summed out.
    rest: tables that are left, by their places.
    size: entries of the largest table.
    cost: entries of all tables together.
  """

  cards: tuple[int, ...]
  scopes: tuple[Scope, ...]
  steps: tuple[Step, ...]
  kept: Scope
  rest: tuple[int, ...]
  size: int
  cost: int


class Marginals(NamedTuple):
  """What a derivative of log Z knows.

  Attributes:
    log_partition: log Z, nats: of a Bayesian network, the log-probability of the evidence.
    variables: p(x_i), 0 beyond a variable's states.
    factors: p(x_f), the shape of each factor's table.
  """

  log_partition: Float[Array, ""]
  variables: Float[Array, "variable state"]
  factors: tuple[Float[Array, "..."], ...]


def _min_fill(neighbours, cards, variable):
  others = neighbours[variable]
  return sum(len(others - neighbours[other]) - 1 for other in others), _weight(neighbours, cards, variable)


def _weight(neighbours, cards, variable):
  return math.prod(cards[v] for v in neighbours[variable]) * cards[variable]


ORDERS: dict[str, Callable] = {
  "min_fill": _min_fill,  # edges that elimination would add; of equals, the least table
  "min_weight": lambda *graph: (_weight(*graph), _min_fill(*graph)[0]),  # entries of the table that it would make
}


def plan(
  cards: Sequence[int], scopes: Sequence[Scope], keep: Scope = (), orders: Sequence[str] = tuple(ORDERS)
) -> Plan:
  """The cheapest of the orders that greedy rules find.

  Args:
    cards: states of each variable.
    scopes: of the factors; every variable has a unary one besides.
    keep: variables that are to be left.
    orders: of `ORDERS`.

  Raises:
    UserError: every order makes a table of more than `LIMIT` entries: the graph is too thick.
  """
  plans = [_plan(tuple(cards), tuple(map(tuple, scopes)), tuple(keep), ORDERS[rule]) for rule in orders]
  cheapest = min(plans, key=lambda each: each.cost)
  if cheapest.size > LIMIT:
    remedy = f"at most {LIMIT} are exact in reasonable memory: use belief propagation, mean field or Gibbs."
    raise UserError("entries of the largest table", cheapest.size, remedy)
  return cheapest


def _plan(cards, scopes, keep, rule) -> Plan:
  tables = dict(enumerate([*map(frozenset, scopes), *(frozenset({v}) for v in range(len(cards)))]))
  steps, sizes = [], []
  for place, variable in enumerate(_order(cards, scopes, keep, rule), start=len(tables)):
    inputs = tuple(i for i, scope in tables.items() if variable in scope)
    union = frozenset().union(*(tables.pop(i) for i in inputs))
    sizes.append(math.prod(cards[v] for v in union))
    tables[place] = union - {variable}
    steps.append(Step(variable, inputs, tuple(sorted(tables[place]))))
  left = math.prod(cards[v] for v in keep)
  return Plan(cards, scopes, tuple(steps), keep, tuple(tables), max([left, *sizes]), left + sum(sizes))


def _order(cards, scopes, keep, rule) -> list[int]:
  """Variables, each the best by the rule where it is eliminated; their neighbours are then neighbours of each other."""
  neighbours: list[set[int]] = [set() for _ in cards]
  for scope in scopes:
    for variable in scope:
      neighbours[variable].update(set(scope) - {variable})
  scores = {v: rule(neighbours, cards, v) for v in range(len(cards)) if v not in keep}
  order = []
  while scores:
    best = min(scores, key=lambda v: (scores[v], v))
    order.append(best)
    del scores[best]
    around = neighbours[best]
    for other in around:
      neighbours[other] |= around - {other}
      neighbours[other].discard(best)
    stale = around.union(*(neighbours[other] for other in around)) & scores.keys()
    scores |= {v: rule(neighbours, cards, v) for v in stale}
  return order


def log_joint(
  plan: Plan, tables: Sequence[Float[Array, "..."]], unary: Float[Array, "variable state"]
) -> Float[Array, "..."]:
  """Logarithm of what is left, over `plan.kept` in its order; not normalised.  Of nothing kept it is log Z."""
  live = _eliminated(plan, tables, unary, _logsumexp)[0]
  return _product([live[i] for i in plan.rest], [_scope(plan, i) for i in plan.rest], plan.kept)


def marginals(plan: Plan, tables: Sequence[Float[Array, "..."]], unary: Float[Array, "variable state"]) -> Marginals:
  """All marginals at once: `d log Z / d log ψ(x) = p(x)`, for the price of about three eliminations.

  Args:
    plan: that keeps nothing.
    tables: logarithms, one for each scope.
    unary: evidence; its padding is not looked at.
  """
  value, (factors, variables) = jax.value_and_grad(log_joint, (1, 2))(plan, tuple(tables), unary)
  return Marginals(value, variables, tuple(factors))


def most_probable(
  plan: Plan, tables: Sequence[Float[Array, "..."]], unary: Float[Array, "variable state"]
) -> tuple[Float[Array, ""], Int[Array, " variable"]]:
  """The most probable state of all variables, and the logarithm of its product of factors."""
  live, products = _eliminated(plan, tables, unary, jnp.max)
  value = sum(live[i] for i in plan.rest)
  return value, _back(plan, products, lambda step, logits: jnp.argmax(logits))


def sample(
  plan: Plan, tables: Sequence[Float[Array, "..."]], unary: Float[Array, "variable state"], key: Key[Array, ""]
) -> Int[Array, " variable"]:
  """A state of all variables drawn from p(x | evidence), exactly and independently."""
  products = _eliminated(plan, tables, unary, _logsumexp)[1]
  keys = randomness.place_keys(randomness.stream_key(key, "elimination"), jnp.arange(len(plan.steps)))
  return _back(plan, products, lambda i, logits: jax.random.categorical(keys[i], logits))


def impossible(log_partition: Float[Array, "..."]):
  """Whether evidence has probability 0."""
  return log_partition < LOG_ZERO / 2


def _scope(plan: Plan, place: int) -> Scope:
  factors, variables = len(plan.scopes), len(plan.cards)
  if place < factors:
    return plan.scopes[place]
  return (place - factors,) if place < factors + variables else plan.steps[place - factors - variables].scope


def _eliminated(plan, tables, unary, reduce):
  """All tables by their places, and the product that each step has summed, its variable last."""
  live = [*tables, *(unary[v, :size] for v, size in enumerate(plan.cards))]
  products = []
  for step in plan.steps:
    products.append(
      _product([live[i] for i in step.inputs], [_scope(plan, i) for i in step.inputs], (*step.scope, step.variable))
    )
    live.append(reduce(products[-1], -1))
  return live, products


def _product(tables, scopes, union: Scope):
  """The product of tables over `union`, in logarithms."""
  spread = []
  # The smallest first: they are added among themselves before they are spread.
  for table, scope in sorted(zip(tables, scopes), key=lambda pair: pair[0].size):
    axes = sorted(range(len(scope)), key=lambda i: union.index(scope[i]))
    place = {scope[i]: table.shape[i] for i in axes}
    spread.append(table.transpose(axes).reshape([place.get(v, 1) for v in union]))
  return functools.reduce(jnp.add, spread)


def _logsumexp(table, axis: int):
  """Of finite numbers: without the cases of JAX's own, programs of many steps compile in half the time."""
  peak = jax.lax.stop_gradient(table.max(axis, keepdims=True))
  return jnp.log(jnp.exp(table - peak).sum(axis)) + peak.squeeze(axis)


def _back(plan, products, choose):
  """A state of every variable: the last eliminated first, since no other is in its table."""
  states: dict[int, Array] = {}
  for i, (step, product) in reversed(list(enumerate(zip(plan.steps, products)))):
    states[step.variable] = choose(i, product[tuple(states[v] for v in step.scope)])
  return jnp.stack([states[v] for v in range(len(plan.cards))]).astype(jnp.int32)
