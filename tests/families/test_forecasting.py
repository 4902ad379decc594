"""Forecasting: the loss and the naive forecast by hand, windows by slices, and what normalisation promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import lstm, transformer
from experiments.command import cli
from research.data import series as series_lib
from research.errors import UserError
from research.families import forecasting
from research.networks.attention import Style
from research.networks.forecasting import PatchForecaster, RecurrentForecaster
from research.networks.recurrent import Recurrent
from tests import mock_data


def test_pinball_is_that_of_a_loop():
  rng = np.random.default_rng(0)
  forecasts, targets = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 4, 2, 3), (3, 4, 2)))
  levels = (0.1, 0.5, 0.7)
  expected = np.zeros(3)
  for (window, step, series, place), forecast in np.ndenumerate(forecasts):
    error = targets[window, step, series] - forecast
    expected[window] += error * levels[place] if error > 0 else -error * (1 - levels[place])
  np.testing.assert_allclose(forecasting.pinball(forecasts, targets, levels), expected / (4 * 2 * 3), rtol=1e-5)


def test_pinball_is_least_at_the_quantile():
  sample = np.random.default_rng(0).exponential(size=4000)
  grid = np.linspace(0, 4, 401)
  targets = jnp.asarray(sample)[:, None, None]
  loss = jax.vmap(lambda x: forecasting.pinball(jnp.broadcast_to(x, (4000, 1, 1, 1)), targets, (0.8,)).mean())(grid)
  assert abs(grid[int(np.argmin(loss))] - np.quantile(sample, 0.8)) < 0.02


class Last(forecasting.nn.Module):
  """Forecasts the last value, one less and one more."""

  def __call__(self, inputs, train):
    return jnp.repeat(inputs[:, -1:, :, None], 4, 1) + jnp.array([-1.0, 0, 1])


def test_evaluation_and_the_seasonal_naive_forecast_by_hand():
  train = np.array([[0.0], [1], [2], [2], [3]])
  scale = forecasting.naive_scale(train, 2)
  np.testing.assert_allclose(scale, [(2 + 1 + 1) / 3])
  batch = {
    "inputs": jnp.array([1.0, 2, 3]).reshape(1, 3, 1),
    "targets": jnp.array([3.0, 3, 5, 0]).reshape(1, 4, 1),
    "mask": jnp.ones(1),
  }
  np.testing.assert_array_equal(forecasting.seasonal_naive(batch["inputs"], 4, 2)[0, :, 0], [2, 3, 2, 3])
  found = forecasting.forecaster(Last(), (0.1, 0.5, 0.9), 2, scale).evaluate({}, batch)
  values = {name: float(mean.value()) for name, mean in found.items()}
  assert values.pop("loss") > 0
  expected = {"mse": 13 / 4, "mae": 5 / 4, "mase": 15 / 16, "coverage": 0.5, "naive_mse": 19 / 4, "naive_mae": 7 / 4}
  assert values == pytest.approx(expected)


@pytest.mark.parametrize(
  "network",
  [
    RecurrentForecaster(Recurrent(8), 5, 3, 4),
    PatchForecaster(Style(features=8, heads=2, positions="learned"), 1, 5, 3, 4, 2),
  ],
)
def test_forecasts_follow_scale_and_shift_and_series_stand_alone(network):
  x = jax.random.normal(jax.random.key(0), (2, 12, 3))
  init = jax.jit(lambda key: network.init(key, x, False))
  apply = jax.jit(lambda v, x: network.apply(v, x, False))
  variables = init(jax.random.key(1))
  y = apply(variables, x)
  assert y.shape == (2, 5, 3, 3)
  assert (np.diff(y, axis=-1) >= 0).all(), "quantiles do not cross"
  np.testing.assert_allclose(apply(variables, 50 * x - 7), 50 * y - 7, rtol=2e-3, atol=2e-3)
  other = apply(variables, x.at[:, :, 1].set(0))
  np.testing.assert_allclose(other[:, :, ::2], y[:, :, ::2], atol=1e-5)


def test_windows_are_slices_and_reach_back_over_the_border(tmp_path):
  series = series_lib.load("etth1", mock_data.write_raw(tmp_path, "ett") + "/ett")
  assert series.columns == ("HUFL", "MUFL", "OT")
  np.testing.assert_allclose(series.values[: series.train_end].mean(0), 0, atol=1e-5)
  np.testing.assert_allclose(series.values[: series.train_end].std(0), 1, atol=1e-4)
  assert (series.train_end, series.validation_end) == (180, 240)
  test = series_lib.windows(series, "test", 24, 8, 16)
  assert test.num_examples == 60 - 8 + 1
  batch = test.assemble(test.resident, test.feed(3))
  starts = 240 + np.arange(48, 53)
  for row, start in enumerate(starts):
    np.testing.assert_array_equal(batch["inputs"][row], series.values[start - 24 : start])
    np.testing.assert_array_equal(batch["targets"][row], series.values[start : start + 8])
  np.testing.assert_array_equal(batch["mask"], [1] * 5 + [0] * 11)
  train = series_lib.windows(series, "train", 24, 8, 16, seed=0)
  assert train.num_examples == 180 - 24 - 8 + 1
  with pytest.raises(UserError, match="make it shorter"):
    series_lib.windows(series, "test", 24, 61, 16)


@pytest.mark.parametrize(("experiment", "spec"), [(lstm, "lstm/etth1"), (transformer, "transformer/etth1")])
def test_a_table_of_ones_own_is_forecast(experiment, spec, tmp_path):
  file = tmp_path / "own.csv"
  values = np.sin(np.arange(200) / 3)
  file.write_text("time,sun,moon\n" + "".join(f"{t},{v:.3f},{-v:.3f}\n" for t, v in enumerate(values)))
  built = experiment.experiment(
    cli.load_config(f"configs/{spec}.py:smoke", {"data.name": "own", "data.path": str(file)})
  )
  data = built.train_data
  init = jax.jit(lambda key, resident, fed: built.learner.init(key, data.assemble(resident, fed)))
  state = init(jax.random.key(0), dict(data.resident), data.feed(0))
  found = built.predict(state, str(file))
  assert found["forecasts"].shape == (8, 2, 3)
  rows = found["forecast.csv"].decode().splitlines()
  assert rows[0] == "steps_ahead,sun 0.1,sun 0.5,sun 0.9,moon 0.1,moon 0.5,moon 0.9"
  assert len(rows) == 9
  np.testing.assert_array_equal(built.predict(state, "")["forecasts"], found["forecasts"])
  file.write_text("sun\n1\n2\n")
  with pytest.raises(UserError, match="sun, moon"):
    built.predict(state, str(file))


def test_bad_series_are_refused(tmp_path):
  file = tmp_path / "own.csv"
  fields = {"data.name": "own", "data.path": str(file)}
  build = lambda **more: lstm.experiment(cli.load_config("configs/lstm/etth1.py:smoke", fields | more))
  file.write_text("a,b\n" + "1,2\n" * 100)
  with pytest.raises(UserError, match="never varies"):
    build()
  file.write_text("when,a\n" + "".join(f"day {t},{t % 7}\n" for t in range(100)))
  with pytest.raises(UserError, match="repeats itself"):
    build(**{"data.season": "7"})
  with pytest.raises(UserError, match=r"0\.5 among them"):
    build(**{"model.quantiles": "(0.1,0.9)"})
  with pytest.raises(UserError, match="must divide"):
    build(**{"model.segment": "5"}).learner.init(jax.random.key(0), {"inputs": jnp.zeros((1, 24, 1))})
  file.write_text("a\n1\nx\n")
  with pytest.raises(UserError, match="no finite number"):
    build()
