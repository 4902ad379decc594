"""Several series of numbers over time: ETTh1, or a user's own CSV file; and windows of them, to forecast from."""

import dataclasses

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from research.data import cells, raw, table
from research.data.dataset import Dataset
from research.data.pipeline import Order, in_order
from research.errors import UserError

ETTH1, _FILE = "etth1", "ETTh1.csv"
_MONTH = 30 * 24  # hours
_SHARES = (0.7, 0.8)  # of a user's own series: where training and validation end


@dataclasses.dataclass(frozen=True)
class Series:
  """Series of one length, in the order of time, and how they are divided.

  Attributes:
    name: for messages.
    values: float32 [time, series], standardised: mean 0 and deviation 1 of the training part.
    columns: their names.
    mean, deviation: [series], of the training part, in the unit of the file.
    train_end, validation_end: first times that are not of training, and not of validation; the rest is the test part.
  """

  name: str
  values: Float[np.ndarray, "time series"]
  columns: tuple[str, ...]
  mean: Float[np.ndarray, " series"]
  deviation: Float[np.ndarray, " series"]
  train_end: int
  validation_end: int

  def stretch(self, split: str) -> tuple[int, int]:
    """First time of a split, 'train', 'validation' or 'test', and the first behind it."""
    ends = (0, self.train_end, self.validation_end, len(self.values))
    place = ("train", "validation", "test").index(split)
    return ends[place], ends[place + 1]


def load(name: str, path: str | None = None) -> Series:
  """Series by name, or a user's own.

  * etth1: two years of hourly readings of an electricity transformer, six loads and the oil's temperature (Zhou et al.
    2021), divided as the literature does: 12, 4 and 4 months of 30 days, what is behind them left out; from
    `$GENERA_DATA_DIR/ett/ETTh1.csv`.
  * a user's own table at `path` (`table.read`), a time a line in equal steps: numeric columns, behind an optional one
    of times; the first 70 % are to train, 10 % to validate, 20 % to test.

  Raises:
    UserError: no such set or file, a cell that is no number, or a column that never varies in training.
  """
  if raw.is_own(name, path, _FILE):
    kinds = "a table of numbers, a time a line (.csv, .tsv, .parquet)"
    name, whole = str(path), table.read(raw.own(path, kinds, cells.SUFFIXES, known=(_FILE,)), times=True)
    shares, count = _SHARES, len(whole.values)
  elif name == ETTH1:
    whole = table.read(raw.locate("ett", _FILE, path), times=True)
    shares, count = (12 / 20, 16 / 20), min(len(whole.values), 20 * _MONTH)
  else:
    raise UserError("config.data.name", name, f"choose {ETTH1}, or give a table by config.data.path.")
  train_end, validation_end = (round(share * count) for share in shares)
  train = whole.values[:train_end]
  if len(train) < 2:
    raise UserError(f"{name}: lines", len(whole.values), "they are too few to learn from: give more.")
  mean, deviation = train.mean(0), train.std(0)
  if not deviation.all():
    column = whole.columns[int(np.argmin(deviation))]
    raise UserError(f"{name}: column", column, "it never varies in the training part: leave it out.")
  values = ((whole.values[:count] - mean) / deviation).astype(np.float32)
  return Series(name, values, whole.columns, mean, deviation, train_end, validation_end)


def windows(
  series: Series, split: str, context: int, horizon: int, batch_size: int, *, seed: int | None = None
) -> Dataset:
  """Every window whose `horizon` times lie in a split; what comes before them may reach back into the split before.

  Batches are `inputs` [batch, context, series], `targets` [batch, horizon, series] and `mask` [batch].

  Args:
    series: resident on the device; windows are cut in the step.
    split: 'train', 'validation' or 'test'.
    context, horizon: times that are seen, and that are forecast.
    batch_size: windows of a batch.
    seed: of the order of training; None for evaluation, one pass whose last batch is padded and masked.

  Raises:
    UserError: context or horizon below 1, or no window has room.
  """
  for field, value in {"context": context, "horizon": horizon, "batch size": batch_size}.items():
    if value < 1:
      raise UserError(f"windows: {field}", value, "give 1 or more.")
  start, stop = series.stretch(split)
  first = max(start, context)
  count = stop - horizon - first + 1
  if count < 1:
    remedy = f"a window takes {context} times before it and {horizon} in it: give more, or make it shorter."
    raise UserError(f"{series.name}, {split}: times", stop - start, remedy)
  order = None if seed is None else Order(count, seed)

  def feed(step: int) -> dict[str, np.ndarray]:
    if order is None:
      return in_order(count, step * batch_size, batch_size)
    return {"index": order(step * batch_size, batch_size), "mask": np.ones(batch_size, np.float32)}

  def assemble(resident, fed):
    at = first + fed["index"][:, None] + jnp.arange(-context, horizon)
    cut = resident["values"][at]
    return {"inputs": cut[:, :context], "targets": cut[:, context:], "mask": fed["mask"]}

  return Dataset(f"{series.name} {split}", {"values": series.values}, feed, assemble, batch_size, count)
