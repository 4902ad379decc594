"""What learns from no data set: environments, chains and simulators, which run by a seeded clock."""

import jax.numpy as jnp
import numpy as np

from research.data import pipeline
from research.data.dataset import Dataset
from research.errors import UserError


def clock(rows: int, *, count: int = 0, frames: int = 0, first: int = 0, name: str = "clock") -> Dataset:
  """Batches that hold nothing but places, a function of the step; what happens there follows from the run's key.

  A batch has `row`, int32 [rows], which row of the clock each is (for evaluation, which of `count` episodes or draws),
  and `mask`.  Randomness is drawn by `randomness.stream_key(state.key, name, state.step)` and `example_keys`, so that a
  step is a pure function of state and step like any other.

  Args:
    rows: environments, chains or simulations side by side, over all devices.
    count: for evaluation, how many there are in all: one pass in order, the last batch padded and masked; 0 for
      training, which has no end and no epochs.
    frames: environment frames that one step of all rows comes to, where durations are to be given in frames.
    first: number of the first row, so that two clocks (validation, test) have no row, and so no key, in common.
    name: for messages.

  Raises:
    UserError: no rows.
  """
  if rows < 1:
    raise UserError(f"{name}: rows", rows, "give at least one.")

  def feed(step: int) -> dict[str, np.ndarray]:
    if count:
      place = pipeline.in_order(count, step * rows, rows)
      return {"row": place["index"] + np.int32(first), "mask": place["mask"]}
    return {"row": np.arange(first, first + rows, dtype=np.int32)}

  def assemble(resident, fed):
    del resident
    return {"mask": jnp.ones(fed["row"].shape, jnp.float32), **fed}

  # One number, so that feeds are not read ahead by a thread: there is nothing to hide.
  resident = {"clock": np.zeros((), np.int32)}
  return Dataset(name, resident, feed, assemble, rows, count, units={"frames": frames} if frames else {})
