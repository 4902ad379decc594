"""Seeds side by side come to what they come to alone."""

import contextlib
import dataclasses
import json

import ml_collections
import numpy as np
import pytest

from experiments.command import cli, seeds, session
from research.data import pipeline
from research.training import side_by_side
from tests.experiments import tiny

SEEDS = (0, 1, 5)


@pytest.fixture
def configs(tmp_path):
  file = tmp_path / "tiny.py"
  file.write_text(tiny.CONFIG)
  short = lambda seed: cli.load_config(f"{file}:short", {"seed": str(seed), "run.parallelism": "jit"})
  return {seed: short(seed) for seed in SEEDS}


def result(folder):
  return json.loads((folder / "result.json").read_text())


def values(folder):
  return {name: metric["value"] for name, metric in result(folder)["metrics"].items()}


def rows(folder):
  found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
  return {(row["step"], row.pop("kind")): row for row in found if row["kind"] != "timing"}


def test_each_seed_ends_as_alone(configs, tmp_path):
  assert seeds.run(tiny.experiment, "tiny", "tiny.py:short", configs, str(tmp_path / "both"), {}) == 0
  for seed, config in configs.items():
    alone, beside = tmp_path / f"alone{seed}", tmp_path / "both" / f"seed{seed}"
    session.run(tiny.experiment, "tiny", "tiny.py:short", config, str(alone), "train", "")
    assert values(beside) == pytest.approx(values(alone), rel=1e-5)
    assert rows(beside).keys() == rows(alone).keys()
    for place, row in rows(alone).items():
      assert rows(beside)[place] == pytest.approx(row, rel=1e-4)
    assert result(beside)["seed"] == seed
  assert len({values(tmp_path / "both" / f"seed{seed}")["test_loss"] for seed in SEEDS}) == len(SEEDS)


def test_goes_on_where_it_was_stopped(configs, tmp_path):
  for config in configs.values():
    with config.unlocked():
      config.run.stop_at = 7
  run = lambda: seeds.run(tiny.experiment, "tiny", "tiny.py:short", configs, str(tmp_path / "both"), {})
  assert run() == 75
  for config in configs.values():
    config.run.stop_at = 0
  assert run() == 0
  assert result(tmp_path / "both" / "seed5")["step"] == 12


def other_data(experiment, seed):
  """The experiment, with data that the seed decides."""
  arrays = {"inputs": np.full((96, 4), seed, np.float32), "label": np.zeros(96, np.int32)}
  return dataclasses.replace(experiment, train_data=pipeline.shuffled(arrays, 16, seed=seed))


def test_why_not(configs):
  experiments = [tiny.experiment(config) for config in configs.values()]
  assert side_by_side.why_not(experiments) == ""
  assert "train_data" in side_by_side.why_not([other_data(one, seed) for one, seed in zip(experiments, SEEDS)])
  scaled = []
  for seed, config in configs.items():
    own = ml_collections.ConfigDict(config.to_dict())
    own.optimizer.learning_rate = 1e-2 + seed
    scaled.append(tiny.experiment(own))
  assert "more than keys" in side_by_side.why_not(scaled)


@pytest.mark.parametrize("fields", [{"run.report_best": True, "run.best_metric": "accuracy"}, {"init_from": "run"}])
def test_what_cannot_be_is_refused_before_training(configs, tmp_path, capsys, fields):
  for config in configs.values():
    with config.unlocked():
      config.update_from_flattened_dict({"init_from": "", **fields})
  assert seeds.run(tiny.experiment, "tiny", "tiny.py", configs, str(tmp_path), {}) == seeds.EXIT_NOT_ALLOWED
  assert "not side by side" in capsys.readouterr().err
  assert not list(tmp_path.glob("seed*"))


@pytest.mark.parametrize("words", [["--seeds=0,1"], ["--seeds=x", "--experiment=tests.experiments.tiny"], ["--sed=1"]])
def test_bad_flags(words, capsys):
  with contextlib.suppress(SystemExit):
    assert seeds.main(words) == 2
  assert "error" in capsys.readouterr().err
