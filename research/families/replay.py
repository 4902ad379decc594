"""Experience replay on the device: a ring of transitions for every environment, and a sum tree of their priorities.

The ring is [row, time, ...]: what one environment went through lies in order, so that n-step returns are read off when
a transition is drawn, and none has to be chosen when it is stored.  (Lin 1992; Schaul et al. 2016.)
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int


@struct.dataclass
class Ring:
  """The last transitions of every environment.

  Attributes:
    fields: arrays [row, time, ...] by name.
    written: transitions written to every row so far; the next goes to `written % capacity`.
  """

  fields: Any
  written: Int[Array, ""]

  @property
  def rows(self) -> int:
    return jax.tree.leaves(self.fields)[0].shape[0]

  @property
  def capacity(self) -> int:
    """Of one row."""
    return jax.tree.leaves(self.fields)[0].shape[1]

  @property
  def size(self) -> Int[Array, ""]:
    """Transitions held of every row."""
    return jnp.minimum(self.written, self.capacity)


def ring(example: Any, rows: int, capacity: int) -> Ring:
  """An empty ring for transitions like `example`, a tree of arrays or shapes without leading axes."""
  fields = jax.tree.map(lambda x: jnp.zeros((rows, capacity, *x.shape), x.dtype), example)
  return Ring(fields, jnp.zeros((), jnp.int32))


def write(ring: Ring, block: Any) -> Ring:
  """The ring after `block`, arrays [row, count, ...] in order of time; `count` divides the capacity."""
  count = jax.tree.leaves(block)[0].shape[1]
  if ring.capacity % count:
    raise ValueError(f"a ring of {ring.capacity} steps is not written {count} at a time")
  start = ring.written % ring.capacity
  put = lambda old, new: jax.lax.dynamic_update_slice_in_dim(old, new.astype(old.dtype), start, axis=1)
  return Ring(jax.tree.map(put, ring.fields, block), ring.written + count)


class Window(NamedTuple):
  """Steps t to t + n - 1 of one episode, of each of a batch of drawn transitions.

  Attributes:
    first: the fields of step t [batch, ...].
    last: those of the last step that counts: t + n - 1, or the episode's last before it.
    reward: discounted sum of the rewards from t to the last step [batch].
    discount: what the value after the last step weighs: γ^steps, 0 where the episode terminated [batch].
  """

  first: Any
  last: Any
  reward: Float[Array, " batch"]
  discount: Float[Array, " batch"]


def uniform(ring: Ring, keys, steps: int) -> tuple[Int[Array, " batch"], Int[Array, " batch"]]:
  """(row, place) of one transition for each key, all that have `steps` steps behind them equally likely."""

  def draw(key):
    row_key, time_key = jax.random.split(key)
    row = jax.random.randint(row_key, (), 0, ring.rows)
    age = jax.random.randint(time_key, (), 0, jnp.maximum(ring.size - steps + 1, 1))
    return row, (ring.written - ring.size + age) % ring.capacity

  return jax.vmap(draw)(keys)


def window(ring: Ring, row: Int[Array, " batch"], place: Int[Array, " batch"], steps: int, discount: float) -> Window:
  """The n-step return from each drawn transition (Sutton 1988), which stops at the end of its episode.

  The fields must hold `reward`, `terminated` and `truncated`.
  """
  at = lambda places: jax.tree.map(lambda field: field[row, places], ring.fields)
  total, weight = jnp.zeros(len(row)), jnp.ones(len(row))
  going, last_place = jnp.ones(len(row), bool), place
  for i in range(steps):
    here = (place + i) % ring.capacity
    reward, terminated, truncated = (ring.fields[n][row, here] for n in ("reward", "terminated", "truncated"))
    total += jnp.where(going, weight * reward, 0)
    weight = jnp.where(going, weight * discount * (1 - terminated), weight)
    last_place = jnp.where(going, here, last_place)
    going &= ~(terminated | truncated)
  return Window(at(place), at(last_place), total, weight)


# Priorities.  A heap: node i has children 2i and 2i + 1, the leaves are the second half, node 1 holds the sum of all.


def tree(leaves: int) -> Float[Array, " node"]:
  """A sum tree of at least `leaves` leaves, all 0."""
  return jnp.zeros(2 * (1 << max(leaves - 1, 1).bit_length()))


def update(tree: Float[Array, " node"], leaf: Int[Array, " batch"], value: Float[Array, " batch"]):
  """The tree with new values at some leaves.  A leaf that is named twice must be given the same value twice."""
  half = len(tree) // 2
  node = leaf + half
  tree = tree.at[node].set(value)
  for _ in range(half.bit_length() - 1):
    node //= 2
    tree = tree.at[node].set(tree[2 * node] + tree[2 * node + 1])
  return tree


def find(tree: Float[Array, " node"], mass: Float[Array, " batch"]) -> Int[Array, " batch"]:
  """The leaf at which the running sum of all leaves first exceeds `mass`, in [0, sum of all)."""
  half = len(tree) // 2
  node = jnp.ones(mass.shape, jnp.int32)
  for _ in range(half.bit_length() - 1):
    left = tree[2 * node]
    # Rounding may leave more mass than a subtree holds: never go where nothing is.
    right = (mass >= left) & (tree[2 * node + 1] > 0)
    mass = jnp.where(right, mass - left, mass)
    node = 2 * node + right
  return node - half
