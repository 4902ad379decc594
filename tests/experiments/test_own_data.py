"""Every command of docs/data.md, on a small file of its own: the experiment is built, and learns from a batch of it."""

import contextlib
import shutil

import numpy as np
import pytest

from experiments import detection, diffusion, segmentation
from experiments.command import cli
from research.data import raw, regressions, remembered, table
from research.errors import UserError
from tests.fuzz import configs, own_data
from tests.mock_data import own

EVERY = pytest.mark.parametrize("command", own_data.COMMANDS, ids=" ".join)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Every file that docs/data.md names."""
  folder = tmp_path_factory.mktemp("own")
  own.write(folder)
  with contextlib.chdir(folder):
    yield folder


@EVERY
def test_a_documented_command_learns_of_what_it_names(folder, command):
  ready = own_data.prepared(command)
  train = ready.experiment.train_data
  assert train.num_examples > 0 or command.experiment == "inference"  # whose chains go by a clock, beside their data
  assert all(len(np.asarray(part)) for part in train.feed(0).values())
  configs.trace(ready)


def test_every_file_is_named_and_every_name_is_written():
  assert {name for command in own_data.COMMANDS for name in command.names} == set(own.WRITERS)


@EVERY
@pytest.mark.parametrize("path", ["nowhere", "letter.pdf"])
def test_another_kind_is_answered_with_those_that_are_read(folder, command, path):
  (folder / "letter.pdf").write_bytes(b"%PDF-1.4")
  with pytest.raises(UserError, match=r"(?i)this experiment reads a") as refused:
    own_data.prepared(command, **{"data.path": path})
  assert "path" in refused.value.field


def test_own_data_need_no_name_and_known_files_are_no_own_data(folder, tmp_path):
  (tmp_path / "u.data").write_text("1\t1\t1\t1\n")
  assert not raw.is_own("movielens", str(tmp_path), "u.data")
  assert not raw.is_own("movielens", str(tmp_path / "u.data"), "u.data")
  assert not raw.is_own("movielens", "", "u.data")
  assert raw.is_own("movielens", str(folder / "ratings.csv"), "u.data")
  assert raw.is_own("sst2", str(tmp_path / "u.data"), "u.data", "v.data")
  assert raw.is_own("pydoc", str(tmp_path))


def test_the_column_that_is_named_is_explained_and_rows_are_read_by_name(folder):
  last, named = regressions.load("", "measures.csv"), regressions.load("", "measures.csv", "a")
  assert (last.columns, named.columns) == (("a", "b"), ("b", "c"))
  rows = table.read("measures.csv")
  outcome = np.sort(np.concatenate([named.train.outcome, named.test.outcome]))
  np.testing.assert_array_equal(outcome, np.sort(rows.values[:, 0]))
  np.testing.assert_array_equal(rows.of(("c", "a"), "x"), rows.values[:, [2, 0]])
  with pytest.raises(UserError, match="give the 2 columns a, z"):
    rows.of(("a", "z"), "x")
  with pytest.raises(UserError, match="no such column: choose one of a, b, c"):
    regressions.load("", "measures.csv", "z")


ON_SCENES = pytest.mark.parametrize(
  ("experiment", "config", "name", "kind"),
  [
    (segmentation.experiment, "configs/segmentation/digits.py:smoke", "my_scenes", "masks/"),
    (detection.experiment, "configs/detection/digits.py:smoke", "my_boxes", "annotations.json"),
    (diffusion.experiment, "configs/diffusion/captions.py:smoke", "my_captions", "captions.csv"),
  ],
)


@ON_SCENES
def test_images_without_what_is_learnt_of_them_are_answered_with_what_is_missing(
  experiment, config, name, kind, tmp_path
):
  own.write_one(tmp_path, "pictures")
  with pytest.raises(UserError, match=kind):
    experiment(cli.load_config(config, {"data.path": str(tmp_path / "pictures")}))


@ON_SCENES
def test_a_run_on_own_scenes_is_opened_where_they_are_gone(experiment, config, name, kind, tmp_path):
  own.WRITERS[name](tmp_path / name)
  config = cli.load_config(config, {"data.path": str(tmp_path / name)})
  with remembered.Memory() as memory:
    learned = experiment(config)
  memory.save(tmp_path)
  shutil.rmtree(tmp_path / name)
  with remembered.Memory(tmp_path, stand_in=True) as memory:
    opened = experiment(config)
  assert memory.absent
  assert opened.train_data.num_examples == learned.train_data.num_examples
