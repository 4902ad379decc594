"""Sweeps: what runs beside what, what is left alone, and the table."""

import json
import signal
import subprocess
import sys
import time

import pytest

from launch import sweep
from launch.command import Run
from tests.experiments import tiny


@pytest.fixture
def config(tmp_path):
  file = tmp_path / "tiny.py"
  file.write_text(tiny.CONFIG)
  return f"{file}:short"


def runs(*overrides):
  folder = lambda o: f"runs/{','.join(f'{k}={v}' for k, v in o.items() if k != 'seed')}/seed{o.get('seed', 0)}"
  return [Run("experiments.mlp", "configs/mlp/digits.py", o, folder(o)) for o in overrides]


def test_seeds_of_one_variant_are_one_process():
  asked = runs(*({"a": a, "seed": str(seed)} for a in ("1", "2") for seed in range(3)))
  groups = sweep.grouped(asked, side_by_side=True)
  assert [[run.overrides["seed"] for run in group] for group in groups] == [["0", "1", "2"]] * 2
  argv = sweep.argv_of(groups[1], "python")
  assert argv[:3] == ["python", "-m", "experiments.seeds"]
  assert {"--seeds=0,1,2", "--workdir=runs/a=2", "--config.a=2", "--experiment=experiments.mlp"} <= set(argv)
  assert len(sweep.grouped(asked, side_by_side=False)) == 6
  assert sweep.argv_of(asked[:1], "python") == asked[0].argv("python")


def test_a_run_without_a_seed_is_alone():
  assert len(sweep.grouped(runs({"a": "1"}, {"a": "2"}), side_by_side=True)) == 2


@pytest.mark.parametrize("words", [["--jobs=0"], ["--vmap=maybe"], ["--seeds=a"], ["--job=1"]])
def test_bad_flags(words, config, capsys):
  assert sweep.main([f"--config={config}", "--experiment=tests.experiments.tiny", *words]) == 2
  assert "error: --" in capsys.readouterr().err.replace("flag = '--job", "--job")


def test_sweep(config, tmp_path, capfd):
  lines = tmp_path / "rates.txt"
  lines.write_text("--config.optimizer.learning_rate=1e-2\n--config.optimizer.learning_rate=1e-3\n")
  words = [f"--config={config}", "--experiment=tests.experiments.tiny", f"--workdir={tmp_path / 'runs'}"]
  words += ["--seeds=0-1", f"--sweep={lines}", "--jobs=2", "--config.run.parallelism=jit"]
  assert sweep.main([*words, "--dry-run"]) == 0
  assert capfd.readouterr().out.count("experiments.seeds") == 2
  assert sweep.main(words) == 0
  table = next((tmp_path / "runs").rglob("table.md")).read_text()
  assert table.count("learning_rate=") == 2
  assert table.count("(2)") >= 2
  assert "Not finished" not in table
  assert next((tmp_path / "runs").rglob("table.md")).with_name("curves.png").exists()
  files = sorted((tmp_path / "runs").rglob("result.json"))
  assert [json.loads(file.read_text())["seed"] for file in files] == [0, 1, 0, 1]
  before = [file.stat().st_mtime_ns for file in files]
  assert sweep.main(words) == 0
  assert [file.stat().st_mtime_ns for file in files] == before, "what has finished is left alone"


@pytest.mark.slow
def test_a_stopped_sweep_passes_the_signal_on(config, tmp_path):
  words = [f"--config={config.removesuffix(':short')}", "--experiment=tests.experiments.tiny", "--vmap=never"]
  words += [f"--workdir={tmp_path / 'runs'}", "--seeds=0-1", "--config.data.delay=0.5"]
  child = subprocess.Popen([sys.executable, "-m", "launch.sweep", *words], stderr=subprocess.PIPE, text=True)
  while not list((tmp_path / "runs").rglob("metrics.jsonl")):
    assert child.poll() is None
    time.sleep(0.05)
  child.send_signal(signal.SIGTERM)
  assert child.wait() == 75
  assert "preempted" in child.stderr.read()
