"""What a run left behind, as numbers that must not depend on how often it was stopped."""

import json
import os
import pathlib
import re
import subprocess
import sys

from research.training.rundir import read_rows

ROOT = pathlib.Path(__file__).resolve().parents[2]


# Of `tests.experiments.tiny:short`, twelve steps: slow enough to be stopped at work, and saved before that.
SLOWLY = (
  "--config.data.delay=0.4",
  "--config.run.log_every=1 step",
  "--config.run.eval_every=6 steps",
  "--config.run.save_every=3 steps",
)


def two_devices() -> str:
  """This process's XLA_FLAGS, with two fake devices: the other flags change the last bits of a run."""
  return re.sub(r"(device_count=)\d+", r"\g<1>2", os.environ["XLA_FLAGS"])


def alone(processes: int, *flags: str) -> None:
  """`tests.experiments.tiny`, undisturbed, in so many processes of two devices each."""
  words = [sys.executable, "-m", "launch.local", f"--processes={processes}", "--devices=2", "--"]
  command = [*words, sys.executable, "-m", "tests.experiments.tiny", *flags]
  subprocess.run(command, cwd=ROOT, capture_output=True, check=True)


def numbers(workdir):
  """Every row but those of times, and the final metrics."""
  rows = [row for row in read_rows(workdir / "metrics.jsonl") if row["kind"] != "timing"]
  return rows, json.loads((workdir / "result.json").read_text())["metrics"]
