"""The folder of a run is enough: its config, what it remembers of its data, and a prediction where these are not."""

import importlib
import json
import pathlib

import jax
import numpy as np
import pytest

from experiments.command import cli, runs
from research.data import remembered
from research.errors import UserError
from research.training import loop, parallel
from tests import mock_data

# Every way in which data are read from files, with what is learned of them before the first step.
READ = (
  "cnn/mnist",
  "cnn/own",
  "transformer/shakespeare",
  "transformer/sst2",
  "transformer/etth1",
  "hmm/brown_tagging",
  "hmm/jsb_chorales",
  "lda/brown",
  "gmm/mnist",
  "naive_bayes/mnist",
  "vae/binarized_mnist",
  "gan/mnist",
  "autoregressive/spoken_digits",
  "diffusion/spoken_digits",
  "gnn/esol",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  folder = tmp_path_factory.mktemp("data")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TFDS_DATA_DIR", str(mock_data.write_all(folder)))
    patch.setenv("GENERA_DATA_DIR", str(mock_data.write_raw(folder / "raw")))
    yield folder


@pytest.mark.parametrize("name", READ)
def test_a_run_is_built_anew_where_its_data_are_not(name, data, tmp_path, monkeypatch):
  build = importlib.import_module(f"experiments.{name.partition('/')[0]}").experiment
  config = cli.load_config(f"configs/{name}.py:smoke", {"run.num_devices": "1"})
  if name.endswith("/own"):
    with config.unlocked():
      config.data.path = str(data / "own")
  with remembered.Memory() as memory:
    before = shapes(build(config))
  memory.save(tmp_path)
  assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 200_000, "no example is kept"
  for variable in ("TFDS_DATA_DIR", "GENERA_DATA_DIR"):
    monkeypatch.setenv(variable, str(tmp_path / "nowhere"))
  if config.data.get("path"):
    with config.unlocked():
      config.data.path = str(tmp_path / "nowhere")
  with pytest.raises(UserError):
    build(config)
  stored = json.loads(json.dumps(config.to_dict()))
  config = runs.restored(stored, f"configs/{name}.py:smoke")
  assert json.loads(json.dumps(config.to_dict())) == stored
  with remembered.Memory(tmp_path, stand_in=True) as memory:
    assert shapes(build(config)) == before
  assert memory.absent
  with pytest.raises(UserError), remembered.Memory(tmp_path):
    build(config)


def test_chains_are_as_long_where_their_texts_are_not(data, tmp_path, monkeypatch):
  """A sampler's state has a place for every word of the longest document."""
  build = importlib.import_module("experiments.lda").experiment
  config = cli.load_config("configs/lda/brown.py:smoke", {"model.name": "gibbs"})
  with remembered.Memory() as memory:
    before = shapes(build(config))
  memory.save(tmp_path)
  monkeypatch.setenv("GENERA_DATA_DIR", str(tmp_path / "nowhere"))
  with remembered.Memory(tmp_path, stand_in=True) as memory:
    assert shapes(build(config)) == before
  assert memory.absent


def shapes(experiment):
  executor = loop.executor(experiment, loop.Settings(total_steps=1), parallel.plan("jit", 1))
  return jax.tree.map(lambda leaf: (leaf.shape, str(leaf.dtype)), executor.abstract_state())


def call(capsys, *argv):
  mlp = importlib.import_module("experiments.mlp")
  with pytest.raises(SystemExit) as stopped:
    cli.main(mlp.experiment, mlp.DEFAULT, list(argv))
  captured = capsys.readouterr()
  return stopped.value.code, captured.out, captured.err


def test_workdir_alone_will_do(tmp_path, capsys, monkeypatch):
  """Trained of an archive, moved with it out of reach: predicts as before; evaluates once it is told where that is."""
  monkeypatch.chdir(tmp_path)
  rng = np.random.default_rng(0)
  arrays = {"inputs": rng.normal(size=(40, 3)).astype(np.float32), "label": np.arange(40) % 2}
  np.savez("own.npz", **arrays, class_names=["cat", "dog"])
  np.savez("new.npz", inputs=arrays["inputs"][:4])
  options = ("--config.data.path=own.npz", "--config.data.normalise=train", "--config.run.num_devices=2")
  trained = call(capsys, "--config=configs/mlp/digits.py:smoke", *options, "--workdir=begun")
  assert trained[0] == 0, trained[2]
  run = ("--workdir=moved",)
  pathlib.Path("begun").rename("moved")
  pathlib.Path("own.npz").rename("elsewhere.npz")
  result = json.loads(pathlib.Path("moved/result.json").read_text())
  monkeypatch.setattr(jax, "device_count", lambda: 1)
  code, _, err = call(capsys, *run, "--mode=predict", "--input=new.npz")
  assert code == 0, err
  assert "data are not here" in err
  assert "trained on 2 devices; here on one" in err
  with np.load("moved/predictions.npz") as found:
    assert set(found["class_name"]) <= {"cat", "dog"}
    predicted = found["probabilities"]
  code, _, err = call(capsys, *run, "--mode=predict")
  assert (code, "name an input" in err) == (2, True)
  code, _, err = call(capsys, *run, "--mode=evaluate")
  assert (code, "--config.data.path=..." in err) == (2, True)
  code, _, err = call(capsys, *run, "--mode=evaluate", "--config.data.path=elsewhere.npz")
  assert code == 0, err
  assert "data.path was 'own.npz', now 'elsewhere.npz'" in err
  assert json.loads(pathlib.Path("moved/config.json").read_text())["data"]["path"] == "own.npz"
  again = json.loads(pathlib.Path("moved/result.json").read_text())
  assert again["metrics"]["test_loss"]["value"] == pytest.approx(result["metrics"]["test_loss"]["value"], rel=1e-5)
  assert call(capsys, *run, "--mode=predict", "--input=new.npz", "--config.data.path=elsewhere.npz")[0] == 0
  with np.load("moved/predictions.npz") as found:
    np.testing.assert_allclose(found["probabilities"], predicted, atol=1e-6)
  code, _, err = call(
    capsys, *run, "--mode=evaluate", "--config.data.path=elsewhere.npz", "--config.optimizer.learning_rate=1.0"
  )
  assert (code, "optimizer.learning_rate was" in err) == (2, True)
  code, _, err = call(capsys, *run, "--mode=sample")
  assert (code, "generates nothing" in err) == (2, True)
  with pytest.raises(UserError, match=r"experiments\.mlp --workdir=moved"):
    runs.load("moved", "cnn", "configs/cnn/digits.py", {})
  # The config file is gone: config.json alone will do.
  stored = json.loads(pathlib.Path("moved/config.json").read_text())
  assert runs.restored(stored, "nowhere.py").to_dict() == runs.restored(stored, result["config"]).to_dict()


def test_data_that_have_changed_are_no_data_of_the_run(tmp_path):
  for count, expected in ((20, ""), (20, ""), (21, "were of shapes [[20, 2]], now [[21, 2]]")):
    with remembered.Memory(tmp_path) as memory:
      remembered.data("rows", lambda count=count: np.zeros((count, 2)))
    assert expected in memory.changed()
    memory.save(tmp_path)


def test_memory_comes_back_as_it_was_and_names_no_class_of_others(tmp_path):
  value = {"a": (1, 2.5, None, "é"), ("x", "y"): [np.arange(3), np.float32(2)], "words": frozenset("ab")}
  with remembered.Memory() as memory:
    assert remembered.value("all", lambda: value) is value
  memory.save(tmp_path)
  with remembered.Memory(tmp_path):
    found = remembered.value("all", dict)
  np.testing.assert_array_equal(found.pop(("x", "y"))[0], np.arange(3))
  assert found == {"a": (1, 2.5, None, "é"), "words": frozenset("ab")}
  (tmp_path / remembered.JSON).write_text('{"all": {"class": "subprocess:Popen", "fields": {"args": "true"}}}')
  with remembered.Memory(tmp_path), pytest.raises(ValueError, match="no class of this project"):
    remembered.value("all", dict)
  (tmp_path / remembered.ARRAYS).write_bytes(b"damaged")
  with pytest.raises(UserError, match="damaged"):
    remembered.Memory(tmp_path)
