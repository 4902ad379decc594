"""A long stream (text, a recording) as rows that go on from batch to batch: what carried state is trained on."""

from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from research.data.dataset import Dataset
from research.errors import UserError


def contiguous(tokens: Int[np.ndarray, " token"], rows: int, length: int, *, name: str = "stream") -> Dataset:
  """A stream cut into `rows` equal parts, of which each step reads on by `length` tokens.

  Batches are `inputs` and `targets` (the token after), int32 [rows, length]; `mask`, float32 [rows, length], 0 beyond
  the end; and `fresh`, float32 [rows], 1 where a row begins its part and the state carried so far is to be forgotten.
  An epoch of `num_batches` steps predicts every token but the first exactly once, in order within a row; with one row
  it reads the whole stream as one.  The same set serves training (epochs follow one another) and evaluation.

  Args:
    tokens: the stream; two tokens at least.
    rows: parts read side by side, over all devices.
    length: tokens of a row that a step sees: the truncation of backpropagation through time.
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

  def feed(step: int) -> dict[str, np.ndarray]:
    batch = step % batches
    return {"row": np.arange(rows, dtype=np.int32), "start": np.full(rows, batch * length, np.int32)}

  def assemble(resident, fed):
    place = fed["start"][:, None] + jnp.arange(length)
    at = fed["row"][:, None] * part + place
    real = (place < part) & (at < predicted)
    at = jnp.where(real, at, 0)
    stream = resident["tokens"]
    fresh = (fed["start"] == 0).astype(jnp.float32)
    return {"inputs": stream[at], "targets": stream[at + 1], "mask": real.astype(jnp.float32), "fresh": fresh}

  units = {"tokens": Fraction(predicted, batches)}
  return Dataset(name, {"tokens": np.asarray(tokens, np.int32)}, feed, assemble, rows, rows * batches, units=units)
