"""Devices: the one place that knows how a per-device function is laid over them.

| plan | state | the step |
|---|---|---|
| `jit` | on one device | `jax.jit` |
| `pmap` | replicated, an ordinary global array without a leading device axis | `jax.pmap` over the axis `axes.AXIS` |
| `fsdp` | every large array sharded over the devices | `jax.jit` with `NamedSharding`; the compiler adds collectives |

Where the devices belong to several processes every array is a global one, of which each process holds its devices'
part, and `pmap` is `jit(shard_map)`, whose per-device function is the same: what `jax.pmap` itself returns there is
local to a process, and can neither be donated nor saved.

A feed, the per-step host arrays of a `Dataset`, enters as [steps, batch, ...]: `steps` updates to a dispatch.  Of
several processes each feeds its share of the batch, the rows of its devices.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from research import axes
from research.errors import UserError
from research.metrics import Mean
from research.training.learner import all_finite

GUARD = "guard"  # beside a dispatch's metrics: int32 [2], updates skipped so far, and whether what is watched is finite
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
  def share(self) -> tuple[int, int]:
    """Which part of a batch's rows this process feeds, and of how many: its place among those who own the devices."""
    owners = sorted({device.process_index for device in self.devices})
    return (owners.index(jax.process_index()) if len(owners) > 1 else 0), len(owners)

  @property
  def _global(self) -> bool:
    return self.share[1] > 1

  @functools.cached_property
  def _feed_sharding(self) -> NamedSharding:
    return self._sharding(axes.AXIS) if self._mapped_by_pmap else self._sharding(None, axes.AXIS)

  @property
  def _mapped_by_pmap(self) -> bool:
    return self.mode == "pmap" and not self._global

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
    if self._global:
      return jax.tree.map(lambda x: self._globally(np.asarray(x), self._sharding(), np.shape(x)), tree)
    return jax.device_put(jax.tree.map(np.asarray, tree), self._sharding())

  def place_data(self, resident: Mapping[str, Any], divided: Sequence[str]) -> dict[str, Any]:
    """A data set's arrays: whole on every device, but for those of the names `divided`, see `data_shardings`."""
    shardings = self.data_shardings(resident, divided)
    parts = {name: resident[name] for name in divided if self.mode == "fsdp"}
    place = lambda x, sharding: jax.make_array_from_callback(np.shape(x), sharding, np.asarray(x).__getitem__)
    placed = {name: jax.tree.map(place, tree, shardings[name]) for name, tree in parts.items()}
    rest = {name: tree for name, tree in resident.items() if name not in parts}
    return {**self.place_resident(rest), **placed}

  def data_shardings(self, resident: Mapping[str, Any], divided: Sequence[str]) -> dict[str, Any]:
    """Of every array: under `fsdp` those of `divided` whose first axis the devices divide are laid over them by it."""

    def sharding(name, x):
      many = np.prod(np.shape(x)) >= FSDP_MIN_ELEMENTS and np.shape(x)[0] % len(self.devices) == 0
      return self._sharding(axes.AXIS) if self.mode == "fsdp" and name in divided and many else self._sharding()

    return {name: jax.tree.map(lambda x, name=name: sharding(name, x), tree) for name, tree in resident.items()}

  def place_feed(self, feed):
    """Host arrays [steps, rows, ...] onto the devices, each its part; `rows` are this process's share of the batch."""
    if self._global:
      shape = lambda x: (x.shape[0], x.shape[1] * self.share[1], *x.shape[2:])
      return jax.tree.map(lambda x: self._globally(x, self._feed_sharding, shape(x)), feed)
    if self._mapped_by_pmap:
      feed = jax.tree.map(self._split_batch, feed)
    small = sum(x.nbytes for x in jax.tree.leaves(feed)) < SMALL_FEED
    return _copy_to(self._feed_sharding)(feed) if small else jax.device_put(feed, self._feed_sharding)

  def abstract_data(self, shapes: Mapping[str, Any], divided: Sequence[str]) -> dict[str, Any]:
    """What `place_data` makes of arrays of these shapes."""
    as_placed = lambda x, sharding: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding)
    return jax.tree.map(as_placed, dict(shapes), self.data_shardings(shapes, divided))

  def abstract_resident(self, shapes):
    """What `place_resident` makes of arrays of these shapes: the shapes, with their layout."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._sharding()), shapes)

  def abstract_feed(self, shapes):
    """What `place_feed` makes of host arrays of these shapes: the shapes as they enter the step, with their layout."""
    if self._mapped_by_pmap:
      shapes = jax.eval_shape(functools.partial(jax.tree.map, self._split_batch), shapes)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self._feed_sharding), shapes)

  def _split_batch(self, x):
    """[steps, batch, ...] to [device, steps, share, ...]."""
    steps, batch, count = x.shape[0], x.shape[1], len(self.devices)
    return x.reshape(steps, count, batch // count, *x.shape[2:]).swapaxes(0, 1)

  def place_scalar(self, value, dtype=np.int32):
    return self.place_resident(np.asarray(value, dtype))

  @staticmethod
  def _globally(x: np.ndarray, sharding: NamedSharding, shape: tuple[int, ...]) -> jax.Array:
    """The global array of which this process holds `x`.  (`device_put` would send all of it round to compare it.)"""
    x = x.astype(jax.dtypes.canonicalize_dtype(x.dtype), copy=False)
    return jax.make_array_from_process_local_data(sharding, x, shape)

  def local(self, state):
    """A copy of the state on one device of this process, whole: what reports are made of.  All processes call it."""
    if not self._global:
      return jax.device_put(jax.device_get(state), jax.local_devices()[0])
    whole = jax.jit(lambda tree: tree, out_shardings=self._sharding())(state)
    return jax.tree.map(lambda leaf: leaf.addressable_data(0), whole)

  def compile_update(self, function: Callable, state) -> Callable:
    """`function(state, resident, count, feed) -> state, metrics` over the devices, the state donated."""
    if self._mapped_by_pmap:
      return self._pmap(function, out_axes=(None, None), donate_argnums=(0,))
    if self.mode == "pmap":
      return jax.jit(self._shard_map(function), donate_argnums=(0,))
    # The state leaves the step laid out as it entered, or the next call would find another layout and compile again.
    shardings = jax.tree.map(lambda leaf: leaf.sharding, state)
    # Metrics are fetched by every process, so every process has them whole.
    return jax.jit(function, donate_argnums=(0,), out_shardings=(shardings, self._sharding() if self._global else None))

  def compile_evaluate(self, function: Callable) -> Callable:
    """`function((state, carry), resident, count, feed) -> metrics, carry` over the devices."""
    if self._mapped_by_pmap:
      return self._pmap(function, out_axes=None)
    if self.mode == "pmap":
      return jax.jit(self._shard_map(function))
    return jax.jit(function, out_shardings=self._sharding() if self._global else None)

  def _shard_map(self, function: Callable) -> Callable:
    # check_vma=False: as in pmap, `axes.psum` after `grad` sums gradients once.
    whole, feed = PartitionSpec(), PartitionSpec(None, axes.AXIS)
    specs = (whole, whole, whole, feed)
    return jax.shard_map(function, mesh=self.mesh, in_specs=specs, out_specs=whole, check_vma=False)

  def _pmap(self, function, **options):
    return jax.pmap(function, axis_name=axes.AXIS, in_axes=(None, None, None, 0), devices=self.devices, **options)


@functools.cache
def _copy_to(sharding) -> Callable:
  # A compiled function takes host arrays in a sixth of the time of device_put, at the price of a second copy.
  return jax.jit(lambda feed: feed, out_shardings=sharding)


def _shard_axis(shape: tuple[int, ...], count: int) -> tuple[str | None, ...]:
  """The largest dimension that the devices divide carries the axis; none for small arrays."""
  divisible = [i for i, size in enumerate(shape) if size and size % count == 0]
  if not divisible or np.prod(shape) < FSDP_MIN_ELEMENTS:
    return ()
  best = max(divisible, key=lambda i: shape[i])
  return tuple(axes.AXIS if i == best else None for i in range(len(shape)))


def plan(
  mode: str = "auto",
  num_devices: int = 0,
  *,
  batch_sizes: Mapping[str, int] = MappingProxyType({}),
  devices: Sequence[jax.Device] | None = None,
) -> Plan:
  """The plan for the devices of this process, or of all processes of its job.

  Args:
    mode: one of `MODES`; `auto` is `jit` on one device, else `pmap`.
    num_devices: how many devices to use, 0 for all; of several processes, equally many of each.
    batch_sizes: global batch sizes that the devices must divide, by config field.
    devices: those there are to choose from; by default all of the job's.

  Raises:
    UserError: mode unknown, more devices asked for than there are, or a batch size that the devices do not divide.
  """
  if mode not in MODES:
    raise UserError("config.run.parallelism", mode, f"choose one of {', '.join(MODES)}.")
  devices = _devices(num_devices, jax.devices() if devices is None else devices)
  if mode == "auto":
    mode = "jit" if len(devices) == 1 else "pmap"
  if mode == "jit":
    processes = len({device.process_index for device in devices})
    if processes > 1:
      remedy = f"one device does not serve {processes} processes: choose pmap or fsdp."
      raise UserError("config.run.parallelism", mode, remedy)
    devices = devices[:1]
  for field, size in batch_sizes.items():
    if size % len(devices):
      near = max(1, round(size / len(devices))) * len(devices)
      remedy = f"{len(devices)} devices must divide it: use {near}, or config.run.num_devices that divides {size}."
      raise UserError(field, size, remedy)
  return Plan(mode, devices)


def _devices(count: int, available: Sequence[jax.Device]) -> tuple[jax.Device, ...]:
  """The first devices of every process, one process after the other: each owns adjoining rows of a batch."""
  owners = sorted({device.process_index for device in available})
  processes = len(owners)
  if not 0 <= count <= len(available):
    sees = "this process sees" if processes == 1 else f"these {processes} processes see"
    raise UserError("config.run.num_devices", count, f"{sees} {len(available)}; 0 uses all of them.")
  if count % processes:
    raise UserError("config.run.num_devices", count, f"give a multiple of the {processes} processes: each has a part.")
  owned = [[device for device in available if device.process_index == i] for i in owners]
  each = count // processes or min(map(len, owned))
  if each > min(map(len, owned)):
    remedy = f"the processes have {', '.join(str(len(devices)) for devices in owned)}: each is to give as many."
    raise UserError("config.run.num_devices", count, remedy)
  return tuple(device for devices in owned for device in devices[:each])


def training_dispatch(learner, assemble: Callable, steps: int) -> Callable:
  """`dispatch(state, resident, count, feed) -> state, metrics of the last update`: up to `steps` updates in one call.

  `count` is a device scalar, so one compiled program serves every length up to `steps` and intervals need not be
  multiples of it.  One step needs no loop: XLA's CPU backend runs convolutions several times slower inside one.
  """

  def update(state, batch):
    new, metrics = learner.update(state, batch)
    metrics = axes.psum({**metrics, "skipped": Mean.constant(new.skipped)})
    watched = metrics if learner.watched is None else learner.watched
    finite = all_finite([jnp.where(metrics[name].count > 0, metrics[name].total, 0) for name in watched])
    return new, {**metrics, GUARD: jnp.stack([new.skipped, finite.astype(jnp.int32)])}

  def one(state, resident, feed, i):
    fed = jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, 0, keepdims=False), feed)
    return update(state, assemble(resident, fed))

  def single(state, resident, count, feed):
    del count
    return update(state, assemble(resident, jax.tree.map(lambda x: x[0], feed)))

  def many(state, resident, count, feed):
    step = jax.jit(one, inline=True)  # traced once, for the shapes of its metrics and for the loop
    first = jnp.int32(0)
    shapes = jax.eval_shape(step, state, resident, feed, first)[1]
    nothing = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)
    body = lambda i, carry: step(carry[0], resident, feed, i)
    return jax.lax.fori_loop(first, count, body, (state, nothing))

  return single if steps == 1 else many


def evaluation_dispatch(learner, assemble: Callable) -> Callable:
  """`dispatch((state, carry), resident, count, feed) -> metrics, carry` of one batch, summed over devices.

  The carry is that of `Learner.carry`, whole; None where the learner has none.
  """

  def evaluate(state_and_carry, resident, count, feed):
    del count
    state, carry = state_and_carry
    batch = assemble(resident, jax.tree.map(lambda x: x[0], feed))
    if learner.carry is None:
      return axes.psum(dict(learner.evaluate(state, batch))), None
    metrics, carry = learner.evaluate(state, batch, axes.mine(carry))
    return axes.psum(dict(metrics)), axes.whole(carry)

  return evaluate
