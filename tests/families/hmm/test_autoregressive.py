"""Bits that depend on those before: distances by search, likelihoods bit by bit, draws, and that all sum to one."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.families.hmm import autoregressive
from research.training.precision import precision

STATES, BITS = 3, 5


@pytest.fixture(autouse=True)
def double():
  with precision("float64"):
    yield


def params_of(reach):
  rng = np.random.default_rng(0)
  return jax.tree.map(
    jnp.asarray, {"logits": rng.normal(size=(STATES, BITS)), "offsets": rng.normal(size=(reach + 1, STATES, BITS))}
  )


def distance(before, feature):
  return min((abs(feature - other) for other in np.flatnonzero(before)), default=np.inf)


def probability(params, state, before, feature):
  """p(bit = 1), from the definition."""
  odds, j = float(params["logits"][state, feature]), distance(before, feature)
  if j < len(params["offsets"]):
    odds += float(params["offsets"][int(j), state, feature])
  return 1 / (1 + np.exp(-odds))


@pytest.mark.parametrize("reach", [0, 1, 3, 9])
def test_the_nearest_bit_is_found(reach):
  bits = np.array(list(itertools.product((0, 1), repeat=BITS)), float)
  found = np.stack(autoregressive.nearest(jnp.asarray(bits), reach))
  for before, masks in zip(bits, found.swapaxes(0, 1)):
    for feature in range(BITS):
      expected = np.arange(len(masks)) == distance(before, feature)
      np.testing.assert_array_equal(masks[:, feature], expected)


@pytest.mark.parametrize("reach", [0, 2])
def test_likelihoods_are_products_over_bits(reach):
  emission, params = autoregressive.autoregressive_bernoulli(STATES, BITS, reach=reach), params_of(reach)
  inputs = np.asarray(jax.random.bernoulli(jax.random.key(0), 0.4, (2, 3, BITS)), int)
  found = emission.log_likelihoods(params, jnp.asarray(inputs))
  for n, t, state in itertools.product(range(2), range(3), range(STATES)):
    before = inputs[n, t - 1] if t else np.zeros(BITS)
    p = np.array([probability(params, state, before, d) for d in range(BITS)])
    expected = np.log(np.where(inputs[n, t], p, 1 - p)).sum()
    assert found[n, t, state] == pytest.approx(expected, rel=1e-9)


def test_all_observations_sum_to_one():
  emission, params = (
    autoregressive.autoregressive_bernoulli(STATES, 4, reach=1),
    jax.tree.map(lambda x: x[..., :4], params_of(1)),
  )
  frames = np.array(list(itertools.product((0, 1), repeat=4)))
  inputs = jnp.asarray([[frames[5], frame] for frame in frames])
  total = jnp.exp(emission.log_likelihoods(params, inputs)[:, 1]).sum(0)
  np.testing.assert_allclose(total, 1, rtol=1e-9)


def test_draws_follow_the_state_and_the_bits_before():
  emission, params = autoregressive.autoregressive_bernoulli(STATES, BITS, reach=2), params_of(2)
  before, state, count = np.array([0.0, 1, 0, 0, 0]), 1, 20_000
  keys, states = jax.random.split(jax.random.key(0), count), jnp.full(count, state)
  drawn = emission.draw(params, keys, states, jnp.tile(jnp.asarray(before), (count, 1)))
  expected = [probability(params, state, before, d) for d in range(BITS)]
  np.testing.assert_allclose(drawn.mean(0), expected, atol=4 * 0.5 / count**0.5)


def test_it_starts_as_the_model_without_memory_and_has_no_closed_form():
  emission = autoregressive.autoregressive_bernoulli(STATES, BITS)
  params = emission.init(jax.random.key(0), jnp.ones((2, 3, BITS)), jnp.ones((2, 3)))
  assert not np.asarray(params["offsets"]).any()
  for function in (emission.expect, emission.maximise):
    with pytest.raises(UserError, match="by gradient"):
      function(params, None)
  with pytest.raises(UserError, match="0 or more"):
    autoregressive.autoregressive_bernoulli(STATES, BITS, reach=-1)
