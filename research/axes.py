"""The one named axis over which devices are mapped, and the reductions along it.

Per-device code calls `psum`, `pmean`, `index` and `size` unconditionally.  Inside a mapped step (pmap, shard_map) they
reduce over devices; under plain `jit`, on one device or with sharded arrays (FSDP), there is no such axis, arrays are
global, and they are the identity, 0 and 1.  So the same `update` serves every way of using devices.
"""

import jax
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
