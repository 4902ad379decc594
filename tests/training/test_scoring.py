"""What is derived, what is measured on the host, and the best by either."""

import dataclasses
import json

import jax.numpy as jnp
import numpy as np
import pytest

from research.data import pipeline
from research.errors import UserError
from research.metrics import Mean
from research.training import loop, parallel, rundir, side_by_side
from research.training.executor import Executor
from research.training.experiment import Experiment
from research.training.learner import Learner, State
from research.training.preemption import Preempted
from tests.training.test_loop import rows, train

X = np.random.default_rng(0).normal(size=24).astype(np.float32)


def by_step(scores=(), measure=None):
  """Its metric at step s is `scores[s]`, whatever the data."""
  table = jnp.asarray(scores or np.arange(100.0), jnp.float32)
  evaluate = lambda state, batch: {
    "score": Mean.of(jnp.full(len(batch["mask"]), table[state.step]), batch["mask"]),
    "square": Mean.of(batch["x"] ** 2, batch["mask"]),
  }
  update = lambda state, batch: (state.replace(step=state.step + 1), {})
  learner = Learner(lambda key, batch: State.create(key), update, evaluate)
  data = pipeline.sequential({"x": X}, 8)
  train_data = pipeline.shuffled({"x": X}, 8, seed=0)
  derive = lambda means: {"rms": np.sqrt(means["square"])}
  return Experiment(learner, train_data, data, data, derive=derive, measure=measure)


def spread(state, data):
  """The largest value less the smallest, by the batches of the data: no mean."""
  seen = np.concatenate([np.asarray(data.resident["x"])[data.feed(i)["index"]] for i in range(data.num_batches)])
  return {"spread": np.ptp(seen) + int(state.step)}


@pytest.mark.parametrize("mode", ["jit", "pmap"])
def test_derived_metrics_are_functions_of_the_exact_means(mode):
  experiment = by_step()
  executor = Executor(experiment, parallel.plan(mode, 4), seed=0)
  values = executor.evaluate(executor.init_state(), experiment.eval_data)
  np.testing.assert_allclose(values["rms"], np.sqrt((X.astype(np.float64) ** 2).mean()), rtol=1e-6)
  clash = dataclasses.replace(experiment, derive=lambda means: {"square": 0.0})
  executor = Executor(clash, parallel.plan("jit", 1), seed=0)
  with pytest.raises(ValueError, match="square"):
    executor.evaluate(executor.init_state(), experiment.eval_data)


def test_measures_have_an_interval_of_their_own(tmp_path):
  settings = loop.Settings(total_steps=10, eval_every=4, measure_every=3, log_every=0, steps_per_dispatch=5)
  train(by_step(measure=spread), tmp_path, settings=settings)
  found = [json.loads(line) for _, _, line in rows(tmp_path)]
  assert [row["step"] for row in found if row["kind"] == "eval"] == [4, 8, 10]
  measured = {row["step"]: row["spread"] for row in found if row["kind"] == "measure"}
  assert measured == {step: pytest.approx(float(np.ptp(X)) + step) for step in (3, 6, 9, 10)}


@pytest.mark.parametrize("metric", ["score", "spread"])
def test_the_best_is_saved_when_it_is_evaluated(metric, tmp_path):
  """Evaluations and saves never coincide but at the end; the best of all evaluated is kept nevertheless."""
  scores = [0, 0, 3, 0, 9, 0, 4, 0, 8, 0, 1]
  measure = lambda state, data: {"spread": scores[int(state.step)]}
  experiment = by_step(scores, measure=measure)
  settings = loop.Settings(
    total_steps=10, eval_every=2, measure_every=2, save_every=3, log_every=0, best_metric=metric, keep=1
  )
  for stop in (4, 5):
    with pytest.raises(Preempted):
      train(experiment, tmp_path, settings=dataclasses.replace(settings, stop_at=stop))
  train(experiment, tmp_path, settings=settings)
  run = rundir.RunDirectory(tmp_path)
  checkpoints = loop.open_checkpoints(run, settings)
  assert checkpoints.best_step() == 4
  assert checkpoints.steps() == [4, 10]
  checkpoints.close()
  run.close()


def test_a_best_that_nothing_evaluates_is_refused(tmp_path):
  settings = loop.Settings(total_steps=4, eval_every=2, measure_every=2, best_metric="sprad")
  with pytest.raises(UserError, match="use spread"):
    train(by_step(measure=spread), tmp_path, settings=settings)
  with pytest.raises(UserError, match=r"config\.data\.validation"):
    loop.executor(dataclasses.replace(by_step(), eval_data=None), settings, parallel.plan("jit", 1))


def test_preemption_is_polled_within_a_measure():
  executor = Executor(by_step(measure=spread), parallel.plan("jit", 1), seed=0)
  polls = []
  executor.measure(executor.init_state(), executor.experiment.eval_data, lambda: polls.append(1))
  assert len(polls) == 2 + 3, "before, after, and for each of three batches"


def test_seeds_side_by_side_derive_and_measure_their_own():
  together = side_by_side.experiment([by_step(measure=spread)] * 2, [3, 5])
  executor = Executor(together, parallel.plan("jit", 1), seed=0)
  state = executor.init_state()
  values = executor.evaluate(state, together.eval_data)
  assert {"rms/3", "rms/5"} < {*values}
  assert {*executor.measure(state, together.eval_data)} == {"spread/3", "spread/5"}
