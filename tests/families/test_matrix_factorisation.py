"""Ratings: least squares by hand, the sampler's conditionals and moments, blocks against loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.families import matrix_factorisation as family_lib
from research.families.matrix_factorisation import Scale

RNG = np.random.default_rng(0)
USERS, ITEMS, FACTORS = 12, 9, 3
PRESENT = RNG.random((USERS, ITEMS)) < 0.6
PRESENT[4] = False  # a user without ratings
USER, ITEM = np.nonzero(PRESENT)
RATING = RNG.integers(1, 6, len(USER)).astype(np.float32)
SCALE = Scale(USERS, ITEMS, float(RATING.mean()), 1.0, 5.0)


def batch(length=4):
  arrays = family_lib.both_ways(USER.astype(np.int32), ITEM.astype(np.int32), RATING, length)
  return {**arrays, "mask": np.ones(len(arrays["user_target"]), np.float32)}


def by_hand(users, items, penalty, by_count):
  """One round of alternating least squares with biases, a node at a time."""
  users, items = users.copy(), items.copy()
  for own, other, own_id, other_id in ((users, items, USER, ITEM), (items, users, ITEM, USER)):
    for node in range(len(own)):
      at = own_id == node
      features = np.concatenate([other[other_id[at], :-1], np.ones((at.sum(), 1))], 1)
      target = RATING[at] - SCALE.mean - other[other_id[at], -1]
      strength = penalty * (max(at.sum(), 1) if by_count else 1)
      own[node] = np.linalg.solve(features.T @ features + strength * np.eye(FACTORS + 1), features.T @ target)
  return users, items


@pytest.mark.parametrize("by_count", [True, False])
def test_a_round_of_least_squares_is_numpys(by_count):
  family = family_lib.alternating(SCALE, FACTORS, 0.3, by_count=by_count)
  start = family.init(jax.random.key(0), batch())
  moved, metrics = jax.jit(family.move)(start, batch(), None)
  expected = by_hand(np.asarray(start.users, float), np.asarray(start.items, float), 0.3, by_count)
  np.testing.assert_allclose(moved.users, expected[0], atol=1e-4)
  np.testing.assert_allclose(moved.items, expected[1], atol=1e-4)
  assert not np.asarray(moved.users[4]).any(), "whom no rating tells of is at zero"
  found = SCALE.mean + family_lib.affinity(moved.users[USER], moved.items[ITEM])
  assert float(metrics["squared_error"].value()) == pytest.approx(np.square(found - RATING).mean(), rel=1e-4)


def test_implicit_least_squares_count_what_was_not_had_too():
  """The dense problem: weights 1 + α r, aims 1 where there is a rating, else 0 with weight 1; no biases."""
  family = family_lib.alternating(SCALE, FACTORS, 0.5, confidence=2.0)
  start = family.init(jax.random.key(0), batch())
  moved, _ = jax.jit(family.move)(start, batch(), None)
  items = np.asarray(start.items, float)[:, :-1]
  weights, aims = np.ones((USERS, ITEMS)), PRESENT.astype(float)
  weights[USER, ITEM] += 2.0 * RATING
  for user in range(USERS):
    inner = items.T @ (weights[user][:, None] * items) + 0.5 * np.eye(FACTORS)
    expected = np.linalg.solve(inner, items.T @ (weights[user] * aims[user]))
    np.testing.assert_allclose(moved.users[user, :-1], expected, atol=1e-4)
  assert not np.asarray(moved.users[:, -1]).any()


def test_blocks_hold_every_rating_once():
  made = family_lib.blocks(USER, ITEM, RATING, 2)
  assert made.other.shape[1] == 2
  entries = [(t, o, v) for t, row, values, present in zip(*made) for o, v, p in zip(row, values, present) if p]
  assert sorted(entries) == sorted(zip(USER.tolist(), ITEM.tolist(), RATING.tolist()))


def test_gaussian_rows_and_wisharts_have_their_moments():
  precision = jnp.array([[2.0, 0.5], [0.5, 1.0]])
  draw = jax.jit(
    lambda key: family_lib.gaussian_rows(
      key, jnp.tile(precision, (20000, 1, 1)), jnp.tile(jnp.array([1.0, -1.0]), (20000, 1))
    )
  )
  drawn = np.asarray(draw(jax.random.key(0)))
  np.testing.assert_allclose(drawn.mean(0), np.linalg.solve(precision, [1.0, -1.0]), atol=0.03)
  np.testing.assert_allclose(np.cov(drawn.T), np.linalg.inv(precision), atol=0.05)
  scale = jnp.array([[1.0, 0.3], [0.3, 0.5]])
  many = jax.jit(jax.vmap(lambda key: family_lib.wishart(key, scale, 7.0)))(jax.random.split(jax.random.key(1), 20000))
  np.testing.assert_allclose(many.mean(0), 7 * scale, atol=0.1)
  np.testing.assert_allclose(many[:, 0, 1].var(), 7 * (0.3**2 + 1.0 * 0.5), rtol=0.06)


def test_hyper_parameters_come_to_the_rows_own():
  """Of many rows the posterior is about their mean and their inverse covariance."""
  rows = RNG.multivariate_normal([1, -2], [[1.0, 0.4], [0.4, 0.5]], 5000)
  draw = jax.jit(jax.vmap(lambda key: family_lib.hyper_parameters(key, jnp.asarray(rows, jnp.float32))))
  mean, precision = draw(jax.random.split(jax.random.key(0), 200))
  np.testing.assert_allclose(mean.mean(0), rows.mean(0), atol=0.01)
  np.testing.assert_allclose(precision.mean(0), np.linalg.inv(np.cov(rows.T)), rtol=0.02)


def test_the_sampler_keeps_the_last_and_predicts_their_mean():
  family = family_lib.bayesian(SCALE, FACTORS, family_lib.Sampling(samples=3, burn_in=2, thin=2))
  params, seen, move = family.init(jax.random.key(0), batch()), [], jax.jit(family.move)
  for i in range(11):
    params, _ = move(params, batch(), jax.random.key(i))
    seen.append(np.asarray(SCALE.mean + family_lib.affinity(params.pair.users[USER], params.pair.items[ITEM])))
  rows = {"user": USER, "item": ITEM, "rating": RATING, "mask": np.ones(len(USER), np.float32)}
  expected = np.clip(np.mean([seen[i] for i in (6, 8, 10)], 0), 1, 5)
  found = jax.jit(family.evaluate)(params, rows)["squared_error"].value()
  assert float(found) == pytest.approx(np.square(expected - RATING).mean(), rel=1e-4)
