"""Figures of mixtures: what is drawn is where it should be."""

import numpy as np

from research.evaluation import mixtures


def test_an_ellipse_is_at_its_distance_in_the_metric_of_its_covariance():
  covariance, mean = np.array([[2.0, 0.6], [0.6, 0.5]]), np.array([1.0, -3.0])
  points = mixtures.ellipse(mean, covariance, 1.7) - mean
  distances = np.einsum("nd,de,ne->n", points, np.linalg.inv(covariance), points)
  np.testing.assert_allclose(distances, 1.7**2)
  assert len(np.unique(points.round(6), axis=0)) > 90  # all around


def test_the_plane_holds_the_largest_variance():
  points = np.random.default_rng(0).normal(size=(500, 4)) * [0.1, 3, 0.2, 2]
  onto = mixtures.plane(points)
  np.testing.assert_allclose(onto.T @ onto, np.eye(2), atol=1e-12)
  np.testing.assert_allclose(np.abs(onto[[1, 3]]).max(1), 1, atol=0.05)
  np.testing.assert_array_equal(mixtures.plane(points[:, :2]), np.eye(2))


def test_components_are_drawn_where_they_are():
  """Two features: as they are; four: projected, as points and as Gaussians; a component without weight is left out."""
  points = np.random.default_rng(0).normal(size=(200, 4)) * [3, 2, 0.1, 0.1] + 5
  labels = np.arange(200) % 2
  means, covariances = np.array([points.mean(0), points.mean(0) + 1]), np.stack([np.cov(points.T)] * 2)
  for features in (2, 4):
    shape = means[:, :features], covariances[:, :features, :features]
    figure = mixtures.ellipses(points[:, :features], labels, ("a", "b"), np.array([1.0, 0.0]), *shape)
    (axes,) = figure.axes
    assert len(axes.lines) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]
    one, two = (np.asarray(line.get_xydata()) for line in axes.lines)
    drawn = np.concatenate([np.asarray(scatter.get_offsets()) for scatter in axes.collections])
    np.testing.assert_allclose(one[:-1].mean(0), drawn.mean(0), atol=1e-6)
    # Of a Gaussian's points 39.3 % are within one standard deviation and 86.5 % within two.
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(drawn.T)), (drawn - drawn.mean(0)).T)
    np.testing.assert_allclose((np.square(whitened).sum(0) < 1).mean(), 0.393, atol=0.1)
    np.testing.assert_allclose(np.ptp(two, axis=0), 2 * np.ptp(one, axis=0), rtol=1e-6)
    np.testing.assert_allclose(np.ptp(one, axis=0), 2 * drawn.std(0, ddof=1), rtol=1e-2)


def test_selection_marks_the_least_of_every_criterion():
  figure = mixtures.selection((1, 2, 5), {"BIC": np.array([3.0, 1.0, 2.0]), "AIC": np.array([3.0, 2.0, 1.0])})
  (axes,) = figure.axes
  marks = [tuple(line.get_xydata()[0]) for line in axes.lines if len(line.get_xydata()) == 1]
  assert marks == [(2.0, 1.0), (5.0, 1.0)]
