"""The fitting loop against a learner whose metric is known at every step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.estimators import base
from research.metrics import Mean
from research.training import statistics
from research.training.compilation import CompileClock


def halving(limit=1.0, spoilt_at=jnp.inf):
  """Halves its distance to `limit` in every update; the metric is minus the distance before it."""

  def expect(params, batch, key):
    del key
    metric = Mean.of(jnp.broadcast_to(params - limit, batch["mask"].shape), batch["mask"])
    return params, {"negative_distance": metric, "twice": metric + metric}

  def maximise(params, statistics):
    del statistics
    return jnp.where(params > spoilt_at, jnp.nan, (params + limit) / 2)

  return statistics.statistics_learner(
    init=lambda key, batch: jax.random.uniform(key) * 0, expect=expect, maximise=maximise, evaluate=lambda p, b: {}
  )


BATCH = {"mask": np.ones(3)}
LEARNER = halving()


def fitted(learner=LEARNER, max_iterations=10, tolerance=0.1, batch=BATCH):
  with base.float64():
    key = base.key_of(0)
    options = {"max_iterations": max_iterations, "tolerance": tolerance, "metric": "negative_distance"}
    return jax.device_get(base.fit(learner, batch, key=key, **options))


def test_stops_at_the_update_that_gains_less():
  """The metric is -1, -1/2, -1/4, -1/8, -1/16: its gains are 1/2, 1/4, 1/8, 1/16."""
  state, trace = fitted()
  assert trace.dtype == np.float64
  np.testing.assert_array_equal(trace[:5], [-1, -1 / 2, -1 / 4, -1 / 8, -1 / 16])
  assert np.isnan(trace[5:]).all()
  assert int(state.step) == 5
  assert float(state.params) == 1 - 2.0**-5


def test_stops_at_the_last_iteration_allowed():
  state, trace = fitted(max_iterations=3, tolerance=-np.inf)
  assert int(state.step) == 3
  assert not np.isnan(trace).any()


def test_never_stops_early_where_the_tolerance_is_minus_infinity():
  state, trace = fitted(max_iterations=100, tolerance=-np.inf)
  assert int(state.step) == 100
  assert trace[-1] == 0, "the gain has long been 0"


def test_ends_where_the_metric_is_not_a_number():
  state, trace = fitted(batch={"mask": np.zeros(3)}, tolerance=-np.inf)
  assert int(state.step) == 1
  assert np.isnan(trace).all()


def test_an_update_that_is_not_finite_is_counted():
  """From 1/2 on the M-step gives NaN: the update is skipped, the metric gains nothing, and the loop ends."""
  state, _ = fitted(halving(spoilt_at=0.4))
  assert int(state.skipped) == 2
  assert float(state.params) == 0.5


def test_equal_shapes_are_compiled_once():
  fitted(max_iterations=7)
  clock = CompileClock()
  fitted(max_iterations=7, tolerance=0.3, batch={"mask": np.ones(3) / 2})
  assert clock.programs == 0
  fitted(max_iterations=7, batch={"mask": np.ones(4)})
  assert clock.programs > 0, "the clock counts"


def test_several_starts_by_vmap():
  one = lambda key: base.fit(LEARNER, BATCH, key=key, max_iterations=10, tolerance=0.1, metric="negative_distance")
  state, trace = jax.vmap(one)(jax.random.split(jax.random.key(0), 4))
  assert trace.shape == (4, 10)
  np.testing.assert_array_equal(state.step, 5)


def test_float64_only_within():
  with base.float64():
    assert jnp.zeros(()).dtype == np.float64
  assert jnp.zeros(()).dtype == np.float32


@pytest.mark.parametrize("seed", [0, np.int64(7)])
def test_keys_of_a_random_state(seed):
  same = jax.random.key_data(base.key_of(seed)) == jax.random.key_data(base.key_of(int(seed)))
  assert bool(same.all())
  generator = np.random.RandomState(int(seed))
  first, second = base.key_of(generator), base.key_of(generator)
  assert bool((jax.random.key_data(first) != jax.random.key_data(second)).any())
