"""Loopy belief propagation: sum-product, exact on trees; its fixed points are those of Bethe's free energy.

Pearl 1988; Kschischang, Frey & Loeliger 2001; Yedidia, Freeman & Weiss 2005 (Bethe).
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research.families.graphical_model import factors
from research.families.graphical_model.factors import FactorGraph

Messages = tuple[tuple[Float[Array, "factor state"], ...], ...]


class Beliefs(NamedTuple):
  """What messages say.

  Attributes:
    variables: p(x_i), 0 beyond a variable's states.
    factors: p(x_f), as the tables.
    log_partition: minus Bethe's free energy, nats; on trees log Z, where the messages have converged.
    residual: largest change of a message, nats, in the last iteration.
    iterations: that were done.
  """

  variables: Float[Array, "variable state"]
  factors: tuple[Float[Array, "factor ..."], ...]
  log_partition: Float[Array, ""]
  residual: Float[Array, ""]
  iterations: Int[Array, ""]


def start(graph: FactorGraph, dtype=None) -> Messages:
  """Messages that say nothing: [group][slot], each [factor, state]."""
  return tuple(
    tuple(jnp.zeros((len(scopes), graph.cards[variable]), dtype) for variable in scopes[0]) for scopes in graph.groups
  )


def iterate(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  messages: Messages,
  damping: float = 0.0,
) -> tuple[Messages, Float[Array, ""]]:
  """All messages from factors to variables, anew and at once (flooding), and the largest change of one.

  Args:
    graph, tables, unary: the model.
    messages: logarithms, the largest of each 0.
    damping: share of the old message that is kept, 0 to below 1.
  """
  incoming = _to_factors(graph, unary, messages)
  new, change = [], jnp.zeros((), unary.dtype)
  for table, arriving, old in zip(tables, incoming, messages):
    slots = []
    for slot, before in enumerate(old):
      joint = _joint(table, [message for i, message in enumerate(arriving) if i != slot], slot)
      axes = tuple(axis for axis in range(1, table.ndim) if axis != slot + 1)
      outgoing = _normalised(jax.nn.logsumexp(joint, axes) if axes else joint)
      slots.append((1 - damping) * outgoing + damping * before)
      change = jnp.maximum(change, jnp.abs(jnp.exp(slots[-1]) - jnp.exp(before)).max())
    new.append(tuple(slots))
  return tuple(new), change


def run(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  *,
  iterations: int = 200,
  tolerance: float = 1e-9,
  damping: float = 0.0,
) -> Beliefs:
  """Iterations until no message changes by more than `tolerance`, or `iterations` are done: see `Beliefs.residual`."""

  def wanted(carry):
    return (carry[1] > tolerance) & (carry[2] < iterations)

  def step(carry):
    messages, change = iterate(graph, tables, unary, carry[0], damping)
    return messages, change, carry[2] + 1

  infinite = jnp.asarray(jnp.inf, unary.dtype)
  messages, change, count = jax.lax.while_loop(wanted, step, (start(graph, unary.dtype), infinite, jnp.zeros((), int)))
  return beliefs(graph, tables, unary, messages)._replace(residual=change, iterations=count)


def beliefs(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  messages: Messages,
) -> Beliefs:
  """Marginals and Bethe's free energy (Yedidia et al., eq. 37) by messages."""
  variables = of_variables(graph, unary, messages)
  entropy = _entropy(variables, (1,))
  degree = np.bincount([v for scope in graph.scopes for v in scope], minlength=len(graph.cards))
  total = (variables * jnp.where(variables > 0, unary, 0)).sum() - ((degree - 1) * entropy).sum()
  of_factors = []
  for table, arriving in zip(tables, _to_factors(graph, unary, messages)):
    axes = tuple(range(1, table.ndim))
    joint = _joint(table, arriving, None)
    joint = jnp.exp(joint - jax.nn.logsumexp(joint, axes, keepdims=True))
    total += (joint * jnp.where(joint > 0, table, 0)).sum() + _entropy(joint, axes).sum()
    of_factors.append(joint)
  zero = jnp.zeros(())
  return Beliefs(variables, tuple(of_factors), total, zero, jnp.zeros((), int))


def of_variables(
  graph: FactorGraph, unary: Float[Array, "variable state"], messages: Messages
) -> Float[Array, "variable state"]:
  """p(x_i) by messages."""
  return jax.nn.softmax(factors.sums(graph, messages, graph.within(unary)), -1)


def _to_factors(graph, unary, messages):
  """What each variable has heard from elsewhere, by groups and slots as the messages."""
  totals = factors.sums(graph, messages, graph.within(unary))
  return [
    [
      _normalised(totals[np.asarray(scopes)[:, slot], : message.shape[1]] - message)
      for slot, message in enumerate(slots)
    ]
    for scopes, slots in zip(graph.groups, messages)
  ]


def _joint(table, arriving, skipped: int | None):
  """The table and the messages of all its slots but one."""
  places = [slot for slot in range(table.ndim - 1) if slot != skipped]
  for slot, message in zip(places, arriving):
    shape = [message.shape[0]] + [1] * (table.ndim - 1)
    shape[slot + 1] = message.shape[1]
    table = table + message.reshape(shape)
  return table


def _normalised(message):
  """The largest is 0; what cannot be is kept within range, so that what was added to it can be taken away again."""
  floor = float(np.log(np.finfo(message.dtype).tiny))
  return jnp.maximum(message - message.max(-1, keepdims=True), floor)


def _entropy(p, axes):
  return -(p * jnp.log(jnp.where(p > 0, p, 1))).sum(axes)
