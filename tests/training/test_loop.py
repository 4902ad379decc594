"""The loop's promises, on a learner of each kind: what holds here holds for every family of the same kind."""

import dataclasses
import json
import os
import signal

import jax
import numpy as np
import pytest

from research.data import streams
from research.training import loop, parallel, rundir
from research.training.compilation import CompileClock
from research.training.preemption import Preempted
from tests.training import sketches

SETTINGS = loop.Settings(total_steps=24, eval_every=8, measure_every=6, save_every=5, log_every=4)


def train(experiment, folder, mode="jit", settings=SETTINGS, devices=4):
  run = rundir.RunDirectory(folder)
  try:
    return loop.train(loop.executor(experiment, settings, parallel.plan(mode, devices)), settings, run)
  finally:
    run.close()


def numbers(state):
  """Every leaf as NumPy, keys as their data."""
  plain = lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
  return [np.asarray(plain(leaf)) for leaf in jax.tree.leaves(state)]


def rows(folder):
  """Rows of metrics.jsonl by (step, kind), without the timing."""
  found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
  return sorted((r["step"], r["kind"], json.dumps(r, sort_keys=True)) for r in found if r["kind"] != "timing")


def assert_same(one, other):
  for a, b in zip(numbers(one), numbers(other), strict=True):
    np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module", params=sketches.ALL)
def whole(request, tmp_path_factory):
  """What makes each kind of experiment, the folder of its undisturbed run on one device, and how that ended."""
  make, folder = sketches.ALL[request.param], tmp_path_factory.mktemp("whole")
  return make, folder, train(make(), folder).state


@pytest.mark.parametrize("mode", ["pmap", "fsdp"])
def test_devices_agree(whole, mode, tmp_path):
  make, _, one = whole
  four = train(make(), tmp_path, mode).state
  for a, b in zip(numbers(one), numbers(four), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5)


def stopped_and_resumed(make, folder, settings):
  for stop in (3, 13):
    with pytest.raises(Preempted):
      train(make(), folder, settings=dataclasses.replace(settings, stop_at=stop))
  return train(make(), folder, settings=settings).state


def test_stopped_and_resumed_is_never_stopped(whole, tmp_path):
  make, folder, state = whole
  assert_same(state, stopped_and_resumed(make, tmp_path, SETTINGS))
  assert rows(folder) == rows(tmp_path)


@pytest.mark.parametrize("kind", sketches.ALL)
def test_stopped_amid_a_dispatch_and_resumed_is_never_stopped(kind, tmp_path):
  make, settings = sketches.ALL[kind], dataclasses.replace(SETTINGS, steps_per_dispatch=7)
  state = train(make(), tmp_path / "whole", settings=settings).state
  assert_same(state, stopped_and_resumed(make, tmp_path / "parts", settings))
  assert rows(tmp_path / "whole") == rows(tmp_path / "parts")


@pytest.mark.parametrize("kind", sketches.ALL)
def test_learns(kind, tmp_path):
  settings = loop.Settings(total_steps=120, eval_every=1, log_every=1)
  experiment = sketches.ALL[kind]()
  state = train(experiment, tmp_path, settings=settings).state
  assert all(np.isfinite(x).all() for x in numbers(state) if x.dtype.kind == "f")
  rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
  evals = [row for row in rows if row["kind"] == "eval"]
  if kind == "classifier":
    assert evals[-1]["accuracy"] > 0.9 > evals[0]["accuracy"]
  if kind in ("stream", "pack", "table"):
    assert evals[-1]["nll"] < 0.7 * evals[0]["nll"]
  if kind == "stream":
    assert evals[-1]["perplexity"] == pytest.approx(np.exp(evals[-1]["nll"]))
  if kind == "chain":
    assert evals[-1]["distance"] < 0.5
  if kind == "mixture":
    likelihoods = [row["log_likelihood"] for row in evals]
    assert np.all(np.diff(likelihoods) > -1e-4), "EM never lowers the likelihood of the full batch"
    centres = sorted(np.asarray(state.means)[:, 0])
    np.testing.assert_allclose(centres, [0, 4, 8], atol=0.6)
  if kind == "game":
    rng = np.random.default_rng(1)
    made = sketches.forward(sketches.Net(2), state.generator, rng.normal(size=(256, 2)))
    assert np.linalg.norm(np.mean(made, 0) - 2) < 1.0, "the generator has moved to the data"


def test_signal_saves_and_stops_at_once(tmp_path):
  experiment = sketches.classifier()
  steps = []
  feed = experiment.train_data.feed

  def interrupting(step):
    steps.append(step)
    if step == 11:
      os.kill(os.getpid(), signal.SIGTERM)
    return feed(step)

  data = dataclasses.replace(experiment.train_data, feed=interrupting)
  interrupted = dataclasses.replace(experiment, train_data=data)
  with pytest.raises(Preempted) as stopped:
    train(interrupted, tmp_path)
  assert stopped.value.step in (11, 12, 13)
  assert (tmp_path / "checkpoints" / str(stopped.value.step)).exists()
  resumed = train(sketches.classifier(), tmp_path)
  assert_same(resumed.state, train(sketches.classifier(), tmp_path / "whole").state)


def test_no_recompilation_after_the_first_evaluation(tmp_path):
  programs, clock = [], CompileClock()
  experiment = sketches.classifier()
  feed = experiment.train_data.feed

  def noting(step):
    programs.append(clock.programs)
    return feed(step)

  data = dataclasses.replace(experiment.train_data, feed=noting)
  train(dataclasses.replace(experiment, train_data=data), tmp_path)
  assert programs[10] > programs[0], "the clock counts"
  assert programs[-1] == programs[10]


def test_non_finite_stops_with_the_last_good_checkpoint(tmp_path):
  experiment = sketches.classifier()
  bad = sketches.classifier()
  bad.train_data.resident["inputs"][:] = np.nan
  stop = dataclasses.replace(SETTINGS, stop_at=9)
  with pytest.raises(Preempted):
    train(experiment, tmp_path, settings=stop)
  with pytest.raises(loop.NonFiniteError, match=r"step 9.*grad_norm.*max_skips"):
    train(bad, tmp_path)
  resumed = train(experiment, tmp_path)
  assert_same(resumed.state, train(sketches.classifier(), tmp_path / "whole").state)


def test_non_finite_updates_are_skipped_up_to_the_allowance(tmp_path):
  experiment = sketches.classifier()
  experiment.train_data.resident["inputs"][:3] = np.nan
  lenient = loop.Settings(total_steps=12, max_skips=100)
  state = train(experiment, tmp_path, settings=lenient).state
  assert 0 < int(state.skipped) < 100
  assert all(np.isfinite(x).all() for x in numbers(state) if x.dtype.kind == "f")


@pytest.mark.parametrize("mode", ["jit", "pmap", "fsdp"])
def test_an_evaluation_reads_a_stream_as_one(mode):
  """In chunks of 5 with carried state, as in one long chunk: each token is predicted once, after all before it."""
  experiment, long = sketches.stream(), streams.contiguous(sketches.BITS, 4, 200)
  executor = loop.executor(experiment, SETTINGS, parallel.plan(mode, 4))
  state = executor.init_state()
  parts = [executor.evaluate(state, experiment.eval_data) for _ in range(2)]
  assert parts[0]["nll"] == parts[1]["nll"], "every evaluation begins anew"
  np.testing.assert_allclose(parts[0]["nll"], executor.evaluate(state, long)["nll"], rtol=1e-5)
