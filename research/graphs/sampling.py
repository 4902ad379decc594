"""What is drawn from a graph inside a step, a key a row: neighbours, and nodes that are none."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

Starts = Int[Array, " node+1"]


def sample_neighbours(
  keys: Key[Array, " row"], nodes: Int[Array, " row"], starts: Starts, senders: Int[Array, " edge"], fan_out: int
) -> Int[Array, "row sample"]:
  """`fan_out` neighbours of each node, uniformly, with replacement; a node without any is its own.

  With replacement, unlike Hamilton et al. 2017: the mean over the sample is unbiased either way, shapes are static, and
  a draw costs the same at every degree.

  Args:
    keys: one a row.
    nodes: whose neighbours.
    starts, senders: of `graph.neighbours`.
    fan_out: how many.
  """
  first, degree = starts[nodes], starts[nodes + 1] - starts[nodes]
  draw = lambda key, degree: jax.random.randint(key, (fan_out,), 0, jnp.maximum(degree, 1))
  place = first[:, None] + jax.vmap(draw)(keys, degree)
  neighbours = senders[jnp.minimum(place, len(senders) - 1)]
  return jnp.where(degree[:, None] > 0, neighbours, nodes[:, None])


def sample_non_neighbours(
  keys: Key[Array, " row"], nodes: Int[Array, " row"], starts: Starts, columns: Int[Array, " edge"], count: int
) -> Int[Array, " row"]:
  """One of 0 to `count` - 1 for each row, uniformly among those that are no neighbour of its node; never one that is.

  The r-th of them is r plus the number k of neighbours before it, and that is found by bisection: c_k - k, of the
  sorted neighbours c, never falls.  Where every one is a neighbour, `count` is returned: there is none.

  Args:
    keys: one a row.
    nodes: the nodes.
    starts, columns: the neighbours of node v are `columns[starts[v]:starts[v + 1]]`, ascending, each once.
    count: of what is chosen from.
  """
  first, last = starts[nodes], starts[nodes + 1]
  free = count - (last - first)
  rank = jax.vmap(lambda key, free: jax.random.randint(key, (), 0, jnp.maximum(free, 1)))(keys, free)

  def halve(_, bounds):
    low, high = bounds
    middle = (low + high) // 2
    before = columns[jnp.minimum(middle, len(columns) - 1)] - (middle - first) <= rank
    open_ = low < high
    return jnp.where(open_ & before, middle + 1, low), jnp.where(open_ & ~before, middle, high)

  steps = max(len(columns).bit_length(), 1)
  low, _ = jax.lax.fori_loop(0, steps, halve, (first, last))
  return jnp.where(free > 0, rank + low - first, count)
