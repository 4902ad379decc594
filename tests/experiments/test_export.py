"""What `--mode=export` leaves is loaded again where there is nothing of this library."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.command import cli, export, session
from experiments.command.opened import Run
from research.training.experiment import Experiment, Program
from tests.experiments import tiny

safetensors = pytest.importorskip("safetensors.numpy")
LOAD = """
import json, pathlib, sys
import numpy as np
from jax import export
from safetensors.numpy import load_file
assert not any(name.split(".")[0] in ("research", "experiments", "flax") for name in sys.modules)
program = export.deserialize(pathlib.Path("predict.stablehlo").read_bytes())
arrays = dict(np.load(sys.argv[1]))
np.save(sys.argv[2], program.call(load_file("model.safetensors"), arrays))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  folder = tmp_path_factory.mktemp("run")
  file = folder / "tiny.py"
  file.write_text(tiny.CONFIG)
  config = cli.load_config(f"{file}:short", {})
  session.run(tiny.experiment, "tiny", f"{file}:short", config, str(folder / "run"), "train", "")
  assert session.run(tiny.experiment, "tiny", f"{file}:short", config, str(folder / "run"), "export", "") == 0
  return folder / "run"


def test_program_and_weights_predict_without_the_library(run, tmp_path):
  opened = Run(run, build=tiny.experiment)
  inputs = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)
  np.savez(tmp_path / "inputs.npz", inputs=inputs)
  command = [sys.executable, "-c", LOAD, str(tmp_path / "inputs.npz"), str(tmp_path / "outputs.npy")]
  subprocess.run(command, cwd=run / "export", check=True, env={"JAX_PLATFORMS": "cpu", "PATH": ""})
  program = opened.experiment.program
  assert program is not None
  expected = jax.jit(program.call)(opened.state, {"inputs": inputs, "label": np.zeros(7, np.int32)}, jnp.arange(7))
  np.testing.assert_allclose(np.load(tmp_path / "outputs.npy"), expected, rtol=1e-5)


def test_card_tells_what_was_measured_and_missed(run):
  result = json.loads((run / "result.json").read_text())
  card = (run / "export" / "README.md").read_text()
  for name, metric in result["metrics"].items():
    assert f"`{name}`" in card
    assert metric["definition"] in card
  assert result["device"] in card
  missed = result["metrics"]["test_accuracy"]["value"] < 0.5
  assert ("is aimed at" in card or "was aimed at" in card) == missed


def test_arrays_in_fortran_order_come_back_right(run, tmp_path):
  kernel = np.asfortranarray(np.arange(12.0, dtype=np.float32).reshape(3, 4))
  program = Program(lambda state, inputs, index: inputs["x"] @ state["kernel"], {"x": np.zeros((1, 3), np.float32)})
  (tmp_path / "config.json").write_text("{}")
  (tmp_path / "result.json").write_text((run / "result.json").read_text())
  experiment = Experiment(learner=None, train_data=None, test_data=None, program=program)  # ty: ignore
  export.export(tmp_path, experiment, {"kernel": kernel, "unread": np.ones(2)})
  weights = safetensors.load_file(tmp_path / "export" / "model.safetensors")
  assert list(weights) == ["kernel"]
  np.testing.assert_array_equal(weights["kernel"], kernel)


def test_a_family_without_a_program_leaves_weights_and_card(run, tmp_path):
  (tmp_path / "config.json").write_text("{}")
  (tmp_path / "result.json").write_text((run / "result.json").read_text())
  experiment = Experiment(learner=None, train_data=None, test_data=None)  # ty: ignore
  export.export(tmp_path, experiment, {"step": np.int32(3), "params": {"topics": np.ones((2, 3), np.float32)}})
  assert {path.name for path in (tmp_path / "export").iterdir()} == {"README.md", "config.json", "model.safetensors"}
  assert list(safetensors.load_file(tmp_path / "export" / "model.safetensors")) == ["params/topics"]
