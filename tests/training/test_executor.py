"""Laying a learner over devices: exact evaluation, streamed feeds, guards against slow mistakes."""

import dataclasses
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.data import pipeline
from research.data.dataset import Dataset
from research.errors import UserError
from research.metrics import Mean
from research.training import executor, loop, parallel
from research.training.experiment import Experiment
from research.training.learner import Learner, State
from tests.training import sketches
from tests.training.test_loop import assert_same, rows, train

VALUES = np.random.default_rng(0).normal(size=23).astype(np.float32)


def counting():
  """Its metrics show which examples it was given, and nothing else."""
  seen = lambda batch: {"mean": Mean.of(batch["x"], batch["mask"]), "square": Mean.of(batch["x"] ** 2, batch["mask"])}
  update = lambda state, batch: (state.replace(step=state.step + 1), seen(batch))
  return Learner(lambda key, batch: State.create(key), update, lambda state, batch: seen(batch))


def streamed(arrays, batch_size, fail_at=None, seen=None):
  """A set read by the step, nothing resident."""
  count = len(next(iter(arrays.values())))

  def feed(step):
    if step == fail_at:
      raise UserError("data.path", "cat.png", "this image cannot be read.")
    if seen is not None:
      seen.append((step, threading.current_thread().name))
    places = pipeline.in_order(count, step * batch_size % count, batch_size)
    return {**{name: value[places["index"]] for name, value in arrays.items()}, "mask": places["mask"]}

  return Dataset("stream", {}, feed, lambda resident, fed: dict(fed), batch_size, count)


def runner(train_data, mode="jit", devices=1, learner=None, **options):
  experiment = Experiment(learner or counting(), train_data, train_data, train_data)
  return executor.Executor(experiment, parallel.plan(mode, devices), seed=0, **options)


