"""The command line: what a user can get wrong, and what the process says when it ends."""

import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from experiments.command import cli, session
from research.errors import UserError
from research.training.checkpoint import Checkpoints
from research.training.experiment import Report
from research.training.rundir import RunDirectory, read_rows
from tests.experiments import tiny

ROOT = pathlib.Path(__file__).resolve().parents[2]
ONE = "--config.run.num_devices=1"  # of the eight that the tests pretend to have


@pytest.fixture
def config(tmp_path):
  path = tmp_path / "tiny_config.py"
  path.write_text(tiny.CONFIG)
  return path


def call(capsys, *argv):
  """Exit code, stdout, stderr of the real command line function."""
  with pytest.raises(SystemExit) as stopped:
    cli.main(tiny.experiment, "configs/none.py", list(argv))
  captured = capsys.readouterr()
  return stopped.value.code, captured.out, captured.err


def assert_refused(capsys, argv, *parts):
  """Code 2, and on stderr one paragraph with all the parts: field, value, remedy."""
  code, _, err = call(capsys, *map(str, argv))
  assert code == cli.EXIT_USER_ERROR, err
  lines = [line for line in err.splitlines() if line.startswith("error: ")]
  assert len(lines) == 1, err
  assert "Traceback" not in err
  assert err.rstrip().endswith(lines[0])
  for part in parts:
    assert str(part) in lines[0], lines[0]
  return lines[0]


def test_trains_and_leaves_what_it_should(config, tmp_path, capsys):
  work = tmp_path / "run"
  code, out, err = call(capsys, f"--config={config}", f"--workdir={work}", ONE, "--config.model.width=6")
  assert code == 0, err
  result = json.loads((work / "result.json").read_text())
  assert result["experiment"] == "tiny"
  assert result["overrides"] == {"run.num_devices": "1", "model.width": "6"}
  assert result["step"] == 60
  assert result["finished"] is True
  assert result["metrics"]["test_accuracy"]["published"] == 1.0
  assert result["metrics"]["test_accuracy"]["bar"] == {"min": 0.5}
  assert result["metrics"]["test_loss"]["definition"] == "nats; test set"
  assert json.loads((work / "config.json").read_text())["model"]["width"] == 6
  for line in re.findall(r"^figure (.*)$", out, re.M):
    assert pathlib.Path(line).stat().st_size > 1000
  assert (work / "figures" / "learning_curves.png").exists()
  assert f"result {work / 'result.json'}" in out
  # Evaluated again from the checkpoint alone, the numbers are the same.
  code, _, err = call(
    capsys, f"--config={config}", f"--workdir={work}", ONE, "--config.model.width=6", "--mode", "evaluate"
  )
  assert code == 0, err
  again = json.loads((work / "result.json").read_text())
  # So are the seconds: they are what it took to train.
  assert {**again, "commit": ""} == {**result, "commit": ""}
  # Without a flag that names the folder, it follows from the config.
  assert cli.default_workdir("tiny", "a/b.py:smoke", {"seed": "1", "x.y": "2", "run.keep": "3"}, 1) == (
    "runs/tiny/b,smoke,y=2/seed1"
  )


@pytest.mark.parametrize(
  ("argv", "parts"),
  [
    (["--config.model.widht=3"], ["config.model.widht = '3'", "no such field", "nearest is config.model.width"]),
    (["--config.modl.width=3"], ["config.modl.width", "nearest is config.model.width"]),
    (["--config.model=3"], ["config.model = '3'", "no such field"]),
    (["--config.model.width=wide"], ["config.model.width = 'wide'", "type int", "default 8"]),
    (["--config.model.width=3.5"], ["config.model.width = '3.5'", "type int"]),
    (["--config.model.width=True"], ["config.model.width = 'True'", "type int"]),
    (["--config.model.bias=1"], ["config.model.bias = '1'", "type bool"]),
    (["--config.model.bias=true"], ["config.model.bias = 'true'", "type bool"]),
    (["--config.model.scale=big"], ["config.model.scale = 'big'", "type float"]),
    (["--workdri=x"], ["--workdri=x", "no such flag", "--workdir"]),
    (["train"], ["flag = 'train'", "no such flag"]),
    (["--mode=tran"], ["--mode = 'tran'", "train, evaluate, predict"]),
    (["--workdir"], ["--workdir", "needs a value"]),
    (["--config.train.duration=5 minutes"], ["config.train.duration = '5 minutes'", "epochs"]),
    (["--config.train.duration=0"], ["config.train.duration = '0'", "at least one step"]),
    (["--config.train.duration=10 %"], ["config.train.duration = '10 %'", "of what"]),
    (["--config.run.eval_every=-1"], ["config.run.eval_every = '-1'"]),
    (["--config.run.save_every=2.5"], ["config.run.save_every = '2.5'"]),
    (["--config.run.steps_per_dispatch=0"], ["config.run.steps_per_dispatch = 0", "1 or more"]),
    (["--config.run.keep=0"], ["config.run.keep = 0", "1 or more"]),
    (["--config.run.best_mode=largest"], ["config.run.best_mode = 'largest'", "max or min"]),
    (["--config.run.report_best=True"], ["config.run.report_best", "config.run.best_metric"]),
    (["--config.run.profile=ten"], ["config.run.profile = 'ten'", "10:20"]),
    (["--config.run.parallelism=ddp"], ["config.run.parallelism = 'ddp'", "auto, jit, pmap, fsdp"]),
    (["--config.run.num_devices=9"], ["config.run.num_devices = 9", "sees 8"]),
    (["--config.run.num_devices=3"], ["config.train.batch_size", "3 devices", "num_devices"]),
    (["--config.run.num_devices=8", "--config.train.batch_size=20"], ["config.train.batch_size = 20", "use 16"]),
    (["--config.run.num_devices=5", "--config.train.batch_size=20"], ["config.data.eval_batch_size = 32", "use 30"]),
    (["--config.train.batch_size=0"], ["batch"]),
    (["--config.train.batch_size=-8"], ["batch"]),
    (["--config.seed=-1"], ["seed = -1"]),
    (["--mode=evaluate"], ["--workdir", "no checkpoint", "--mode=train"]),
    (["--mode=predict"], ["--mode = 'predict'", "nothing to predict"]),
  ],
)
def test_refused(argv, parts, config, tmp_path, capsys):
  defaults = [f"--config={config}", f"--workdir={tmp_path / 'run'}"]
  assert_refused(capsys, [*defaults, ONE, *argv], *parts)


