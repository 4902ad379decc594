"""Values and files that a config's types allow and that mean nothing: refused by name, before any compute."""

import pathlib

import ml_collections
import numpy as np
import pytest

from experiments import cnn
from experiments.command import cli, session
from research.data import files, remembered
from research.errors import UserError


@pytest.mark.parametrize("field", ["train.batch_size", "optimizer.learning_rate", "run.report_best"])
def test_none_is_no_value_of_a_field_that_has_a_type(field):
  with pytest.raises(UserError, match=field):
    cli.load_config("configs/mlp/digits.py", {field: "None"})


@pytest.mark.parametrize(
  ("field", "value"),
  [
    ("train.accumulate", 0),
    ("train.members", 0),
    ("train.ema_decay", 1.5),
    ("train.ema_decay", -0.1),
    ("optimizer.learning_rate", -1.0),
    ("optimizer.weight_decay", -1.0),
    ("optimizer.clip_norm", -1.0),
  ],
)
def test_numbers_out_of_range_are_refused(field, value):
  section, name = field.split(".")
  config = ml_collections.ConfigDict({"train": {}, "optimizer": {}})
  session.check_ranges(config)
  config[section][name] = value
  with pytest.raises(UserError, match=f"config.{field}"):
    session.check_ranges(config)


@pytest.mark.parametrize("size", [0, 100])
def test_a_damaged_archive_to_predict_is_refused(tmp_path: pathlib.Path, size):
  np.savez(tmp_path / "whole.npz", inputs=np.zeros((2, 3), np.float32))
  (tmp_path / "damaged.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:size])
  with pytest.raises(UserError, match="damaged"):
    files.unlabelled(tmp_path / "damaged.npz", (3,))


def test_what_is_odd_about_the_data_is_told_before_training(tmp_path: pathlib.Path):
  images = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 1)).astype(np.uint8)
  np.savez(tmp_path / "own.npz", inputs=images, label=np.ones(12, int))
  path = str(tmp_path / "own.npz")
  config = cli.load_config("configs/cnn/own.py", {"data.path": path, "train.batch_size": "64"})
  one_class, large_batch = session.notes_of(config, cnn.experiment(config))
  assert "'1'" in one_class
  assert "config.train.batch_size = 64" in large_batch


def test_an_error_of_the_library_names_the_field_of_the_config():
  config = ml_collections.ConfigDict({"data": {"image_size": 8, "name": "digits"}, "model": {"name": "mlp"}})

  def build(config):
    raise UserError("image_size", config.data.image_size, "give more.")

  with pytest.raises(UserError, match=r"^config\.data\.image_size = 8: give more"):
    session.built(build, config, remembered.Memory(), "train")
  assert cli.full_name("name", config) == "name"  # there are two
