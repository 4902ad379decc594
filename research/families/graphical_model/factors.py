"""Factors over discrete variables, and evidence: what every kind of inference takes.

A model is `p(x) ∝ ∏_f ψ_f(x_f) ∏_i φ_i(x_i)`.  Tables are logarithms; `unary` holds log φ [variable, state] of all
variables, padded to the largest number of states.  Evidence, hard or soft, is in `unary`.

What cannot be is `LOG_ZERO`, a finite number: differences and gradients of it exist, and its exponential is exactly 0.
"""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Int

LOG_ZERO = -1e30
Scope = tuple[int, ...]


class FactorGraph(NamedTuple):
  """Which variables which factors are of; factors of equal shapes are in one group, and computed together.

  Attributes:
    cards: states of each variable.
    groups: of each group, the scopes of its factors.  The tables of a group are one array [factor, state, ...].
  """

  cards: tuple[int, ...]
  groups: tuple[tuple[Scope, ...], ...]

  @property
  def scopes(self) -> tuple[Scope, ...]:
    """Of all factors, group after group."""
    return tuple(itertools.chain.from_iterable(self.groups))

  @property
  def valid(self) -> Bool[np.ndarray, "variable state"]:
    """Which places of `unary` are states."""
    return np.arange(max(self.cards)) < np.asarray(self.cards)[:, None]

  def within(self, unary: Float[Array, "variable state"]) -> Float[Array, "variable state"]:
    """`unary`, `LOG_ZERO` beyond a variable's states."""
    return jnp.where(self.valid, unary, LOG_ZERO)

  def flat(self, tables: Sequence[Float[Array, "factor ..."]]) -> list[Float[Array, "..."]]:
    """Tables one by one, in the order of `scopes`."""
    return [group[i] for group in tables for i in range(group.shape[0])]


def grouped(
  cards: Sequence[int], scopes: Sequence[Scope], tables: Sequence[Float[Array, "..."]]
) -> tuple[FactorGraph, tuple[Float[Array, "factor ..."], ...]]:
  """The graph of factors that are given one by one, and its tables by groups."""
  members: dict[tuple[int, ...], list[int]] = {}
  for i, scope in enumerate(scopes):
    members.setdefault(tuple(cards[v] for v in scope), []).append(i)
  groups = tuple(tuple(tuple(scopes[i]) for i in each) for each in members.values())
  stacked = tuple(jnp.stack([tables[i] for i in each]) for each in members.values())
  return FactorGraph(tuple(cards), groups), stacked


def log(probabilities) -> Float[Array, "..."]:
  """Logarithms, `LOG_ZERO` of 0."""
  positive = probabilities > 0
  return jnp.where(positive, jnp.log(jnp.where(positive, probabilities, 1)), LOG_ZERO)


def evidence(
  cards: Sequence[int], states: Int[ArrayLike, "*batch variable"], dtype=None
) -> Float[Array, "*batch variable state"]:
  """`unary` of states that are known, and of those that are not, which are below 0."""
  states, places = jnp.asarray(states), np.arange(max(cards))
  allowed = ((states[..., None] < 0) | (states[..., None] == places)) & (places < np.asarray(cards)[:, None])
  dtype = dtype or jnp.zeros(()).dtype
  return jnp.where(allowed, jnp.zeros((), dtype), jnp.asarray(LOG_ZERO, dtype))


def families(parents: Sequence[Scope]) -> tuple[Scope, ...]:
  """Scopes of the factors p(x_i | parents) of a Bayesian network: the parents, then the variable itself."""
  return tuple((*each, node) for node, each in enumerate(parents))


def ising(
  height: int, width: int, coupling: float, dtype=None
) -> tuple[FactorGraph, tuple[Float[Array, "factor 2 2"]]]:
  """The grid of spins -1 and 1 (states 0 and 1), with `log ψ(s, t) = coupling s t` for neighbours; row by row."""
  place = np.arange(height * width).reshape(height, width)
  pairs = np.concatenate(
    [np.stack([place[:, :-1].ravel(), place[:, 1:].ravel()], 1), np.stack([place[:-1].ravel(), place[1:].ravel()], 1)]
  )
  spins = jnp.asarray([-1.0, 1.0], dtype)
  tables = jnp.broadcast_to(coupling * spins[:, None] * spins, (len(pairs), 2, 2))
  return FactorGraph((2,) * (height * width), (tuple(map(tuple, pairs.tolist())),)), (tables,)


def colours(graph: FactorGraph) -> Int[np.ndarray, " variable"]:
  """Greedy colours: variables of one colour share no factor, so that they can be updated at the same time."""
  neighbours: list[set[int]] = [set() for _ in graph.cards]
  for scope in graph.scopes:
    for variable in scope:
      neighbours[variable].update(scope)
  colour_of = np.full(len(graph.cards), -1)
  for variable, others in enumerate(neighbours):
    taken = {colour_of[other] for other in others if other != variable}
    colour_of[variable] = next(colour for colour in itertools.count() if colour not in taken)
  return colour_of


def sums(
  graph: FactorGraph, of_slots: Sequence[Sequence[Float[Array, "factor state"]]], unary: Float[Array, "variable state"]
) -> Float[Array, "variable state"]:
  """`unary` and what every slot of every factor says to the variable there: `of_slots[group][slot]`."""
  for scopes, slots in zip(graph.groups, of_slots):
    variables = np.asarray(scopes)
    for slot, message in enumerate(slots):
      unary = unary.at[variables[:, slot], : message.shape[1]].add(message)
  return unary
