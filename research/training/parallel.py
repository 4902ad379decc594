"""Devices: the one place that knows how a per-device function is laid over them.

| plan | state | the step |
|---|---|---|
| `jit` | on one device | `jax.jit` |
| `pmap` | replicated, an ordinary global array without a leading device axis | `jax.pmap` over the axis `axes.AXIS` |
| `fsdp` | every large array sharded over the devices | `jax.jit` with `NamedSharding`; the compiler adds collectives |

A feed, the per-step host arrays of a `Dataset`, enters as [steps, batch, ...]: `steps` updates to a dispatch.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from research import axes
from research.errors import UserError
from research.metrics import Mean
from research.training.learner import all_finite

GUARD = "guard"  # beside a dispatch's metrics: int32 [2], updates skipped so far, and whether the metrics are finite
MODES = ("auto", "jit", "pmap", "fsdp")
# Arrays smaller than this stay whole on every device: gathering them costs more than it saves.
FSDP_MIN_ELEMENTS = 1024
SMALL_FEED = 2**16  # bytes of a feed below which the time to place it is all overhead


@dataclasses.dataclass(frozen=True)
class Plan:
  """How a run uses its devices; made by `plan`."""

  mode: str
  devices: tuple[jax.Device, ...]

  @functools.cached_property
  def mesh(self) -> Mesh:
    return Mesh(np.asarray(self.devices), (axes.AXIS,))

  def _sharding(self, *spec) -> NamedSharding:
    return NamedSharding(self.mesh, PartitionSpec(*spec))

  @functools.cached_property
  def _feed_sharding(self) -> NamedSharding:
    return self._sharding(axes.AXIS) if self.mode == "pmap" else self._sharding(None, axes.AXIS)

  def state_shardings(self, abstract_state):
    """Sharding of every leaf of a state, from its shapes: what a checkpoint is restored into."""
    if self.mode != "fsdp":
      return jax.tree.map(lambda _: self._sharding(), abstract_state)
    return jax.tree.map(lambda leaf: self._sharding(*_shard_axis(leaf.shape, len(self.devices))), abstract_state)

  def init(self, function: Callable, *args):
    """`function(*args)` compiled, its result a state laid out by this plan."""
    shardings = self.state_shardings(jax.eval_shape(function, *args))
    return jax.jit(function, out_shardings=shardings)(*args)

  def place_resident(self, tree):
    """Host arrays onto every device, whole.  From host memory: device arrays would be aliased (lost to donation)."""
    return jax.device_put(jax.tree.map(np.asarray, tree), self._sharding())

  def place_feed(self, feed):
    """Host arrays [steps, batch, ...] onto the devices, each its share of the batch."""
    if self.mode == "pmap":
      feed = jax.tree.map(self._split_batch, feed)
    small = sum(x.nbytes for x in jax.tree.leaves(feed)) < SMALL_FEED
    return self._copy(feed) if small else jax.device_put(feed, self._feed_sharding)

  @functools.cached_property
  def _copy(self) -> Callable:
    # A compiled function takes host arrays in a sixth of the time of device_put, at the price of a second copy.
    return jax.jit(lambda feed: feed, out_shardings=self._feed_sharding)

  def _split_batch(self, x):
    """[steps, batch, ...] to [device, steps, share, ...]."""
    steps, batch, count = x.shape[0], x.shape[1], len(self.devices)
    return np.moveaxis(x.reshape(steps, count, batch // count, *x.shape[2:]), 1, 0)

  def place_scalar(self, value, dtype=np.int32):
    return jax.device_put(np.asarray(value, dtype), self._sharding())

  def compile_update(self, function: Callable, state) -> Callable:
    """`function(state, resident, count, feed) -> state, metrics` over the devices, the state donated."""
    if self.mode == "pmap":
      return self._pmap(function, out_axes=(None, None), donate_argnums=(0,))
    # The state leaves the step laid out as it entered, or the next call would find another layout and compile again.
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    return jax.jit(function, donate_argnums=(0,), out_shardings=(shardings, None))

  def compile_evaluate(self, function: Callable) -> Callable:
    """`function(state, resident, count, feed) -> metrics` over the devices."""
    if self.mode == "pmap":
      return self._pmap(function, out_axes=None)
    return jax.jit(function)

  def _pmap(self, function, **options):
    return jax.pmap(function, axis_name=axes.AXIS, in_axes=(None, None, None, 0), devices=self.devices, **options)


def _shard_axis(shape: tuple[int, ...], count: int) -> tuple[str | None, ...]:
  """The largest dimension that the devices divide carries the axis; none for small arrays."""
  divisible = [i for i, size in enumerate(shape) if size and size % count == 0]
  if not divisible or np.prod(shape) < FSDP_MIN_ELEMENTS:
    return ()
  best = max(divisible, key=lambda i: shape[i])
  return tuple(axes.AXIS if i == best else None for i in range(len(shape)))


def plan(mode: str = "auto", num_devices: int = 0, *, batch_sizes: Mapping[str, int] = MappingProxyType({})) -> Plan:
  """The plan for this process.

  Args:
    mode: one of `MODES`; `auto` is `jit` on one device, else `pmap`.
    num_devices: how many devices to use, 0 for all.
    batch_sizes: global batch sizes that the devices must divide, by config field.

  Raises:
    UserError: mode unknown, more devices asked for than there are, or a batch size that the devices do not divide.
  """
  if mode not in MODES:
    raise UserError("config.run.parallelism", mode, f"choose one of {', '.join(MODES)}.")
  available = jax.local_devices()
  if not 0 <= num_devices <= len(available):
    raise UserError("config.run.num_devices", num_devices, f"this process sees {len(available)}; 0 uses all of them.")
  devices = tuple(available[: num_devices or len(available)])
  if mode == "auto":
    mode = "jit" if len(devices) == 1 else "pmap"
  if mode == "jit":
    devices = devices[:1]
  for field, size in batch_sizes.items():
    if size % len(devices):
      near = max(1, round(size / len(devices))) * len(devices)
      remedy = f"{len(devices)} devices must divide it: use {near}, or config.run.num_devices that divides {size}."
      raise UserError(field, size, remedy)
  return Plan(mode, devices)


def training_dispatch(learner, assemble: Callable, steps: int) -> Callable:
  """`dispatch(state, resident, count, feed) -> state, metrics of the last update`: up to `steps` updates in one call.

  `count` is a device scalar, so one compiled program serves every length up to `steps` and intervals need not be
  multiples of it.  One step needs no loop: XLA's CPU backend runs convolutions several times slower inside one.
  """

  def update(state, batch):
    new, metrics = learner.update(state, batch)
    metrics = axes.psum({**metrics, "skipped": Mean.constant(new.skipped)})
    finite = all_finite([m.total for m in metrics.values()])
    return new, {**metrics, GUARD: jnp.stack([new.skipped, finite.astype(jnp.int32)])}

  def one(state, resident, feed, i):
    fed = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, 0, keepdims=False), feed)
    return update(state, assemble(resident, fed))

  def single(state, resident, count, feed):
    del count
    return update(state, assemble(resident, jax.tree.map(lambda x: x[0], feed)))

  def many(state, resident, count, feed):
    shapes = jax.eval_shape(lambda: one(state, resident, feed, 0)[1])
    nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    body = lambda i, carry: one(carry[0], resident, feed, i)
    return jax.lax.fori_loop(0, count, body, (state, nothing))

  return single if steps == 1 else many


def evaluation_dispatch(learner, assemble: Callable) -> Callable:
  """`dispatch(state, resident, count, feed) -> metrics` of one batch, summed over devices."""

  def evaluate(state, resident, count, feed):
    del count
    fed = jax.tree.map(lambda x: x[0], feed)
    return axes.psum(dict(learner.evaluate(state, assemble(resident, fed))))

  return evaluate
