"""A short piece of `python -m tests.chaos`: one tiny run of two processes, disturbed three times."""

import random

import pytest

from tests.chaos import chaos
from tests.experiments import tiny

LAYOUT = chaos.Layout(2, 1, "pmap")
KINDS = ("stop a process", "kill a process", "cut the newest checkpoint short")


@pytest.fixture
def subject(tmp_path):
  file = tmp_path / "tiny.py"
  file.write_text(tiny.CONFIG)
  # A step takes a hundredth of a second, so that what disturbs it finds it at work.
  overrides = ("data.delay=0.01", "run.save_every=5 steps", "run.log_every=1 steps")
  return chaos.Subject("tests.experiments.tiny", str(file), overrides)


@pytest.mark.slow
def test_a_disturbed_run_ends_like_its_twin(subject, tmp_path):
  chaos.undisturbed(subject, LAYOUT, tmp_path / "twin")
  chance = random.Random(0)
  outcome = chaos.disturbed(subject, LAYOUT, KINDS, tmp_path / "twin", tmp_path / "run", chance, early=0)
  log = (tmp_path / "run.log").read_text()
  assert not outcome.difference, f"{outcome}\n{log}"
  assert len(outcome.disturbances) == len(KINDS), f"{outcome}\n{log}"
  assert len(outcome.stops) == 1
  assert outcome.stops[0] < 30, "seconds; measured, see docs/faults.md; not an idle machine's"
  assert "preempted at step" in log
  assert "error: process" in log
  assert "was killed by SIGKILL" in log
