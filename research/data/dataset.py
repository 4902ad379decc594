"""What every source of examples becomes: batches as a pure function of the step."""

import dataclasses
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Protocol

import numpy as np

Batch = Mapping[str, Any]


class Source(Protocol):
  """Random access to records, dicts of arrays or bytes, safe to read from several threads.

  Where reading many at once is cheaper, a source has `__getitems__(indices)` too, which returns a list.
  """

  def __len__(self) -> int: ...

  def __getitem__(self, index: int, /) -> Mapping[str, Any]: ...


@dataclasses.dataclass(frozen=True)
class Dataset:
  """Batches as a function of the step: any batch can be asked for directly, so resume is a seek.

  The loop places `resident` on the devices once, asks `feed` for the small per-step part, and calls `assemble` inside
  the compiled step, on each device's share of the rows.

  Attributes:
    name: for messages and `run.json`.
    resident: arrays that every device holds whole (an in-memory data set), or an empty dict (a streamed one).
    feed: `feed(step)` -> NumPy arrays of `batch_size` rows each: indices into `resident`, or the examples themselves.
    assemble: `assemble(resident, fed)` -> the batch as families see it: a dict with `mask` (float32, 1 for a real
      example, 0 for padding) and the fields of the family, such as `inputs` and `label`.  Pure; traced inside the step.
    batch_size: rows of a batch, over all devices.
    num_examples: rows in one epoch; 0 where there is no epoch (`clock`).
    parts: `parts(index, count)` -> as `feed`, but only the rows of part `index` of `count` equal parts of each batch,
      for data sets that can read them alone; None where making all of them costs little.
    units: what one step comes to, on average over an epoch, in units that the set knows beside rows: `tokens`,
      `frames`; `examples` too, where a row is not one example (a pack).
    divided: names in `resident` of what may be too large for one device: under the plan `fsdp` each holds a part of its
      arrays, by their first axis, where the devices divide that.
  """

  name: str
  resident: Mapping[str, np.ndarray]
  feed: Callable[[int], Mapping[str, np.ndarray]]
  assemble: Callable[[Mapping[str, Any], Mapping[str, Any]], Batch]
  batch_size: int
  num_examples: int
  parts: Callable[[int, int], Callable[[int], Mapping[str, np.ndarray]]] | None = None
  units: Mapping[str, int | Fraction] = dataclasses.field(default_factory=dict)
  divided: tuple[str, ...] = ()

  def part(self, index: int, count: int) -> Callable[[int], Mapping[str, np.ndarray]]:
    """`feed` of part `index` of `count` equal parts of each batch: what one of `count` processes feeds."""
    if count == 1:
      return self.feed
    if self.parts is not None:
      return self.parts(index, count)
    size = self.batch_size // count
    return lambda step: {name: rows[index * size :][:size] for name, rows in self.feed(step).items()}

  @property
  def per_step(self) -> dict[str, int | Fraction]:
    """What one step comes to in every unit that the set knows: what `durations.steps` counts by."""
    epoch = {"epochs": Fraction(self.batch_size, self.num_examples)} if self.num_examples else {}
    return {**epoch, "examples": self.batch_size, **self.units}

  @property
  def num_batches(self) -> int:
    """Batches that cover every example once, the last one padded."""
    return -(-self.num_examples // self.batch_size)
