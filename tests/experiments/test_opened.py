"""A run in Python: functions on arrays are what the command does; the notebook runs."""

import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from experiments import gmm, mlp, open_run
from experiments.command import cli, session
from experiments.parts import as_files
from research.data import table, wavs
from research.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def train(module, name, folder):
  config = cli.load_config(f"configs/{name}.py:smoke", {"run.num_devices": "1"})
  spec = f"configs/{name}.py:smoke"
  assert session.run(module.experiment, name.partition("/")[0], spec, config, str(folder), "train", "") == 0


@pytest.fixture(scope="module")
def tour(tmp_path_factory):
  folder = tmp_path_factory.mktemp("tour")
  train(mlp, "mlp/digits", folder / "runs" / "tour")
  return folder


def test_the_notebook_runs_and_draws(tour, monkeypatch):
  monkeypatch.chdir(tour)
  cells = json.loads((ROOT / "docs" / "tour.ipynb").read_text())["cells"]
  names: dict = {}
  for cell in cells:
    if cell["cell_type"] == "code":
      exec("".join(cell["source"]), names)
  names["figure"].savefig("figure.png")
  with Image.open("figure.png") as image:
    assert image.size[0] > 500
    assert len(image.convert("L").getcolors()) > 50


def test_functions_of_arrays(tour):
  run = open_run(tour / "runs" / "tour")
  before = sorted(file.name for file in run.path.rglob("*"))
  values = {f"test_{name}": value for name, value in run.score().items()}
  for name, value in values.items():
    assert value == pytest.approx(run.result["metrics"][name]["value"], rel=1e-6)
  assert {len(column) for column in run.metrics.values()} == {len(run.metrics["step"])}
  test = run.experiment.test_data.resident
  inputs, label = np.asarray(test["inputs"])[:50], np.asarray(test["label"])[:50]
  found = run.predict(inputs)
  chosen = run.score(inputs=inputs, label=label)
  assert chosen["accuracy"] == pytest.approx((found["predicted"] == label).mean())
  nll = -np.log(found["probabilities"][np.arange(50), label]).mean()
  assert chosen["loss"] == pytest.approx(nll, rel=1e-4)
  with pytest.raises(UserError, match="fields of the test set: inputs, label"):
    run.score(inputs=inputs)
  with pytest.raises(UserError, match="trained on uint8"):
    run.score(inputs=inputs / 255, label=label)
  with pytest.raises(UserError, match="generates nothing"):
    run.sample()
  with pytest.raises(UserError, match=r"config\.json"):
    open_run(tour)
  assert sorted(file.name for file in run.path.rglob("*")) == before, "nothing is written"


def test_samples_by_count_and_seed(tmp_path):
  train(gmm, "gmm/iris", tmp_path)
  run = open_run(tmp_path)
  one, same, other = (run.sample(7, seed=seed)["samples"] for seed in (1, 1, 2))
  assert one.shape[1:] == (4,)
  np.testing.assert_array_equal(one, same)
  assert not np.array_equal(one, other)


def test_what_python_has_at_hand_becomes_the_file_that_a_family_reads(tmp_path):
  texts = ["one, two", "three"]
  assert as_files.lines(texts, tmp_path).read_text().splitlines() == texts
  rows = np.arange(6.0).reshape(3, 2)
  written = table.read(as_files.table(("a", "b"))(rows, tmp_path))
  np.testing.assert_array_equal(written.values, rows)
  samples = [0.5 * np.sin(np.arange(size)) for size in (40, 60)]
  (tmp_path / "sounds").mkdir()
  heard, rate = wavs.read(sorted(as_files.sounds(8000)(samples, tmp_path / "sounds").iterdir()))
  assert rate == 8000
  for one, other in zip(samples, heard):
    np.testing.assert_allclose(one / np.abs(one).max(), other, atol=1e-4)  # each is scaled to a peak of 1
  for write, wrong in ((as_files.lines, ["a\nb"]), (as_files.table(("a",)), rows), (as_files.sounds(1), rows[None])):
    with pytest.raises(UserError, match="predict"):
      write(wrong, tmp_path)
