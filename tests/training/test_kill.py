"""Killed at any moment and relaunched, a run ends as if nothing had happened, bit for bit."""

import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from research.training import checkpoint, loop
from research.training.preemption import Preempted
from research.training.rundir import read_rows
from tests.training import sketches
from tests.training.test_loop import assert_same, rows, train

ROOT = pathlib.Path(__file__).resolve().parents[2]
SETTINGS = loop.Settings(total_steps=24, eval_every=6, save_every=6, log_every=3)

# A step takes a few milliseconds, so that a kill finds the run in its steps, its evaluations and its saves alike.
RUN = """
import dataclasses, sys, time
import numpy as np
from tests.training import sketches
from tests.training.test_loop import numbers, train
from research.training import loop

experiment = sketches.classifier()
feed = experiment.train_data.feed
slow = lambda step: (time.sleep(0.004), feed(step))[1]
experiment = dataclasses.replace(experiment, train_data=dataclasses.replace(experiment.train_data, feed=slow))
settings = loop.Settings(total_steps=300, eval_every=25, save_every=15, log_every=5, keep=3, best_metric="accuracy")
state = train(experiment, __import__("pathlib").Path(sys.argv[1]), settings=settings).state
np.savez(sys.argv[1] + "/final.npz", *numbers(state))
"""


def launch(folder):
  return subprocess.Popen([sys.executable, "-c", RUN, folder], cwd=ROOT, stderr=subprocess.DEVNULL)


def kill(folder, after):
  """Whether a launch was killed, some seconds after it took up its rows (the time before that is spent importing)."""
  path = folder / "metrics.jsonl"
  stamp = lambda: path.stat().st_mtime_ns if path.exists() else 0
  before, deadline, process = stamp(), time.time() + 90, launch(folder)
  while process.poll() is None and not (stamp() > before and read_rows(path)):
    assert time.time() < deadline
    time.sleep(0.002)
  time.sleep(after)
  process.send_signal(signal.SIGKILL)
  return process.wait() == -signal.SIGKILL


def test_kill_9_at_random_moments(tmp_path):
  undisturbed = launch(tmp_path / "whole")
  assert undisturbed.wait(timeout=120) == 0
  chance, folder = random.Random(0), tmp_path / "killed"
  killed = sum(kill(folder, chance.uniform(0.0, 0.6)) for _ in range(3))
  assert killed >= 2, "a run that ended before it was killed shows nothing"
  assert launch(folder).wait(timeout=120) == 0
  one, other = np.load(tmp_path / "whole" / "final.npz"), np.load(folder / "final.npz")
  for name in one.files:
    np.testing.assert_array_equal(one[name], other[name])
  assert rows(tmp_path / "whole") == rows(folder)
  kept = lambda run: sorted(p.name for p in (run / "checkpoints").iterdir())
  assert kept(folder) == kept(tmp_path / "whole"), "the same checkpoints too, the best among them"


def signalling(function, when):
  """`function`, which asks its own process to stop at its call number `when`."""
  calls = []

  def wrapped(*args, **options):
    calls.append(1)
    if len(calls) == when:
      os.kill(os.getpid(), signal.SIGTERM)
    return function(*args, **options)

  return wrapped


def at_first_trace(experiment):
  learner = experiment.learner
  return dataclasses.replace(experiment, learner=learner._replace(update=signalling(learner.update, 1)))


def at_initialisation(experiment):
  learner = experiment.learner
  return dataclasses.replace(experiment, learner=learner._replace(init=signalling(learner.init, 2)))


def in_evaluation(experiment):
  data = experiment.eval_data
  batches = data.num_batches
  assert batches > 2
  return dataclasses.replace(
    experiment, eval_data=dataclasses.replace(data, feed=signalling(data.feed, batches + 2))
  )  # amid the second one


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(("when", "stops_by"), [(at_initialisation, 0), (at_first_trace, 1), (in_evaluation, 12)])
def test_signal_in(when, stops_by, number, tmp_path, monkeypatch):
  monkeypatch.setattr(signal, "SIGTERM", number)
  with pytest.raises(Preempted) as stopped:
    train(when(sketches.classifier()), tmp_path / "run", settings=SETTINGS)
  assert stopped.value.step == stops_by
  assert (tmp_path / "run" / "checkpoints" / str(stops_by)).exists()
  assert_goes_on(tmp_path)


@pytest.mark.parametrize("method", ["save", "wait"])
def test_signal_in_a_save(method, tmp_path, monkeypatch):
  monkeypatch.setattr(checkpoint.Checkpoints, method, signalling(getattr(checkpoint.Checkpoints, method), 1))
  if method == "save":
    with pytest.raises(Preempted):
      train(sketches.classifier(), tmp_path / "run", settings=SETTINGS)
  else:  # the last wait: nothing is left to do, the run ends
    train(sketches.classifier(), tmp_path / "run", settings=SETTINGS)
  monkeypatch.undo()
  assert_goes_on(tmp_path)


def assert_goes_on(tmp_path):
  """The relaunch ends like a run that nothing ever stopped."""
  whole = train(sketches.classifier(), tmp_path / "whole", settings=SETTINGS).state
  assert_same(train(sketches.classifier(), tmp_path / "run", settings=SETTINGS).state, whole)
  assert rows(tmp_path / "run") == rows(tmp_path / "whole")


def test_best_is_the_same_when_stopped_within_the_evaluation_that_finds_it(tmp_path):
  settings = dataclasses.replace(SETTINGS, best_metric="accuracy", keep=1)
  train(sketches.classifier(), tmp_path / "whole", settings=settings)
  with pytest.raises(Preempted):
    train(in_evaluation(sketches.classifier()), tmp_path / "run", settings=settings)
  train(sketches.classifier(), tmp_path / "run", settings=settings)
  best = lambda run: checkpoint.Checkpoints(tmp_path / run / "checkpoints", best_metric="accuracy").best_step()
  assert best("run") == best("whole") is not None