def test_config_files(config, tmp_path, capsys):
  assert_refused(capsys, ["--config=configs/mlp/digit.py"], "--config", "mlp/digit.py", "mean configs/mlp/digits")
  assert_refused(capsys, [f"--config={config}:shrot"], "--config", "shrot", "there is short")
  for text in ("def get_config(:", "x = 1", "import nothing_of_that_name"):
    broken = tmp_path / "broken.py"
    broken.write_text(text)
    assert_refused(capsys, [f"--config={broken}"], "--config", "broken.py")


def test_a_checkpoint_of_another_architecture(config, tmp_path, capsys):
  """The config tells first; and where it cannot (code has changed), the checkpoint does."""
  work = [f"--config={config}:short", f"--workdir={tmp_path / 'run'}", ONE]
  assert call(capsys, *work)[0] == 0
  kept = sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir())
  assert_refused(capsys, [*work, "--config.model.width=9"], "--workdir", "model.width was 8, now 9", "another workdir")
  (tmp_path / "run" / "config.json").unlink()
  assert_refused(capsys, [*work, "--config.model.width=9"], "another architecture", "float32[9,3]", "float32[8,3]")
  assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == kept
  (tmp_path / "run" / "config.json").unlink()
  assert call(capsys, *work)[0] == 0


def test_two_processes_on_one_workdir(config, tmp_path, capsys):
  held = RunDirectory(tmp_path / "run")
  argv = [f"--config={config}", f"--workdir={tmp_path / 'run'}", ONE]
  assert_refused(capsys, argv, "--workdir", tmp_path / "run", f"process {os.getpid()}", "another workdir")
  held.close()


def test_unwritable_workdir(config, tmp_path, capsys):
  argv = [f"--config={config}", f"--workdir={config / 'run'}", ONE]
  assert_refused(capsys, argv, "--workdir", config / "run", "cannot be written", "name a folder")


def test_not_a_number_is_code_3(config, tmp_path, capsys):
  argv = [f"--config={config}", f"--workdir={tmp_path / 'run'}", ONE, "--config.model.scale=1e38"]
  code, _, err = call(capsys, *argv)
  assert code == 3
  assert re.search(r"^error: step \d+: non-finite loss or gradient .*max_skips", err, re.M), err
  assert not (tmp_path / "run" / "result.json").exists()


def test_signal_is_code_75_and_the_relaunch_goes_on(config, tmp_path, capsys):
  work = tmp_path / "run"
  argv = [f"--config={config}", f"--workdir={work}", ONE, "--config.data.delay=0.02"]
  process = subprocess.Popen(
    [sys.executable, "-m", "tests.experiments.tiny", *argv], cwd=ROOT, stderr=subprocess.PIPE, text=True
  )
  until(lambda: read_rows(work / "metrics.jsonl"), process)
  process.send_signal(signal.SIGTERM)
  _, err = process.communicate(timeout=60)
  assert process.returncode == 75, err
  said = re.search(r"^preempted at step (\d+), saved in .*: run the same command to go on$", err, re.M)
  assert said, err
  assert (work / "checkpoints" / said[1]).exists()
  assert not (work / "result.json").exists()
  assert call(capsys, *argv)[0] == 0
  assert call(capsys, argv[0], f"--workdir={tmp_path / 'whole'}", *argv[2:])[0] == 0
  rows = lambda folder: [row for row in read_rows(folder / "metrics.jsonl") if row["kind"] != "timing"]
  assert rows(work) == rows(tmp_path / "whole")
  launches = json.loads((work / "run.json").read_text())["launches"]
  assert len(launches) == 2
  assert all(np.isfinite(launch["wall_seconds"]) for launch in launches)


