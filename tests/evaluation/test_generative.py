"""Measures of samples against brute force, SciPy and closed forms; a collapsed generator makes each of them fire."""

import itertools

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from research.data import mixtures
from research.evaluation import generative


def clouds(seed=0, count=40, size=5, shift=0.7):
  rng = np.random.default_rng(seed)
  return rng.normal(size=(count, size)), shift + 0.6 * rng.normal(size=(count - 7, size))


def test_histogram_divergence_is_scipys_entropy():
  labels = np.array([0, 0, 1, 3, 3, 3, 3])
  weights = np.array([5.0, 1.0, 2.0, 4.0])
  p = np.bincount(labels, minlength=4) / 7
  assert generative.histogram_divergence(labels, 4, weights) == pytest.approx(scipy.stats.entropy(p, weights))
  assert generative.histogram_divergence(labels, 4) == pytest.approx(scipy.stats.entropy(p, np.full(4, 0.25)))
  assert generative.covered(labels, 4) == 3


def test_divergence_of_perfect_samples_is_its_known_bias():
  """(classes - 1) / (2 n) to first order, whatever the seed: what RESULTS.md must be read against."""
  rng = np.random.default_rng(0)
  found = [generative.histogram_divergence(rng.integers(0, 100, 2600), 100) for _ in range(50)]
  assert np.mean(found) == pytest.approx(99 / 5200, rel=0.1)


@pytest.mark.parametrize("name", ["grid", "ring"])
def test_perfect_samples_cover_a_mixture(name):
  mixture = mixtures.MIXTURES[name]()
  samples, _ = mixture.draw(20_000, 0)
  found = generative.mixture_coverage(samples, mixture.centres, mixture.std)
  assert found.modes == len(mixture.centres)
  assert found.share == pytest.approx(1 - np.exp(-4.5), abs=0.003)
  assert found.divergence < 0.01


def test_coverage_fires_on_a_collapsed_generator():
  """All samples on one mode; then none near any."""
  mixture = mixtures.MIXTURES["grid"]()
  collapsed = mixture.centres[7] + 0.01 * np.random.default_rng(0).normal(size=(500, 2))
  found = generative.mixture_coverage(collapsed, mixture.centres, mixture.std)
  assert found.modes == 1
  assert found.share == 1
  assert found.divergence == pytest.approx(np.log(25))
  between = generative.mixture_coverage(collapsed + 1.0, mixture.centres, mixture.std)
  assert between.modes == 0
  assert between.share == 0


def naive_precision(data, samples, k):
  """Kynkäänniemi et al. 2019, equation 1, word for word."""
  distance = lambda a, b: np.sqrt(((a - b) ** 2).sum())
  inside = 0
  for sample in samples:
    for i, point in enumerate(data):
      others = sorted(distance(point, other) for j, other in enumerate(data) if j != i)
      if distance(sample, point) <= others[k - 1]:
        inside += 1
        break
  return inside / len(samples)


@pytest.mark.parametrize("chunk", [1024, 7])
@pytest.mark.parametrize(("k", "shift"), [(1, 0.7), (3, 0.7), (3, 3.0)])
def test_precision_and_recall_are_those_of_brute_force(k, shift, chunk, monkeypatch):
  monkeypatch.setattr(generative, "_CHUNK", chunk)
  data, samples = clouds(shift=shift)
  found = generative.precision_recall(data, samples, k)
  assert found.precision == pytest.approx(naive_precision(data, samples, k))
  assert found.recall == pytest.approx(naive_precision(samples, data, k))


def test_recall_fires_on_a_collapsed_generator_and_precision_on_noise():
  data, _ = clouds(count=300)
  collapsed = data[3] + 1e-3 * clouds(seed=1, count=300)[0]
  found = generative.precision_recall(data, collapsed)
  assert found.precision == 1
  assert found.recall < 0.02
  assert generative.precision_recall(data, 20 + clouds(seed=1, count=300)[0]).precision == 0


def test_frechet_distance_is_that_of_scipys_matrix_root():
  a, b = (generative.moments(x) for x in clouds())
  root = scipy.linalg.sqrtm(a.covariance @ b.covariance)
  expected = ((a.mean - b.mean) ** 2).sum() + np.trace(a.covariance + b.covariance - 2 * np.real(root))
  assert generative.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)
  assert generative.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


def test_frechet_distance_in_one_dimension_and_of_singular_covariances():
  """(μ₁ - μ₂)² + (σ₁ - σ₂)²; and features that never vary do no harm."""
  one = lambda mean, std: generative.Moments(np.array([mean, 0.0]), np.diag([std**2, 0.0]))
  assert generative.frechet_distance(one(1.0, 2.0), one(-0.5, 0.3)) == pytest.approx(1.5**2 + 1.7**2)


def test_frechet_distance_fires_on_a_collapsed_generator():
  data, _ = clouds(count=500)
  same, collapsed = clouds(seed=1, count=500)[0], np.repeat(data[:1], 500, 0)
  distance = lambda x: generative.frechet_distance(generative.moments(x), generative.moments(data))
  assert distance(collapsed) > 20 * distance(same)


@pytest.mark.parametrize("chunk", [1024, 3])
def test_nearest_neighbours_are_those_of_brute_force(chunk, monkeypatch):
  monkeypatch.setattr(generative, "_CHUNK", chunk)
  data, queries = clouds()
  index, distance = generative.nearest_neighbours(queries.reshape(-1, 5, 1), data.reshape(-1, 5, 1))
  for i, query in enumerate(queries):
    every = np.sqrt(((data - query) ** 2).sum(1))
    assert index[i] == every.argmin()
    assert distance[i] == pytest.approx(every.min())


def test_grid_and_ring_are_where_the_papers_have_them():
  grid, ring = mixtures.MIXTURES["grid"](), mixtures.MIXTURES["ring"]()
  assert {tuple(c) for c in grid.centres} == set(itertools.product((-4.0, -2.0, 0.0, 2.0, 4.0), repeat=2))
  np.testing.assert_allclose(np.linalg.norm(ring.centres, axis=1), 2)
  assert len(ring.centres) == 8
