"""The E-step, psum, M-step learner against sums that NumPy takes of the same data."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.data import pipeline
from research.errors import UserError
from research.metrics import Mean
from research.training import loop, parallel, statistics
from research.training.executor import Executor
from research.training.experiment import Experiment
from research.training.precision import precision

RNG = np.random.default_rng(0)
DATA = RNG.normal(3.0, 2.0, size=(37, 2)).astype(np.float32)


def moments(**options):
  """Maximum likelihood of a Gaussian's mean, whose statistics are a count and a sum."""

  def expect(params, batch, key):
    del key
    total = (batch["x"] * batch["mask"][:, None]).sum(0)
    error = jnp.abs(batch["x"] - params["mean"]).sum(-1)
    return {"count": batch["mask"].sum(), "sum": total}, {"error": Mean.of(error, batch["mask"])}

  return statistics.statistics_learner(
    init=lambda key, batch: {"mean": jnp.zeros(batch["x"].shape[1:])},
    expect=expect,
    maximise=lambda params, s: {"mean": s["sum"] / s["count"]},
    evaluate=lambda params, batch: {"error": Mean.of(jnp.abs(batch["x"] - params["mean"]).sum(-1), batch["mask"])},
    **options,
  )


def trained(learner, batch_size, steps, devices=1):
  data = pipeline.passes({"x": DATA}, batch_size, seed=0)
  plan = parallel.plan("pmap" if devices > 1 else "jit", devices)
  executor = Executor(Experiment(learner, data, data), plan, 0)
  state = executor.init_state()
  for _, _, feed, count in executor.feeds(data, [(step, 1) for step in range(steps)], 1):
    state, _ = executor.update(state, feed, count)
  return jax.device_get(state)


@pytest.mark.parametrize("devices", [1, 4])
@pytest.mark.parametrize("batch_size", [8, 40])
def test_one_pass_counts_every_example_once(batch_size, devices):
  state = trained(moments(combine=statistics.total), batch_size, -(-37 // batch_size), devices)
  assert state.statistics["count"] == 37
  np.testing.assert_allclose(state.params["mean"], DATA.mean(0), rtol=1e-5)


def test_the_latest_batch_alone():
  state, batch = trained(moments(), 8, 3), pipeline.passes({"x": DATA}, 8, seed=0).feed(2)["index"]
  np.testing.assert_allclose(state.params["mean"], DATA[batch].mean(0), rtol=1e-5)


def test_micro_batches_are_the_batch():
  whole, parts = trained(moments(), 40, 1), trained(moments(accumulate=4), 40, 1)
  np.testing.assert_allclose(whole.params["mean"], parts.params["mean"], rtol=1e-6)
  with pytest.raises(UserError, match="accumulate"):
    trained(moments(accumulate=7), 40, 1)


def test_stepwise_is_a_moving_average_at_the_scale_of_the_set():
  """Batches 0 to 3 by the recursion of Cappé & Moulines, in NumPy; power 0 forgets all but the last."""
  state = trained(moments(combine=statistics.stepwise(37, power=0.6, delay=2.0)), 8, 4)
  data, expected = pipeline.passes({"x": DATA}, 8, seed=0), None
  for step in range(4):
    new = DATA[data.feed(step)["index"]].astype(np.float64).sum(0) * 37 / 8
    rate = (step + 2.0) ** -0.6
    expected = new if expected is None else (1 - rate) * expected + rate * new
  np.testing.assert_allclose(state.statistics["sum"], expected, rtol=1e-5)
  assert state.statistics["count"] == pytest.approx(37)
  forgetful, latest = trained(moments(combine=statistics.stepwise(37, 0)), 8, 3), trained(moments(), 8, 3)
  np.testing.assert_allclose(forgetful.params["mean"], latest.params["mean"], rtol=1e-5)
  with pytest.raises(UserError, match="power"):
    statistics.stepwise(37, 0.3)


def test_an_m_step_that_is_not_finite_changes_nothing_but_the_count():
  learner = moments()
  batch = {"x": jnp.asarray(DATA), "mask": jnp.ones(37)}
  good, _ = learner.update(learner.init(jax.random.key(0), batch), batch)
  bad, _ = learner.update(good, {**batch, "x": batch["x"].at[3].set(jnp.nan)})
  assert (int(bad.step), int(bad.skipped)) == (2, 1)
  np.testing.assert_array_equal(bad.params["mean"], good.params["mean"])


@pytest.mark.parametrize("combine", [statistics.latest, statistics.total, statistics.stepwise(37)])
def test_a_batch_of_padding_changes_nothing_and_is_no_error(combine):
  learner = moments(combine=combine)
  batch = {"x": jnp.asarray(DATA), "mask": jnp.ones(37)}
  good, _ = learner.update(learner.init(jax.random.key(0), batch), batch)
  dispatch = jax.jit(parallel.training_dispatch(learner, lambda resident, fed: fed, 1))
  padding = {"x": batch["x"][None], "mask": jnp.zeros((1, 37))}
  after, metrics = dispatch(good, {}, 1, padding)
  assert np.asarray(metrics[parallel.GUARD]).tolist() == [0, 1]
  jax.tree.map(np.testing.assert_array_equal, (after.params, after.statistics), (good.params, good.statistics))


def test_counting_refuses_a_second_epoch():
  """It would count every example twice, and so halve what any prior weighs."""
  data, plan = pipeline.passes({"x": DATA}, 8, seed=0), parallel.plan("jit", 1)
  experiment = Experiment(moments(combine=statistics.total), data, data)
  loop.executor(experiment, loop.Settings(total_steps=5), plan)
  with pytest.raises(UserError, match=r"config.train.duration = '6 steps'.*one epoch, 5 steps"):
    loop.executor(experiment, loop.Settings(total_steps=6), plan)
  loop.executor(Experiment(moments(), data, data), loop.Settings(total_steps=6), plan)


def test_parameters_are_prepared_for_the_batch_and_kept():
  """A shift that the first batch sets: sums are about it, and a later batch does not move it."""

  def prepare(params, statistics, batch):
    return {**params, "shift": jnp.where(statistics["count"] == 0, batch["x"][0], params["shift"])}

  def expect(params, batch, key):
    del key
    total = ((batch["x"] - params["shift"]) * batch["mask"][:, None]).sum(0)
    return {"count": batch["mask"].sum(), "sum": total}, {}

  learner = statistics.statistics_learner(
    init=lambda key, batch: {"mean": jnp.zeros(2), "shift": jnp.zeros(2)},
    expect=expect,
    maximise=lambda params, s: {**params, "mean": params["shift"] + s["sum"] / s["count"]},
    evaluate=lambda params, batch: {},
    combine=statistics.total,
    prepare=prepare,
  )
  state = trained(learner, 8, 5)
  first = pipeline.passes({"x": DATA}, 8, seed=0).feed(0)["index"][0]
  np.testing.assert_array_equal(state.params["shift"], DATA[first])
  np.testing.assert_allclose(state.params["mean"], DATA.mean(0), rtol=1e-5)


def test_float64_by_name_and_only_within():
  with precision("float64"):
    assert jnp.zeros(()).dtype == jnp.float64
    with precision("bfloat16"):
      assert jnp.zeros(()).dtype == jnp.float32
  assert jnp.zeros(()).dtype == jnp.float32
  with pytest.raises(UserError, match="float16"), precision("float16"):
    pass
