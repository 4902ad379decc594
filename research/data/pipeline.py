"""Builders of `Dataset`: in memory or streamed, shuffled for training or in order for evaluation.

Whether examples live on the device, in host memory or on disk changes nothing in what a batch holds: one `Order` says
which example stands where, for all of them.
"""

import functools
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research.data.dataset import Batch, Dataset, Source
from research.errors import UserError

Record = Mapping[str, Any]
Transform = Callable[[Record, np.random.Generator], Mapping[str, Any]]
Assemble = Callable[[Mapping[str, Any], Mapping[str, Any]], Batch]

# Chunks of a streamed batch that one thread reads: few enough to share a batch among threads, and enough of them that
# the hand-over between threads (about 100 us) is small beside decoding.
_CHUNK = 32


class Order:
  """Which example stands at which position of an endless sequence of epochs: a pure function of (seed, position).

  Position p belongs to epoch e = p // num_examples and holds example `permutation_e[p % num_examples]`, where
  `permutation_e` depends on the seed and e alone.  Epochs follow one another without a gap, so that every example is
  seen exactly once an epoch whatever the batch size, and nothing is dropped.  Safe to call from several threads.
  """

  def __init__(self, num_examples: int, seed: int):
    self.num_examples = num_examples

    # Two epochs: a batch that crosses a boundary needs both.
    @functools.lru_cache(maxsize=2)
    def permutation(epoch: int) -> Int[np.ndarray, " example"]:
      bits = np.random.Philox(key=np.array([seed, epoch], np.uint64))
      return np.random.Generator(bits).permutation(num_examples).astype(np.int32)

    self._permutation = permutation

  def __call__(self, start: int, count: int) -> Int[np.ndarray, " count"]:
    """The examples at positions `start` to `start + count - 1`."""
    epoch, offset = divmod(start, self.num_examples)
    if offset + count <= self.num_examples:
      return self._permutation(epoch)[offset : offset + count]
    parts = []
    while count > 0:
      parts.append(self._permutation(epoch)[offset : offset + count])
      count -= len(parts[-1])
      epoch, offset = epoch + 1, 0
    return np.concatenate(parts)

  def epochs(self, start: int, count: int) -> dict[str, Int[np.ndarray, " count"]]:
    """The field `epoch` of these positions."""
    return {"epoch": (np.arange(start, start + count) // self.num_examples).astype(np.int32)}


def in_order(num_examples: int, start: int, count: int) -> dict[str, np.ndarray]:
  """Positions `start` to `start + count - 1` of a single pass: `index`, and `mask`, which is 0 beyond the end.

  Padding repeats example 0: a valid one, so that nothing that is computed of it is out of range; the mask discards it.
  """
  index = np.arange(start, start + count)
  real = index < num_examples
  return {"index": np.where(real, index, 0).astype(np.int32), "mask": real.astype(np.float32)}


def rows(resident: Mapping[str, Array], fed: Mapping[str, Array]) -> dict[str, Array]:
  """The default `assemble`: resident rows at `fed['index']` beside the fed ones; `mask` is ones where none is fed.

  `index` itself becomes a field of the batch where `epoch` is one: see `identify` of `shuffled`.
  """
  fed = dict(fed)
  index = fed.get("index") if "epoch" in fed else fed.pop("index", None)
  batch = (
    {} if index is None else {name: jnp.take(value, index, axis=0, mode="clip") for name, value in resident.items()}
  )
  batch |= fed
  if "mask" not in batch:
    batch["mask"] = jnp.ones(len(next(iter(batch.values()))), jnp.float32)
  return batch


def normalised(mean=None, std=None, field: str = "inputs") -> Assemble:
  """`rows`, with `field` as float32: `(x - mean) / std`, where bytes count as `x / 255`.

  Args:
    mean, std: what to subtract and divide by, a number or one a channel, in the unit of the *scaled* pixels (0 to 1) if
      the field is uint8, else of the field itself.  Neither: bytes become 0 to 1, floats stay as they are.
    field: the field of the batch to normalise; others are untouched.
  """
  mean, std = np.float32(0 if mean is None else mean), np.float32(1 if std is None else std)

  def assemble(resident: Mapping[str, Array], fed: Mapping[str, Array]) -> dict[str, Array]:
    batch = rows(resident, fed)
    values = batch[field]
    unit = np.float32(255 if values.dtype == jnp.uint8 else 1)
    # One product and one sum per element: the constants are folded here, not by the compiler.
    batch[field] = values.astype(jnp.float32) * (1 / (unit * std)) - mean / std
    return batch

  return assemble


def statistics(inputs: np.ndarray) -> tuple[Float[np.ndarray, " channel"], Float[np.ndarray, " channel"]]:
  """Mean and standard deviation of every channel (the last axis), over the examples, as `normalised` takes them.

  A channel that never varies has standard deviation 1: it is to be centred, not divided by zero.
  """
  channels = inputs.shape[-1]
  if inputs.dtype == np.uint8:
    values = np.arange(256) / 255
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(inputs), 4096):  # bincount makes integers eight times as large
      for channel in range(channels):
        counts[channel] += np.bincount(inputs[start : start + 4096, ..., channel].ravel(), minlength=256)
    mean = counts @ values / counts.sum(1)
    variance = (counts * (values - mean[:, None]) ** 2).sum(1) / counts.sum(1)
  else:
    flat = np.asarray(inputs, np.float64).reshape(-1, channels)
    mean, variance = flat.mean(0), flat.var(0)
  std = np.sqrt(variance)
  return mean.astype(np.float32), np.where(std > 0, std, 1).astype(np.float32)


def shuffled(
  arrays: Mapping[str, np.ndarray],
  batch_size: int,
  *,
  seed: int,
  name: str = "train",
  assemble: Assemble = rows,
  identify: bool = False,
) -> Dataset:
  """A training set in memory: it lives on the device, and a step is fed the indices of its rows.

  Args:
    arrays: fields of equal length [example, ...].
    batch_size: rows of a batch; may exceed the number of examples.
    seed: a non-negative integer; another seed is another order.
    name: for messages.
    assemble: as `Dataset.assemble`: `rows`, or `normalised(...)`.
    identify: batches have the fields `index` and `epoch`, int32 [batch], for what depends on which example it is and
      how often it has been seen (`augmentation.alternating_flip`).

  Raises:
    UserError: fields of different lengths, no examples, a batch size below 1 or a negative seed.
  """
  count = _count(arrays, batch_size, name)
  order = Order(count, _seed(seed))

  def feed(step: int) -> dict[str, np.ndarray]:
    index = {"index": order(step * batch_size, batch_size)}
    return index | order.epochs(step * batch_size, batch_size) if identify else index

  return Dataset(name, dict(arrays), feed, assemble, batch_size, count)


def passes(
  arrays: Mapping[str, np.ndarray],
  batch_size: int,
  *,
  seed: int,
  name: str = "train",
  assemble: Assemble = rows,
) -> Dataset:
  """A training set for exact sums: shuffled as by `shuffled`, but no batch crosses the end of an epoch.

  The last batch of an epoch is padded and masked instead, so that as many batches as `Dataset.num_batches` hold every
  example once: what learns by sufficient statistics, in one pass or with the whole set as one batch, counts each once.
  Arguments as `shuffled`.
  """
  count = _count(arrays, batch_size, name)
  order, batches = Order(count, _seed(seed)), -(-count // batch_size)

  def feed(step: int) -> dict[str, np.ndarray]:
    epoch, batch = divmod(step, batches)
    place = in_order(count, batch * batch_size, batch_size)
    first = epoch * count + batch * batch_size
    index = order(first, min(batch_size, count - batch * batch_size))
    return {**place, "index": np.pad(index, (0, batch_size - len(index)), mode="edge")}

  return Dataset(name, dict(arrays), feed, assemble, batch_size, count)


def sequential(
  arrays: Mapping[str, np.ndarray], batch_size: int, *, name: str = "eval", assemble: Assemble = rows
) -> Dataset:
  """An evaluation set in memory: its rows in order, the last batch padded and masked.  Arguments as `shuffled`.

  `feed` takes steps 0 to `num_batches - 1` and raises IndexError beyond.
  """
  count = _count(arrays, batch_size, name)

  def feed(step: int) -> dict[str, np.ndarray]:
    _check_step(step, count, batch_size)
    return in_order(count, step * batch_size, batch_size)

  return Dataset(name, dict(arrays), feed, assemble, batch_size, count)


def streamed(
  source: Source,
  batch_size: int,
  *,
  seed: int | None,
  name: str = "stream",
  transform: Transform | None = None,
  assemble: Assemble = rows,
  identify: bool = False,
  threads: int | None = None,
) -> Dataset:
  """A set that does not fit into memory, read ahead by threads; the same order as `shuffled` and `sequential`.

  Args:
    source: random access to records.
    batch_size: rows of a batch.
    seed: order of training; None for evaluation: one pass in order, the last batch padded and masked.
    name: for messages.
    transform: `transform(record, generator)` -> dict of arrays of fixed shapes, by default the record itself.  The
      generator depends on (seed, position) only, so that random crops too are a function of the step.
    assemble: as `Dataset.assemble`.
    identify: as `shuffled`; of no effect on evaluation.
    threads: readers; by default one a core, 16 at most.

  Raises:
    UserError: no examples, a batch size below 1 or a negative seed.
  """
  count = len(source)
  _check_size(count, batch_size, name)
  read = None if seed is None else _seed(seed)

  def parts(index: int, of: int):
    chunks = _Chunks(source, batch_size, read, transform, identify, (index, of))
    reader = _Reader(chunks, threads or min(16, os.cpu_count() or 1))

    def feed(step: int) -> dict[str, np.ndarray]:
      if seed is None:
        _check_step(step, count, batch_size)
      return reader(step)

    return feed

  return Dataset(name, {}, parts(0, 1), assemble, batch_size, count, parts)


class _Chunks:
  """Random access to equal parts of the batches of a streamed set, for Grain to read in parallel.

  Of part (index, count) of a batch's rows alone: what one of several processes reads, the examples that one alone would
  have there.
  """

  def __init__(
    self,
    source: Source,
    batch_size: int,
    seed: int | None,
    transform: Transform | None,
    identify: bool,
    part: tuple[int, int] = (0, 1),
  ):
    rows = batch_size // part[1]
    self.size = max(size for size in range(1, min(rows, _CHUNK) + 1) if rows % size == 0)
    self.per_batch = rows // self.size
    self._batch_size, self._first = batch_size, part[0] * rows
    self._source, self._seed, self._transform, self._identify = source, seed, transform, identify
    self._order = None if seed is None else Order(len(source), seed)
    batches = -(-len(source) // batch_size)
    # Training has no end: a number that no run reaches and that Grain's 64-bit arithmetic holds.
    self._length = 2**53 if seed is not None else batches * self.per_batch

  def __len__(self) -> int:
    return self._length

  def __repr__(self) -> str:
    return f"_Chunks({self._source!r}, size={self.size}, first={self._first}, seed={self._seed})"

  def __getitem__(self, chunk: int) -> dict[str, np.ndarray]:
    step, place = divmod(int(chunk), self.per_batch)
    start = step * self._batch_size + self._first + place * self.size
    if self._order is None:
      fed = in_order(len(self._source), start, self.size)
    else:
      fed = {"index": self._order(start, self.size)}
    indices = fed["index"].tolist()
    if self._order is not None and self._identify:
      fed |= self._order.epochs(start, self.size)
    else:
      del fed["index"]
    many = getattr(self._source, "__getitems__", None)
    records = many(indices) if many else [self._source[index] for index in indices]
    if self._transform is not None:
      records = [self._transform(record, self._generator(start + i)) for i, record in enumerate(records)]
    return {key: np.stack([record[key] for record in records]) for key in records[0]} | fed

  def _generator(self, position: int) -> np.random.Generator:
    # Another counter than the permutations' (0), which have keys [seed, epoch].
    key = np.array([self._seed or 0, position], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, 1]))


class _Reader:
  """Batches by step: read ahead while steps follow one another, and a seek where they do not."""

  def __init__(self, chunks: _Chunks, threads: int):
    self._chunks, self._per_batch, self._threads = chunks, chunks.per_batch, threads
    self._lock = threading.Lock()
    self._iterator: Any = None
    self._next = -1

  def __call__(self, step: int) -> dict[str, np.ndarray]:
    with self._lock:
      if self._iterator is None or step != self._next:
        self._seek(step)
      self._next = -1  # where reading fails, the next call starts afresh
      batch = next(self._iterator)
      self._next = step + 1
      return batch

  def _seek(self, step: int) -> None:
    import grain  # here: it takes a second to import, and sets in memory do without

    if self._iterator is not None:
      self._iterator.close()
    ahead = grain.ReadOptions(num_threads=self._threads, prefetch_buffer_size=2 * max(self._per_batch, self._threads))
    source: Any = self._chunks  # Grain's protocol names its argument otherwise
    chunks = grain.MapDataset.source(source).slice(slice(step * self._per_batch, None))
    self._iterator = iter(chunks.to_iter_dataset(ahead).batch(self._per_batch, batch_fn=_concatenate))


def _concatenate(parts: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
  return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _count(arrays: Mapping[str, np.ndarray], batch_size: int, name: str) -> int:
  lengths = {field: len(value) for field, value in arrays.items()}
  if len(set(lengths.values())) != 1:
    raise UserError(f"{name}: lengths of the fields", lengths, "give every field one entry for each example.")
  count = next(iter(lengths.values()))
  _check_size(count, batch_size, name)
  return count


def _check_size(count: int, batch_size: int, name: str) -> None:
  if count < 1:
    raise UserError(f"{name}: number of examples", count, "give at least one example.")
  if batch_size < 1:
    raise UserError(f"{name}: batch size", batch_size, "give a batch size of at least 1.")


def _check_step(step: int, count: int, batch_size: int) -> None:
  if not 0 <= step * batch_size < count:
    raise IndexError(f"step {step} of an evaluation set of {count} examples in batches of {batch_size}")


def _seed(seed: int) -> int:
  if not 0 <= seed < 2**63:
    raise UserError("seed", seed, "give a non-negative integer below 2^63.")
  return int(seed)
