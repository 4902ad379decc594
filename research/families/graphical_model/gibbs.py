"""Gibbs sampling of discrete variables, those that share no factor at the same time.

Geman & Geman 1984; Gonzalez, Low, Gretton & Guestrin 2011 (by colours).  Where tables hold zeros a chain may be unable
to leave a state, and what it says is then not p: use elimination, or tables without.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.families.graphical_model import factors
from research.families.graphical_model.factors import FactorGraph


def start(unary: Float[Array, "variable state"], graph: FactorGraph, key: Key[Array, ""]) -> Int[Array, " variable"]:
  """States drawn from the unary factors alone."""
  return jax.random.categorical(randomness.stream_key(key, "start"), graph.within(unary)).astype(jnp.int32)


def sweep(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  states: Int[Array, " variable"],
  key: Key[Array, ""],
) -> Int[Array, " variable"]:
  """One transition of a chain: every variable drawn once, given all others.

  Args:
    graph, tables, unary: the model.
    states: of the chain; `jax.vmap` for many.
    key: of this chain at this step.
  """
  colour = factors.colours(graph)
  for each in range(colour.max() + 1):
    logits = conditionals(graph, tables, unary, states)
    resampled = jax.random.categorical(jax.random.fold_in(key, each), logits).astype(jnp.int32)
    states = jnp.where(colour == each, resampled, states)
  return states


def conditionals(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  states: Int[Array, " variable"],
) -> Float[Array, "variable state"]:
  """Logits of every variable given all others."""
  messages = []
  for scopes, table in zip(graph.groups, tables):
    variables = np.asarray(scopes)
    here, rows = states[variables], jnp.arange(len(scopes))
    # With the axis of the free slot last, the others are indexed.
    messages.append(
      [
        jnp.moveaxis(table, slot + 1, -1)[(rows, *(here[:, i] for i in range(here.shape[1]) if i != slot))]
        for slot in range(variables.shape[1])
      ]
    )
  return factors.sums(graph, messages, graph.within(unary))


def log_density(
  graph: FactorGraph,
  tables: Sequence[Float[Array, "factor ..."]],
  unary: Float[Array, "variable state"],
  states: Int[Array, " variable"],
) -> Float[Array, ""]:
  """log p(x) but for log Z, nats."""
  total = jnp.take_along_axis(unary, states[:, None], 1).sum()
  for scopes, table in zip(graph.groups, tables):
    here = states[np.asarray(scopes)]
    total += table[(jnp.arange(len(scopes)), *here.T)].sum()
  return total
