"""Mixtures in the plane: the density against SciPy's, the points against the density."""

import numpy as np
import pytest
from scipy import stats

from research.data import mixtures
from research.errors import UserError


def test_density_is_scipys():
  mixture = mixtures.ring(3, 1.0, 0.3)
  points = np.random.default_rng(0).normal(size=(6, 2))
  expected = np.mean([stats.multivariate_normal(c, 0.09).pdf(points) for c in mixture.centres], 0)
  np.testing.assert_allclose(np.exp(mixture.log_density(points)), expected, rtol=1e-9)


def test_points_are_drawn_from_it():
  mixture = mixtures.ring()
  points, mode = mixture.draw(40_000, 0)
  assert points.dtype == np.float32
  np.testing.assert_allclose(np.bincount(mode) / len(mode), 1 / 8, atol=0.01)
  np.testing.assert_allclose(points.var(0), 1.4**2 / 2 + 0.15**2, rtol=0.03)
  np.testing.assert_allclose((points - mixture.centres[mode]).std(), 0.15, rtol=0.02)


def test_splits_are_fixed_and_different():
  one, again, other = (mixtures.load("eight_gaussians", s, 100) for s in ("train", "train", "test"))
  np.testing.assert_array_equal(one.inputs, again.inputs)
  assert (one.inputs != other.inputs).all()
  assert one.num_classes == 8


@pytest.mark.parametrize(
  "arguments", [("nine_gaussians", "train", 5), ("eight_gaussians", "dev", 5), ("eight_gaussians", "train", 0)]
)
def test_what_does_not_exist_is_refused(arguments):
  with pytest.raises(UserError, match=r"choose one|at least one"):
    mixtures.load(*arguments)
