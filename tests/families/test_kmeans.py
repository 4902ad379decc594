"""K-means against scikit-learn's and against what the algorithm promises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris

from research.families import kmeans
from research.training.precision import precision

ALL = jnp.ones(10, bool)


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


def inertia(points, centres):
  return np.square(points[:, None] - np.asarray(centres)).sum(-1).min(1).sum()


def blobs(count=10, size=40, spread=0.05):
  rng = np.random.default_rng(0)
  middles = rng.permutation(np.stack(np.meshgrid(np.arange(5.0), np.arange(2.0)), -1).reshape(-1, 2))[:count]
  return np.concatenate([middle + spread * rng.normal(size=(size, 2)) for middle in middles])


def test_seeds_are_points_one_of_every_separate_blob():
  """Squared distances make another seed in a blob that has one 200 times less likely than one in a blob without."""
  points, found = blobs(), []
  draw = jax.jit(lambda key: kmeans.plus_plus(key, jnp.asarray(points), jnp.ones(400), 10))
  for seed in range(5):
    seeds = np.asarray(draw(jax.random.key(seed)))
    assert all((points == point).all(1).any() for point in seeds)
    found.append(len({tuple(np.round(point)) for point in seeds}))
  assert np.mean(found) > 9.5


def test_first_seed_is_uniform_and_the_second_by_squared_distance():
  """Of the points 0, 1 and 3: from 0, the two candidates are 1 or 3 with chances 1 : 9, and the better one is taken."""
  points, mask = jnp.asarray([[0.0], [1.0], [3.0], [7.0]]), jnp.asarray([1.0, 1.0, 1.0, 0.0])
  keys = jax.random.split(jax.random.key(0), 4000)
  pairs = np.asarray(jax.vmap(lambda key: kmeans.plus_plus(key, points, mask, 2))(keys))[..., 0]
  assert 7.0 not in pairs
  shares = [(pairs[:, 0] == value).mean() for value in (0, 1, 3)]
  np.testing.assert_allclose(shares, 1 / 3, atol=0.03)
  after_zero = pairs[pairs[:, 0] == 0, 1]
  assert (after_zero != 0).all()
  # With 3 the sum of squares is 1 (of point 1), with 1 it is 4 (of point 3): 1 wins only if both candidates are 1.
  assert (after_zero == 1).mean() == pytest.approx(0.1**2, abs=0.01)


def test_inertia_is_scikit_learns():
  """The best of some starts on iris, and every step of Lloyd's from the same seeds."""
  points = load_iris().data + 1e-3 * np.random.default_rng(0).normal(size=(150, 4))  # without ties
  keys = jax.random.split(jax.random.key(0), 8)

  def start(key):
    seeds = kmeans.plus_plus(key, jnp.asarray(points), jnp.ones(150), 5)
    return kmeans.lloyd(jnp.asarray(points), jnp.ones(150), seeds, ALL[:5], 100)[0]

  theirs = KMeans(5, n_init=8, random_state=0).fit(points).inertia_
  assert min(inertia(points, centres) for centres in jax.jit(jax.vmap(start))(keys)) == pytest.approx(theirs, rel=1e-3)

  for iterations in (1, 3, 50):
    seeds = points[::30]  # from which no centre loses all its points: scikit-learn would move it
    centres, labels = kmeans.lloyd(jnp.asarray(points), jnp.ones(150), jnp.asarray(seeds), ALL[:5], iterations)
    peer = KMeans(5, init=seeds, n_init=1, max_iter=iterations, tol=0, algorithm="lloyd").fit(points)
    np.testing.assert_allclose(centres, peer.cluster_centers_, rtol=1e-9)
    np.testing.assert_array_equal(labels, peer.labels_)


def test_masked_points_and_inactive_centres_take_no_part():
  points = jnp.asarray(blobs(3))
  far = jnp.concatenate([points, jnp.full((5, 2), 1e3)])
  mask = jnp.concatenate([jnp.ones(120), jnp.zeros(5)])
  seeds = points[jnp.asarray([0, 50, 100, 60])]
  centres, labels = kmeans.lloyd(far, mask, seeds, jnp.asarray([True, True, True, False]), 100)
  peer = KMeans(3, init=np.asarray(seeds[:3]), n_init=1).fit(np.asarray(points))
  np.testing.assert_allclose(centres[:3], peer.cluster_centers_, rtol=1e-9)
  np.testing.assert_array_equal(centres[3], seeds[3])
  assert not (labels == 3).any()


def test_fewer_distinct_points_than_centres():
  points = jnp.asarray([[1.0, 2.0]] * 4 + [[3.0, 4.0]] * 4)
  seeds = kmeans.plus_plus(jax.random.key(0), points, jnp.ones(8), 4)
  assert {tuple(seed) for seed in seeds.tolist()} == {(1.0, 2.0), (3.0, 4.0)}
  centres, _ = kmeans.lloyd(points, jnp.ones(8), seeds, ALL[:4], 10)
  assert np.isfinite(centres).all()
