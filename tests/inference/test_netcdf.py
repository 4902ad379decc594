"""What is written is read back by xarray's own reader, with the names that ArviZ's plots ask for."""

import numpy as np
import pytest
import xarray

from experiments import inference
from experiments.command import cli
from research.errors import UserError
from research.inference import netcdf
from research.training import parallel
from research.training.executor import Executor


def read(contents: bytes, folder) -> xarray.DataTree:
  path = folder / "draws.nc"
  path.write_bytes(contents)
  return xarray.open_datatree(path, engine="h5netcdf")


def test_draws_facts_and_data_are_read_back(tmp_path):
  rng = np.random.default_rng(0)
  posterior = {"mu": rng.normal(size=(2, 5)), "theta": rng.normal(size=(2, 5, 3))}
  facts = {"divergent": rng.random((2, 5)) < 0.5, "energy": rng.normal(size=(2, 5))}
  tree = read(netcdf.dumps(posterior, facts, {"outcome": np.arange(4.0)}), tmp_path)
  np.testing.assert_array_equal(tree["posterior"]["theta"], posterior["theta"])
  assert tree["posterior"]["mu"].dims == ("chain", "draw")
  np.testing.assert_array_equal(tree["sample_stats"]["diverging"], facts["divergent"])
  np.testing.assert_array_equal(tree["observed_data"]["outcome"], np.arange(4.0))


def test_a_run_s_report_has_the_file(tmp_path):
  config = cli.load_config("configs/inference/eight_schools.py:smoke", {"report.netcdf": "True"})
  experiment = inference.experiment(config)
  executor = Executor(experiment, parallel.plan("jit", 1), 0, 4)
  state = executor.init_state()
  for _, _, feed, count in executor.feeds(experiment.train_data, [(first, 4) for first in range(0, 8, 4)], 4):
    state, _ = executor.update(state, feed, count)
  files = experiment.report(state).files
  tree = read(files["inference_data.nc"], tmp_path)
  assert {"mu", "tau", "theta"} <= set(tree["posterior"].data_vars)
  assert {"acceptance_rate", "diverging", "energy", "lp", "n_steps"} == set(tree["sample_stats"].data_vars)
  assert tree["posterior"]["theta"].shape[0] == 4
  np.testing.assert_array_equal(tree["observed_data"]["outcome"], [28, 8, -3, 7, -1, 1, 18, 12])


def test_without_the_extra_it_is_refused_before_anything_is_computed(monkeypatch):
  monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
  with pytest.raises(UserError, match=r"genera\[arviz\]"):
    netcdf.check("config.report.netcdf")
