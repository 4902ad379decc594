"""What each experiment exports computes what the experiment does, where there is nothing of this library."""

import importlib
import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.command import cli, export
from research.training.precision import precision
from tests import mock_data

pytest.importorskip("safetensors")

# Programs of every kind of state, in both precisions; what classifies is held to it in test_export.py.
CONFIGS = (
  "factors/digits",
  "gmm/iris",
  "gnn/karate",
  "hmm/weather",
  "rbm/digits",
  "transformer/masked",
  "word2vec/pydoc",
)
RUN = """
import pathlib, re, sys
import numpy as np
for folder in sys.argv[1:]:
  place = pathlib.Path(folder)
  names = {name: value for name, value in np.load(place / "inputs.npz").items()}
  code = re.search(r"```python\\n(.*?)```", (place / "README.md").read_text(), re.DOTALL)[1]
  code = code.replace('"predict.stablehlo"', repr(str(place / "predict.stablehlo")))
  code = code.replace('"model.safetensors"', repr(str(place / "model.safetensors")))
  exec(code, names)
  import jax
  np.savez(place / "outputs.npz", *jax.tree.leaves(names["outputs"]))
assert not any(name.split(".")[0] in ("research", "experiments", "flax") for name in sys.modules)
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TFDS_DATA_DIR", str(mock_data.write_all(folder)))
    patch.setenv("GENERA_DATA_DIR", str(mock_data.write_raw(folder / "raw")))
    yield folder


def exported(name: str, folder):
  """A run's export, untrained, beside inputs at random; what the experiment makes of them."""
  config = cli.load_config(f"configs/{name}.py:smoke", {"run.num_devices": "1"})
  metric = {"value": 0.5, "definition": "share", "bar": {"min": 0.6}}
  result = {"experiment": name, "config": name, "seed": 0, "step": 0, "wall_seconds": 1, "device": "cpu", "commit": ""}
  (folder / "config.json").write_text(config.to_json())
  (folder / "result.json").write_text(json.dumps({**result, "metrics": {"accuracy": metric}}))
  with precision(config.train.precision):
    experiment = importlib.import_module(f"experiments.{name.partition('/')[0]}").experiment(config)
    train, program = experiment.train_data, experiment.program
    init = jax.jit(lambda key, resident, fed: experiment.learner.init(key, train.assemble(resident, fed)))
    state = init(jax.random.key(0), dict(train.resident), train.feed(0))
    export.export(folder, experiment, state)
    inputs = {key: drawn(key, np.asarray(array)) for key, array in program.inputs.items()}
    np.savez(folder / "export" / "inputs.npz", **inputs)
    return jax.tree.leaves(jax.device_get(jax.jit(program.call)(state, inputs, jnp.arange(3))))


def drawn(name: str, like: np.ndarray) -> np.ndarray:
  """Three rows that mean something."""
  shape, rng = (3, *like.shape[1:]), np.random.default_rng(0)
  if name == "length":
    return np.repeat(like[:1] if like.size else 3, 3).astype(like.dtype)
  if np.issubdtype(like.dtype, np.integer):
    return rng.integers(0, 2, shape).astype(like.dtype)
  return rng.random(shape).astype(like.dtype)


def test_programs_compute_what_their_experiments_do(data, tmp_path):
  expected = {}
  for name in CONFIGS:
    folder = tmp_path / name.replace("/", "-")
    folder.mkdir()
    expected[folder / "export"] = exported(name, folder)
  command = [sys.executable, "-c", RUN, *map(str, expected)]
  subprocess.run(command, cwd=tmp_path, check=True, env={"JAX_PLATFORMS": "cpu", "PATH": ""})
  for folder, outputs in expected.items():
    with np.load(folder / "outputs.npz") as loaded:
      assert len(loaded.files) == len(outputs)
      for array, output in zip(loaded.values(), outputs):
        np.testing.assert_allclose(array, output, rtol=1e-3, atol=1e-4, err_msg=folder.parent.name)
