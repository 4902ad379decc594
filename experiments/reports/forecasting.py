"""What a run of a forecaster leaves behind: forecasts with bands, and how errors grow with the steps ahead."""

import csv
import dataclasses
import functools
import io
import pathlib
from typing import Any

import jax
import ml_collections
import numpy as np

from research.data import series as series_lib
from research.data import table
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import forecasts as figures
from research.families import forecasting as family_lib
from research.training import steps
from research.training.experiment import Report

_SHOWN = 8  # series, in the figure


@dataclasses.dataclass(frozen=True)
class Oracle:
  """A forecaster with what it takes to forecast.

  Attributes:
    family: over the network.
    series: all there is.
    test: windows of the test part.
    config: with the sections `data` and `model`.
  """

  family: family_lib.Forecaster
  series: series_lib.Series
  test: Dataset
  config: ml_collections.ConfigDict

  @functools.cached_property
  def _forecast(self):
    return jax.jit(self.family.forecast)

  def _unit(self, values: np.ndarray, axis: int) -> np.ndarray:
    """In the unit of the file; the series along `axis`."""
    shape = [1] * values.ndim
    shape[axis] = -1
    return values * self.series.deviation.reshape(shape) + self.series.mean.reshape(shape)

  def report(self, state) -> Report:
    """Windows of the test part, spread over it, and the errors of all by the steps ahead."""
    data, variables = self.config.data, steps.variables_of(state)
    windows = self._spread()
    naive = np.asarray(family_lib.seasonal_naive(windows["inputs"], data.horizon, data.season))
    forecasts = np.asarray(self._forecast(variables, windows["inputs"]))
    several = lambda values: self._unit(values, 2)[:, :, :_SHOWN]
    figure = figures.bands(
      several(windows["inputs"]),
      several(windows["targets"]),
      several(forecasts),
      self.config.model.quantiles,
      self.series.columns[:_SHOWN],
      several(naive),
    )
    return Report(figures={"forecasts": figure, "errors_ahead": figures.errors_ahead(self._errors(variables))})

  def _spread(self) -> dict[str, np.ndarray]:
    """So many windows, from the first of the test part to the last."""
    index = np.linspace(0, self.test.num_examples - 1, self.config.report.windows).astype(np.int32)
    fed = {"index": index, "mask": np.ones(len(index), np.float32)}
    return jax.device_get(dict(self.test.assemble(dict(self.test.resident), fed)))

  def _errors(self, variables) -> dict[str, np.ndarray]:
    data, middle = self.config.data, list(self.config.model.quantiles).index(0.5)

    @jax.jit
    def absolute(variables, resident, fed):
      batch = self.test.assemble(resident, fed)
      naive = family_lib.seasonal_naive(batch["inputs"], data.horizon, data.season)
      each = self.family.forecast(variables, batch["inputs"])[..., middle], naive
      weights = batch["mask"][:, None, None]
      return [(abs(one - batch["targets"]) * weights).mean(2).sum(0) for one in each]

    total = np.zeros((2, data.horizon))
    for step in range(self.test.num_batches):
      total += np.asarray(absolute(variables, dict(self.test.resident), self.test.feed(step)))
    return dict(zip(("median", "seasonal naive"), total / self.test.num_examples))

  def predictions(self, state, path: str) -> dict[str, Any]:
    """Quantiles of what comes behind the end of a file, by default of the series that were learned from.

    Raises:
      UserError: the file has other columns, or fewer times than are seen.
    """
    data, columns = self.config.data, self.series.columns
    values = self.series.values
    if path:
      own = table.read(pathlib.Path(path), times=True)
      if len(own.columns) != len(columns):
        raise UserError("--input", path, f"it has {len(own.columns)} series: give {', '.join(columns)}.")
      values = ((own.values - self.series.mean) / self.series.deviation).astype(np.float32)
    if len(values) < data.context:
      raise UserError(
        "--input", path, f"it has {len(values)} times: give {data.context} or more (config.data.context)."
      )
    seen = values[None, -data.context :]
    forecasts = self._unit(np.asarray(self._forecast(steps.variables_of(state), seen)), 2)[0]
    levels = self.config.model.quantiles
    return {"forecasts": forecasts, "quantiles": np.asarray(levels), "forecast.csv": _csv(forecasts, columns, levels)}


def _csv(forecasts: np.ndarray, columns, levels) -> bytes:
  """A line a step ahead, a column a series and quantile."""
  file = io.StringIO()
  writer = csv.writer(file, lineterminator="\n")
  writer.writerow(["steps_ahead", *(f"{column} {level:g}" for column in columns for level in levels)])
  writer.writerows([step, *(f"{x:.6g}" for x in row.ravel())] for step, row in enumerate(forecasts, 1))
  return file.getvalue().encode()