@pytest.mark.parametrize(("mode", "devices"), [("jit", 1), ("pmap", 4), ("fsdp", 4)])
@pytest.mark.parametrize("make", [pipeline.sequential, streamed])
@pytest.mark.parametrize("batch_size", [1, 7, 23, 40])
def test_evaluation_is_exact(mode, devices, make, batch_size):
  if devices > 1:
    batch_size = -(-batch_size // devices) * devices
  data = make({"x": VALUES}, batch_size)
  run = runner(data, mode, devices)
  polls = []
  values = run.evaluate(run.init_state(), data, lambda: polls.append(1))
  np.testing.assert_allclose(values["mean"], VALUES.mean(dtype=np.float64), rtol=1e-6)
  np.testing.assert_allclose(values["square"], (VALUES.astype(np.float64) ** 2).mean(), rtol=1e-6)
  assert len(polls) == -(-23 // batch_size)


def test_two_sets_are_not_confused():
  small, large = pipeline.sequential({"x": VALUES}, 8), pipeline.sequential({"x": 2 * VALUES}, 8)
  run = runner(small)
  state = run.init_state()
  one, two, again = (run.evaluate(state, data)["mean"] for data in (small, large, small))
  np.testing.assert_allclose([two, again], [2 * one, one])


@pytest.mark.parametrize(("mode", "per_dispatch"), [("jit", 1), ("pmap", 5), ("fsdp", 1)])
def test_streamed_training_is_resident_training(mode, per_dispatch, tmp_path):
  base = sketches.classifier()
  resident = base.train_data
  feed = lambda step: {name: value[resident.feed(step)["index"]] for name, value in resident.resident.items()}
  stream = dataclasses.replace(resident, resident={}, feed=feed)
  settings = loop.Settings(total_steps=13, log_every=3)
  settings = dataclasses.replace(settings, steps_per_dispatch=per_dispatch)
  one = train(base, tmp_path / "resident", mode, settings)
  two = train(dataclasses.replace(base, train_data=stream), tmp_path / "stream", mode, settings)
  for a, b in zip(jax.tree.leaves(one.state.params), jax.tree.leaves(two.state.params), strict=True):
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  assert [row[:2] for row in rows(tmp_path / "resident")] == [row[:2] for row in rows(tmp_path / "stream")]


def test_streamed_feeds_come_in_order_and_ahead():
  seen = []
  run = runner(streamed({"x": VALUES}, 4, seen=seen))
  feeds = run.feeds(run.experiment.train_data, [(step, 1) for step in range(5, 25)], 1)
  first = next(feeds)
  assert first[0] == 5
  deadline = time.time() + 10
  while len(seen) < 1 + executor.PREFETCH and time.time() < deadline:
    time.sleep(0.01)
  assert [step for step, _ in seen[:3]] == [5, 6, 7], "read before they are asked for, not too far"
  assert seen[0][1] != threading.current_thread().name
  assert [step for step, *_ in feeds] == list(range(6, 25))
  assert [step for step, _ in seen] == list(range(5, 25))


def test_a_failing_feed_is_the_runs_failure(tmp_path):
  base = sketches.classifier()
  whole = dict(base.train_data.resident)
  broken = dataclasses.replace(base, train_data=streamed(whole, 20, fail_at=9))
  settings = loop.Settings(total_steps=20, save_every=4)
  with pytest.raises(UserError, match=r"cat\.png"):
    train(broken, tmp_path, settings=settings)
  mended = dataclasses.replace(base, train_data=streamed(whole, 20))
  after = train(mended, tmp_path, settings=settings).state
  assert_same(after, train(mended, tmp_path / "whole", settings=settings).state)


def test_stopping_early_leaves_no_thread(tmp_path):
  base = sketches.classifier()
  data = streamed(dict(base.train_data.resident), 20)
  before = threading.active_count()
  with pytest.raises(loop.Preempted):
    train(dataclasses.replace(base, train_data=data), tmp_path, settings=loop.Settings(total_steps=20, stop_at=3))
  assert threading.active_count() <= before + 1  # Orbax may keep one of its own


def test_the_guard_against_implicit_transfers_fires():
  """A host array in a compiled step would be copied to the device at every step, unseen."""
  run = runner(pipeline.shuffled({"x": VALUES}, 4, seed=0))
  state = run.init_state()
  _, _, feed, count = next(run.feeds(run.experiment.train_data, [(0, 1)], 1))
  on_host = jax.tree.map(np.asarray, feed)
  with pytest.raises(Exception, match="Disallowed host-to-device transfer"):
    run.update(state, on_host, count)
  state, _ = run.update(run.init_state(), feed, count)
  assert int(state.step) == 1


def test_a_learner_that_closes_over_the_host_is_no_violation():
  """Constants are part of the program: they are transferred once, when it is compiled."""
  table = np.arange(10.0, dtype=np.float32)
  learner = counting()
  update = lambda state, batch: (state.replace(step=state.step + 1), {"t": Mean.of(jnp.asarray(table), None)})
  run = runner(pipeline.shuffled({"x": VALUES}, 4, seed=0), learner=learner._replace(update=update))
  state = run.init_state()
  for _, _, feed, count in run.feeds(run.experiment.train_data, [(s, 1) for s in range(3)], 1):
    state, metrics = run.update(state, feed, count)
  np.testing.assert_allclose(metrics["t"].value(), table.mean())


@pytest.mark.parametrize(
  ("call", "parts"),
  [
    (lambda: parallel.plan("pmap", 4, batch_sizes={"batch_size": 6}), ("batch_size", "6", "4 devices", "use 8")),
    (
      lambda: parallel.plan("fsdp", 8, batch_sizes={"other": 64, "size": 4}),
      ("size", "4", "8 devices", "use 8"),
    ),
    (lambda: parallel.plan("pmapp"), ("config.run.parallelism", "pmapp", "auto, jit, pmap, fsdp")),
    (lambda: parallel.plan("pmap", 9), ("config.run.num_devices", "9", "sees 8")),
    (lambda: parallel.plan("pmap", -1), ("config.run.num_devices", "-1")),
  ],
)
def test_bad_plans(call, parts):
  with pytest.raises(UserError) as error:
    call()
  for part in parts:
    assert part in str(error.value)


def test_plans():
  assert parallel.plan("auto", 1).mode == "jit"
  assert parallel.plan("auto", 4).mode == "pmap"
  assert len(parallel.plan("jit").devices) == 1
  assert len(parallel.plan("auto").devices) == 8
  assert parallel.plan("jit", batch_sizes={"batch_size": 5}).mode == "jit"


def test_dispatches_never_cross_what_is_due():
  settings = loop.Settings(total_steps=50, steps_per_dispatch=7, eval_every=10, save_every=15, log_every=4, stop_at=33)
  spans = list(loop._spans(2, settings))
  assert sum(count for _, count in spans) == 48
  assert all(count <= 7 for _, count in spans)
  starts = {step for step, _ in spans}
  due = {s for s in range(3, 50) if s % 10 == 0 or s % 15 == 0 or s % 4 == 0 or s == 33}
  assert due <= starts
