"""Values and files that a config's types allow and that mean nothing: refused by name, before any compute."""

import importlib
import pathlib

import ml_collections
import numpy as np
import pytest

from experiments import cnn, mlp, resnet
from experiments.command import cli, ranges, session
from research.data import files, remembered
from research.errors import UserError


@pytest.mark.parametrize("field", ["train.batch_size", "optimizer.learning_rate", "run.report_best"])
def test_none_is_no_value_of_a_field_that_has_a_type(field):
  with pytest.raises(UserError, match=field):
    cli.load_config("configs/mlp/digits.py", {field: "None"})


@pytest.mark.parametrize(
  ("field", "value", "remedy"),
  [
    ("train.accumulate", 0, "give 1 or more"),
    ("train.members", 0, "give 1 or more"),
    ("train.ema_decay", 1.5, "give 0 or more and less than 1"),
    ("train.ema_decay", -0.1, "give 0 or more"),
    ("optimizer.learning_rate", -1.0, "give 0 or more"),
    ("optimizer.learning_rate", float("nan"), "give 0 or more"),
    ("optimizer.clip_norm", float("inf"), "give 0 or more"),
    ("model.small.dropout", 1.0, "less than 1"),
    ("model.small.stages", ((8, 0),), "give 1 or more"),
    ("model.small.stages", ((8, "a"),), "write numbers"),
    ("augment.scale", (1.1, 0.9), "the lesser first"),
    ("augment.scale", (1.0,), "two numbers"),
    ("report.compare", (1,), "write words"),
    ("model.mlp.latents", (), "one entry at least"),
    ("report.folds", 1, "2 or more; 0 for none"),
    ("seed", -1, "give 0 or more"),
    ("data.image_size", 2**31 - 1, "at most 8192"),
    ("data.limit", 2**40, "2,147,483,647 or less"),
  ],
)
def test_numbers_out_of_range_are_refused(field, value, remedy):
  with pytest.raises(UserError, match=remedy) as refusal:
    ranges.check({field: value})
  assert refusal.value.field == f"config.{field}"


def test_a_range_is_that_of_the_longest_end_of_the_name():
  assert ranges.interval("model.steps") == "[0, inf)"
  assert ranges.interval("agent.steps") == ranges.interval("model.gin.steps") == "[1, inf)"


@pytest.mark.parametrize(
  ("field", "text"), [("model.small.stages", "(8, 8)"), ("augment.scale", "((2, 2),)"), ("augment.scale", "(None, 1)")]
)
def test_entries_of_a_tuple_are_of_its_default_s_types(field, text):
  with pytest.raises(UserError, match="of type tuple"):
    cli.load_config("configs/cnn/mnist.py", {field: text})
  assert cli.load_config("configs/cnn/digits.py", {"augment.scale": "(1, 2)"}).augment.scale == (1, 2)


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
  assert cli.full_name("name", "digits", config) == "config.data.name"  # of two the one that has this value
  assert cli.full_name("name", "cnn", config) == "name"


@pytest.mark.parametrize(
  ("fields", "field", "remedy"),
  [
    ({"run.best_metric": "acuracy"}, "config.run.best_metric", "use accuracy"),
    ({"run.best_metric": "nope"}, "config.run.best_metric", "there are accuracy"),
    ({"run.best_metric": "accuracy", "run.eval_every": "0 steps"}, "config.run.eval_every", "one evaluation"),
    ({"init_from": "nowhere"}, "config.init_from", "no folder of a run"),
  ],
)
def test_what_would_end_a_run_later_is_refused_before_it_begins(fields, field, remedy, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  fields = {"data.validation": "0.2", **fields}
  config = cli.load_config("configs/mlp/digits.py:smoke", fields)
  with pytest.raises(UserError, match=remedy) as refused:
    session.prepared(mlp.experiment, config, remembered.Memory(), "train")
  assert refused.value.field == field
  kept = cli.load_config("configs/mlp/digits.py:smoke", fields)
  session.prepared(mlp.experiment, kept, remembered.Memory(), "evaluate", begun=True)  # of a run that there is


@pytest.mark.parametrize("network", [cnn, resnet])
def test_rows_of_numbers_are_no_images(network, tmp_path):
  np.savez(tmp_path / "rows.npz", inputs=np.zeros((20, 3), np.float32), label=np.arange(20) % 2)
  config = cli.load_config(f"{network.DEFAULT}:smoke", {"data.path": str(tmp_path / "rows.npz")})
  with pytest.raises(UserError, match=r"shape \(3,\) is no image.*experiments\.mlp") as refused:
    network.experiment(config)
  assert refused.value.field == "config.data.path"
  config = cli.load_config("configs/mlp/digits.py:smoke", {"data.path": str(tmp_path / "rows.npz")})
  assert mlp.experiment(config).train_data.num_examples + 4 + 2 == 20  # to test, to choose by


@pytest.mark.parametrize("name", ["diffusion/text", "factors/digits", "gnn/karate", "lstm/pydoc", "transformer/pydoc"])
def test_a_task_is_what_a_config_is_for(name):
  """One that there is not, and that of another config, whose fields this one has not."""
  family = importlib.import_module(f"experiments.{name.partition('/')[0]}")
  spec = f"configs/{name}.py:smoke"
  for task in {"nope", *getattr(family, "TASKS", ())} - {cli.load_config(spec).task}:
    with pytest.raises(UserError, match="begin with a config of that task") as refused:
      cli.load_config(spec, {"task": task})
    assert refused.value.field == "config.task"
  own = cli.load_config(spec)  # as a config file of one's own may say
  own.task = "nope"
  with pytest.raises(UserError, match="choose"):
    family.experiment(own)