def until(condition, process, seconds=60):
  """Waits for it, as long as the process lives."""
  deadline = time.time() + seconds
  while not condition():
    assert process.poll() is None, process.stderr.read()
    assert time.time() < deadline
    time.sleep(0.005)


@pytest.mark.parametrize("section", ["bars", "published"])
def test_a_claim_about_nothing_measured_is_an_error_that_keeps_the_result(section, config, tmp_path, capsys):
  text = config.read_text()
  config.write_text(text.replace(f'config.{section} = {{"test_accuracy"', f'config.{section} = {{"test_acuracy"'))
  assert_refused(capsys, (f"--config={config}", f"--workdir={tmp_path / 'run'}", ONE), f"config.{section}.test_acuracy")
  assert "test_accuracy" in json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]


def test_a_bar_that_says_nothing_is_refused_before_training(config, tmp_path, capsys):
  config.write_text(config.read_text().replace('{"min": 0.5}', '{"least": 0.5}'))
  assert_refused(capsys, (f"--config={config}", f"--workdir={tmp_path / 'run'}", ONE), "config.bars.test_accuracy")
  assert not (tmp_path / "run").exists()


def test_a_report_that_has_a_test_metric_is_an_error_that_keeps_both(config, tmp_path):
  twice = lambda given: dataclasses.replace(
    tiny.experiment(given), report=lambda state: Report({"test_loss": -1.0}, definitions={"test_loss": "another"})
  )
  loaded = cli.load_config(str(config), {"run.num_devices": "1"})
  with pytest.raises(UserError, match="test_loss"):
    session.run(twice, "tiny", str(config), loaded, str(tmp_path / "run"), "train", "")
  metrics = json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]
  assert metrics["test_loss"]["value"] >= 0
  assert metrics["test_loss"]["definition"] == "nats; test set"
  assert metrics["report_test_loss"] == {"value": -1.0, "definition": "another"}


def test_a_run_can_go_on_for_longer_and_another_begin_with_what_it_learned(config, tmp_path, capsys):
  begun, next_one = tmp_path / "begun", tmp_path / "next"
  argv = [f"--config={config}:short", ONE]
  assert call(capsys, *argv, f"--workdir={begun}")[0] == 0
  assert_refused(capsys, [f"--workdir={begun}", "--config.train.duration=8 steps"], "train.duration was '12 steps'")
  code, _, err = call(capsys, f"--workdir={begun}", "--config.train.duration=20 steps", ONE)
  assert code == 0, err
  assert "20 steps instead of 12" in err
  assert "the schedule cosine is now one of 20 steps" in err
  assert "--config.init_from" in err
  assert json.loads((begun / "result.json").read_text())["step"] == 20
  launches = json.loads((begun / "run.json").read_text())["launches"]
  assert launches[-1]["prolonged"] == {"from": 12, "to": 20}
  # A warm start: the state at step 0 has the other's arrays, all or some.
  warm = [*argv, f"--config.init_from={begun}"]
  code, _, err = call(capsys, *warm, f"--workdir={next_one}", "--config.optimizer.learning_rate=0.0")
  assert code == 0, err
  (_, before), (_, after) = (Checkpoints(folder / "checkpoints").raw() for folder in (begun, next_one))
  for name in ("params/Dense_0/kernel", "params/Dense_1/bias"):  # nothing moved: its learning rate is 0
    np.testing.assert_array_equal(before[name], after[name])
  noted = json.loads((next_one / "run.json").read_text())["launches"][0]["init_from"]
  assert (noted["step"], noted["paths"]) == (20, "")
  other = [*warm, f"--workdir={tmp_path / 'other'}", "--config.model.width=9"]
  assert_refused(capsys, other, "config.init_from", "params/Dense_1/kernel is [4, 9] here, [4, 8] there")
  assert_refused(capsys, [*other, "--config.init_paths=params/Dense_7"], "config.init_paths", "params/Dense_0/bias")
  code, _, err = call(capsys, *other, "--config.init_paths=params/Dense_0/bias")
  assert code == 0, err
  assert_refused(capsys, [*argv, f"--config.init_from={tmp_path}", f"--workdir={tmp_path / 'x'}"], "no folder of a run")


def test_what_nothing_has_foreseen_is_told_in_a_paragraph(config, tmp_path, capsys, monkeypatch):
  def fails(*_):
    raise TypeError("add got incompatible shapes\nand tells of them at length")

  monkeypatch.setattr(cli, "run", fails)
  argv = [f"--config={config}", f"--workdir={tmp_path / 'run'}", ONE, "--config.model.width=3"]
  assert_refused(capsys, argv, "TypeError: add got", "config.model.width = '3'", "GENERA_DEBUG=1")
  monkeypatch.setenv("GENERA_DEBUG", "1")
  with pytest.raises(TypeError):
    cli.main(tiny.experiment, "configs/none.py", argv)


def test_an_error_of_the_library_while_training_names_the_field_in_full(config, tmp_path, capsys, monkeypatch):
  def fails(*_):
    raise UserError("width", 8, "give more.")

  monkeypatch.setattr(cli, "run", fails)
  assert_refused(capsys, [f"--config={config}", f"--workdir={tmp_path}"], "config.model.width = 8: give more.")
