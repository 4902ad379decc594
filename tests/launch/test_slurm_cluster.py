"""On a real Slurm: submitted to two nodes, preempted, requeued, resumed, finished, as if nothing had happened."""

import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

import pytest

from research.training.rundir import read_rows
from tests.experiments import tiny
from tests.launch import slurm_lab
from tests.launch.runs import SLOWLY, alone, numbers, two_devices

ROOT = pathlib.Path(__file__).resolve().parents[2]
pytestmark = [
  pytest.mark.skipif(bool(slurm_lab.missing()), reason=slurm_lab.missing()),
  pytest.mark.xdist_group("slurm"),  # one cluster, in one of the test processes
]

# In an experiment's place where only its exit matters: saves when it is asked to, and ends well once relaunched.
STAND_IN = """#!/bin/bash
trap 'echo saved; exit 75' TERM
echo "launch ${SLURM_RESTART_COUNT:-0}"
if [ -n "$SLURM_RESTART_COUNT" ]; then exit 0; fi
for i in $(seq 600); do sleep 0.1; done
"""


@pytest.fixture(scope="module")
def lab():
  folder = pathlib.Path(tempfile.mkdtemp(prefix="slurm-"))
  cluster = slurm_lab.Lab(folder)
  cluster.environment["XLA_FLAGS"] = two_devices()
  try:
    cluster.start()
    yield cluster
  finally:
    cluster.stop()
    shutil.rmtree(folder)


@pytest.fixture
def config(tmp_path):
  path = tmp_path / "tiny.py"
  path.write_text(tiny.CONFIG)
  return path


@pytest.fixture
def stand_in(tmp_path):
  path = tmp_path / "stand_in"
  path.write_text(STAND_IN)
  path.chmod(0o755)
  return path


def submit(lab, config, *flags) -> list[str]:
  """The ids of the jobs that the launcher submits."""
  words = [sys.executable, "-m", "launch.slurm", "--experiment=tests.experiments.tiny", f"--config={config}", *flags]
  done = subprocess.run(words, env=lab.environment, cwd=ROOT, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  return [line.split()[1] for line in done.stdout.splitlines()]


def read(folder, job) -> str:
  """What a job has printed so far."""
  path = folder / f"slurm-{job}.out"
  return path.read_text() if path.exists() else ""


def preempt(lab, job, task=""):
  """What `--signal`, and a partition that preempts, do: SIGTERM to the tasks."""
  lab.run("scancel", "--signal=TERM", f"{job}_{task}" if task else job)


@pytest.mark.slow
def test_preempted_requeued_resumed_exact(lab, config, tmp_path):
  whole, work = tmp_path / "whole", tmp_path / "work"
  (job,) = submit(lab, f"{config}:short", "--nodes=2", "--time=10", f"--workdir={work}", *SLOWLY)
  lab.until(lambda: sum(row["kind"] == "train" for row in read_rows(work / "metrics.jsonl")) > 4, 240)
  preempt(lab, job)
  lab.until(lambda: lab.state(job) == "PENDING", 60)
  assert f"preempted, requeued: {job}" in read(work, job)
  assert not (work / "result.json").exists()
  lab.restart_now(job)
  lab.until(lambda: lab.state(job) in ("COMPLETED", "FAILED"), 240)
  assert lab.state(job) == "COMPLETED", read(work, job)

  alone(2, f"--config={config}:short", f"--workdir={whole}", *SLOWLY)
  assert numbers(work) == numbers(whole)
  launches = json.loads((work / "run.json").read_text())["launches"]
  assert [(launch["num_processes"], launch["num_devices"]) for launch in launches] == [(2, 4), (2, 4)]


@pytest.mark.slow
def test_array_of_seeds_and_sweep_ends_in_one_table(lab, config, tmp_path):
  sweep = tmp_path / "rates.txt"
  sweep.write_text("--config.optimizer.learning_rate=1e-2\n--config.optimizer.learning_rate=1e-1\n")
  flags = ["--time=10", f"--workdir={tmp_path / 'sweep'}", "--seeds=0-1", f"--sweep={sweep}", "--array=0,2-3"]
  _, table = submit(lab, f"{config}:short", *flags)
  lab.until(lambda: lab.state(table) in ("COMPLETED", "FAILED"), 240)
  text = (tmp_path / "sweep" / "table.md").read_text()
  rows = [line for line in text.splitlines() if line.startswith("| tiny") or "learning_rate" in line]
  assert [line.split("|")[2].strip() for line in rows if line.startswith("|")] == ["1", "2"]
  assert "learning_rate=1e-2/seed1: not begun" in text, text


def test_a_task_of_an_array_is_requeued_alone(lab, config, stand_in, tmp_path):
  flags = [f"--python={stand_in}", "--time=10", f"--workdir={tmp_path / 'runs'}", "--seeds=0-1"]
  array, table = submit(lab, config, *flags)
  output = lambda task: read(tmp_path / "runs", f"{array}_{task}")
  lab.until(lambda: all("launch" in output(task) for task in range(2)), 30)
  preempt(lab, array, "1")
  lab.until(lambda: lab.state(f"{array}_1") == "PENDING", 30)
  assert lab.state(f"{array}_0") == "RUNNING"
  lab.restart_now(f"{array}_1")
  lab.until(lambda: lab.state(f"{array}_1") == "COMPLETED", 30)
  assert "launch 1" in output(1)
  lab.run("scancel", array, table)


@pytest.mark.slow  # Slurm looks at the clock every half minute
def test_end_of_time_saves_and_requeues(lab, config, stand_in, tmp_path):
  work = tmp_path / "run"
  (job,) = submit(lab, config, f"--python={stand_in}", "--time=1", "--grace=55", f"--workdir={work}")
  lab.until(lambda: lab.state(job) == "PENDING" and "requeued" in read(work, job), 90)
  assert read(work, job).count("saved") == 1, "a second signal would end a save"
  lab.run("scancel", job)


def test_cancelled_stays_cancelled(lab, config, stand_in, tmp_path):
  work = tmp_path / "run"
  (job,) = submit(lab, config, f"--python={stand_in}", "--time=1", f"--workdir={work}")
  lab.until(lambda: "launch" in read(work, job), 30)
  lab.run("scancel", job)
  lab.until(lambda: lab.state(job) == "CANCELLED" and not lab.run("squeue", "--noheader", f"--job={job}"), 30)
  assert "saved" in read(work, job)
  assert "requeued" not in read(work, job)


def test_bad_input_fails_and_stays_failed(lab, config, tmp_path):
  work = tmp_path / "run"
  (job,) = submit(lab, config, "--time=1", f"--workdir={work}", "--config.train.batch_size=-1")
  lab.until(lambda: lab.state(job) == "FAILED", 60)
  assert "ExitCode=2:0" in lab.run("scontrol", "show", "job", job)
