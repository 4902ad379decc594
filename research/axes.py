"""The one named axis over which devices are mapped, the reductions along it, and what is held by rows.

Per-device code calls `psum`, `pmean`, `index` and `size` unconditionally.  Inside a mapped step (pmap, shard_map) they
reduce over devices; under plain `jit`, on one device or with sharded arrays (FSDP), there is no such axis, arrays are
global, and they are the identity, 0 and 1.  So the same `update` serves every way of using devices.
"""

import jax
import jax.numpy as jnp
from jax import lax

AXIS = "devices"


def bound() -> bool:
  """Whether the code being traced runs inside a step mapped over `AXIS`."""
  try:
    lax.axis_index(AXIS)
  except NameError:
    return False
  return True


def psum(tree):
  """Sum of every leaf over the devices."""
  return lax.psum(tree, AXIS) if bound() else tree


def pmean(tree):
  """Mean of every leaf over the devices."""
  return lax.pmean(tree, AXIS) if bound() else tree


def index() -> int | jax.Array:
  """This device's position along the axis."""
  return lax.axis_index(AXIS) if bound() else 0


def size() -> int:
  """Number of devices along the axis."""
  return lax.psum(1, AXIS) if bound() else 1


def mine(tree):
  """This device's rows of arrays that the state holds whole.

  What belongs to a row of the batch and lasts from step to step (the state of a recurrent network, an environment, a
  chain) is held in the state as a global [rows, ...], the same on every device: `mine` cuts it for the step, `whole`
  joins it again.  So a run on four devices, or sharded, is the run on one.

  Args:
    tree: arrays [rows, ...], whose rows the devices divide.

  Returns:
    Arrays [rows / devices, ...]; the tree itself where no axis is bound.

  Raises:
    ValueError: the devices do not divide the rows.
  """
  if not bound():
    return tree
  count = size()

  def cut(x):
    if x.shape[0] % count:
      raise ValueError(f"{count} devices do not divide the {x.shape[0]} rows of a carry {x.shape}")
    return lax.dynamic_slice_in_dim(x, index() * (x.shape[0] // count), x.shape[0] // count)

  return jax.tree.map(cut, tree)


def whole(tree):
  """Arrays [rows, ...] of all devices together, from each one's rows: the inverse of `mine`."""
  if not bound():
    return tree

  def join(x):
    if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
      return lax.all_gather(x, AXIS, tiled=True)
    data = lax.all_gather(jax.random.key_data(x), AXIS, tiled=True)  # collectives know no keys
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(x))

  return jax.tree.map(join, tree)
