"""Values and files that a config's types allow and that mean nothing: refused by name, before any compute."""

import pathlib

import ml_collections
import numpy as np
import pytest

from experiments.command import cli, session
from research.data import files
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
