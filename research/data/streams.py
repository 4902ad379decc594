"""A long stream (text, a recording) in batches: rows that go on from batch to batch, for what carries a state; windows,
for what does not.
"""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from research.data.dataset import Dataset
from research.data.pipeline import Order, in_order
from research.errors import UserError


def contiguous(
  tokens: Int[np.ndarray, " token"], rows: int, length: int, *, seed: int | None = None, name: str = "stream"
) -> Dataset:
  """A stream cut into `rows` equal parts, of which each step reads on by `length` tokens.

  Batches are `inputs` and `targets` (the token after), int32 [rows, length]; `mask`, float32 [rows, length], 0 beyond
  the end; and `fresh`, float32 [rows], 1 where a row begins its part and the state carried so far is to be forgotten.
  An epoch of `num_batches` steps predicts every token but the first exactly once, in order within a row; with one row
  it reads the whole stream as one.  The same set serves training (epochs follow one another) and evaluation.

  Args:
    tokens: the stream; two tokens at least.
    rows: parts read side by side, over all devices.
    length: tokens of a row that a step sees: the truncation of backpropagation through time.
    seed: for training: every epoch cuts the stream, joined at its ends, at other places; None cuts at its start.
    name: for messages.

  Raises:
    UserError: rows or length below 1, or fewer tokens than rows can share.
  """
  for field, value in {"rows": rows, "length": length}.items():
    if value < 1:
      raise UserError(f"{name}: {field}", value, "give 1 or more.")
  predicted = len(tokens) - 1
  if predicted < rows:
    raise UserError(f"{name}: tokens", len(tokens), f"{rows} rows need {rows + 1} or more.")
  part = -(-predicted // rows)
  batches = -(-part // length)

  def shift(epoch: int) -> int:
    return 0 if seed is None else _offset(seed, epoch, predicted)

  def feed(step: int) -> dict[str, np.ndarray]:
    epoch, batch = divmod(step, batches)
    fed = {"row": np.arange(rows), "start": np.full(rows, batch * length), "shift": np.full(rows, shift(epoch))}
    return {field: value.astype(np.int32) for field, value in fed.items()}

  def assemble(resident, fed):
    place = fed["start"][:, None] + jnp.arange(length)
    at = fed["row"][:, None] * part + place
    real = (place < part) & (at < predicted)
    at = (jnp.where(real, at, 0) + fed["shift"][:, None]) % predicted
    stream = resident["tokens"]
    fresh = (fed["start"] == 0).astype(jnp.float32)
    return {"inputs": stream[at], "targets": stream[at + 1], "mask": real.astype(jnp.float32), "fresh": fresh}

  units = {"tokens": Fraction(predicted, batches)}
  return Dataset(name, {"tokens": np.asarray(tokens, np.int32)}, feed, assemble, rows, rows * batches, units=units)


def windows(
  tokens: Int[np.ndarray, " token"], batch_size: int, length: int, *, seed: int, name: str = "windows"
) -> Dataset:
  """Windows of a stream in random order, for training: `inputs`, `targets` and `mask` as `contiguous`, but not `fresh`.

  An epoch cuts the stream at multiples of `length` behind a random first place and takes each window once; what is left
  over at either end is less than a window.  Another epoch is cut at other places.

  Raises:
    UserError: no window has room, or a batch size or length below 1.
  """
  count = _check_windows(tokens, batch_size, length, name)
  order = Order(count, seed)
  slack = len(tokens) - 1 - count * length  # places at which the first window may begin

  def feed(step: int) -> dict[str, np.ndarray]:
    first = step * batch_size
    shifts = {int(e): _offset(seed, int(e), slack + 1) for e in np.unique((first + np.arange(batch_size)) // count)}
    epochs = order.epochs(first, batch_size)["epoch"]
    shift = np.array([shifts[int(epoch)] for epoch in epochs])
    return {"start": (order(first, batch_size) * length + shift).astype(np.int32)}

  units = {"tokens": batch_size * length}
  return Dataset(name, {"tokens": np.asarray(tokens, np.int32)}, feed, _cut(length), batch_size, count, units=units)


def overlapping(
  tokens: Int[np.ndarray, " token"], batch_size: int, length: int, context: int, *, name: str = "eval"
) -> Dataset:
  """The whole stream once, for evaluation: windows of `length` that overlap by `context` tokens.

  Every token but the first is counted exactly once, and, but for those of the first window, with `context` tokens
  before it at least: `mask` is 0 where a window repeats what the one before has counted.

  Raises:
    UserError: as `windows`; a context that leaves nothing to count.
  """
  if not 0 <= context < length:
    raise UserError(f"{name}: context", context, f"windows have {length} tokens: give 0 to {length - 1}.")
  if len(tokens) < 2:
    raise UserError(f"{name}: tokens", len(tokens), "give two at least.")
  if batch_size < 1:
    raise UserError(f"{name}: batch size", batch_size, "give 1 or more.")
  predicted, stride = len(tokens) - 1, length - context
  count = 1 + -(-max(predicted - length, 0) // stride)
  resident = {"tokens": np.pad(np.asarray(tokens, np.int32), (0, max(length - predicted, 0)))}

  def feed(step: int) -> dict[str, np.ndarray]:
    place = in_order(count, step * batch_size, batch_size)
    # The last window ends with the stream, and counts what is left.
    start = np.minimum(place["index"] * stride, max(predicted - length, 0))
    counted = np.where(place["index"] > 0, place["index"] * stride + context - start, 0)
    counted = np.where(place["mask"] > 0, counted, length)
    return {"start": start.astype(np.int32), "counted": counted.astype(np.int32)}

  def assemble(resident, fed):
    batch = _cut(length)(resident, {"start": fed["start"]})
    time = jnp.arange(length)
    real = (time >= fed["counted"][:, None]) & (fed["start"][:, None] + time < predicted)
    return {**batch, "mask": real.astype(jnp.float32)}

  units = {"tokens": Fraction(predicted * batch_size, count)}
  return Dataset(name, resident, feed, assemble, batch_size, count, units=units)


def _check_windows(tokens, batch_size: int, length: int, name: str) -> int:
  """How many windows there are."""
  for field, value in {"batch size": batch_size, "length": length}.items():
    if value < 1:
      raise UserError(f"{name}: {field}", value, "give 1 or more.")
  if len(tokens) <= length:
    raise UserError(f"{name}: tokens", len(tokens), f"a window takes {length + 1}: give more text, or shorter windows.")
  return (len(tokens) - 1) // length


def _cut(length: int):
  def assemble(resident, fed):
    at = fed["start"][:, None] + jnp.arange(length)
    stream = resident["tokens"]
    return {"inputs": stream[at], "targets": stream[at + 1], "mask": jnp.ones(at.shape, jnp.float32)}

  return assemble


def _offset(seed: int, epoch: int, below: int) -> int:
  """A number in [0, below), a function of (seed, epoch)."""
  bits = np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=[0, 0, 0, 3])  # others than `Order`'s
  return int(np.random.Generator(bits).integers(below))
