"""Forecasting: quantiles of what comes next, several series and several steps ahead, fitted by the pinball loss.

The loss is that of quantile regression (Koenker & Bassett 1978); the point forecast is the median.  Beside every
forecast stands the seasonal naive one: what was seen at the same place of the last season.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from research import randomness
from research.errors import UserError
from research.metrics import Mean

Inputs = Float[Array, "batch context series"] | Float[np.ndarray, "batch context series"]
Targets = Float[Array, "batch horizon series"]
Forecasts = Float[Array, "batch horizon series quantile"]

DEFINITIONS = {
  "loss": "pinball loss, mean over quantiles, steps ahead, series and all windows; standardised by the training part",
  "mse": "mean squared error of the median over steps ahead, series and all windows; standardised by the training part",
  "mae": "mean absolute error of the median over steps ahead, series and all windows; standardised likewise",
  "mase": "mean over series of mae / that of the seasonal naive forecast one step ahead in the training part",
  "coverage": "share of values between the lowest and the highest quantile that are forecast",
  "naive_mse": "mse of the seasonal naive forecast",
  "naive_mae": "mae of the seasonal naive forecast",
}


class Forecaster(NamedTuple):
  """The functions of a forecaster; a batch has `inputs`, `targets` and `mask` (`data.series.windows`)."""

  init: Callable
  loss: Callable
  evaluate: Callable
  forecast: Callable


def forecaster(
  network: nn.Module, quantiles: Sequence[float], season: int, scale: Float[np.ndarray, " series"]
) -> Forecaster:
  """A forecaster over any network `(inputs, train) -> [batch, horizon, series, quantile]`.

  Args:
    network: a Flax module.
    quantiles: that it forecasts, rising; one is 0.5.
    season: times of a season, of the naive forecast.
    scale: `naive_scale` of the training part.

  Raises:
    UserError: quantiles of another form.
  """
  levels = tuple(quantiles)
  if list(levels) != sorted(set(levels)) or 0.5 not in levels or not 0 < levels[0] <= levels[-1] < 1:
    raise UserError("config.model.quantiles", levels, "give rising shares between 0 and 1, with 0.5 among them.")
  middle = levels.index(0.5)

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["inputs"], False)

  def loss(variables, batch, key):
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    forecasts = jnp.asarray(network.apply(variables, batch["inputs"], True, rngs=rngs))
    return Mean.of(pinball(forecasts, batch["targets"], levels), batch["mask"]), ({}, {})

  def forecast(variables, inputs) -> Forecasts:
    return jnp.asarray(network.apply(variables, inputs, False))

  def evaluate(variables, batch):
    forecasts, targets = forecast(variables, batch["inputs"]), batch["targets"]
    naive = seasonal_naive(batch["inputs"], targets.shape[1], season)
    error, naive_error = forecasts[..., middle] - targets, naive - targets
    within = (targets >= forecasts[..., 0]) & (targets <= forecasts[..., -1])
    values = {
      "mse": jnp.square(error),
      "mae": jnp.abs(error),
      "mase": jnp.abs(error) / scale,
      "coverage": within.astype(jnp.float32),
      "naive_mse": jnp.square(naive_error),
      "naive_mae": jnp.abs(naive_error),
    }
    means = {name: Mean.of(value.mean((1, 2)), batch["mask"]) for name, value in values.items()}
    return {"loss": Mean.of(pinball(forecasts, targets, levels), batch["mask"]), **means}

  return Forecaster(init, loss, evaluate, forecast)


def pinball(forecasts: Forecasts, targets: Targets, quantiles: Sequence[float]) -> Float[Array, " batch"]:
  """max(q e, (q - 1) e), e = target - forecast: least in the mean where the forecast is the q-quantile."""
  error = targets[..., None] - forecasts
  levels = jnp.asarray(quantiles, error.dtype)
  return jnp.maximum(levels * error, (levels - 1) * error).mean((1, 2, 3))


def seasonal_naive(inputs: Inputs, horizon: int, season: int) -> Targets:
  """What was seen at the same place of the last season; UserError where the inputs hold none."""
  context = inputs.shape[1]
  if not 1 <= season <= context:
    raise UserError(
      "config.data.season", season, f"{context} times are seen (config.data.context): give at most these."
    )
  return jnp.asarray(inputs)[:, context - season + jnp.arange(horizon) % season]


def naive_scale(train: Float[np.ndarray, "time series"], season: int) -> Float[np.ndarray, " series"]:
  """Mean absolute error in training of the seasonal naive forecast: what MASE divides by (Hyndman & Koehler 2006).

  Raises:
    UserError: no season before, or a series that repeats itself exactly.
  """
  if not 1 <= season < len(train):
    raise UserError("config.data.season", season, f"the training part has {len(train)} times: give fewer, 1 at least.")
  scale = np.abs(train[season:] - train[:-season]).mean(0)
  if not scale.all():
    remedy = "a series repeats itself exactly after so many times: give another season, or leave it out."
    raise UserError("config.data.season", season, remedy)
  return scale
