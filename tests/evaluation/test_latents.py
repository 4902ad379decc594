"""Measures and figures of latents against scikit-learn and SciPy."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from research.evaluation import figures, latents


def test_area_under_the_curve_is_that_of_scikit_learn():
  rng = np.random.default_rng(0)
  scores, positive = rng.integers(0, 9, 200).astype(float), rng.integers(0, 2, 200)  # with many ties
  scores += positive
  np.testing.assert_allclose(latents.roc_auc(scores, positive), roc_auc_score(positive, scores), rtol=1e-12)
  assert np.isnan(latents.roc_auc(scores, np.zeros(200)))


def test_principal_components_are_those_of_scikit_learn():
  rng = np.random.default_rng(0)
  points = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)) + 3
  found, shares = latents.principal_components(points)
  pca = PCA(2).fit(points)
  np.testing.assert_allclose(np.abs(found), np.abs(pca.transform(points)), rtol=1e-6)
  np.testing.assert_allclose(shares, pca.explained_variance_ratio_, rtol=1e-6)


def test_active_units_are_those_that_vary():
  rng = np.random.default_rng(0)
  assert latents.active_units(rng.normal(size=(500, 4)) * np.array([1.0, 0.2, 0.05, 0.0])) == 2


def test_grid_is_spread_as_the_prior():
  grid = latents.quantile_grid(4)
  assert grid.shape == (16, 2)
  np.testing.assert_allclose(norm.cdf(grid[:4, 0]), [0.125, 0.375, 0.625, 0.875])
  assert grid[0, 1] == grid[:, 1].max(), "the first row is the top one"


@pytest.mark.parametrize("classes", [1, 3])
def test_scatter_names_the_classes(classes, tmp_path):
  points, labels = np.random.default_rng(0).normal(size=(30, 2)), np.arange(30) % classes
  figure = latents.scatter(points, labels, [f"class {i}" for i in range(classes)], ("a", "b"), "title")
  (axes,) = figure.axes
  assert sum(len(np.asarray(c.get_offsets())) for c in axes.collections) == 30
  assert (axes.get_legend() is None) == (classes == 1)
  assert figures.save(figure, tmp_path / "scatter.png").stat().st_size > 1000


def test_histograms_have_a_panel_a_class_and_its_area(tmp_path):
  rng = np.random.default_rng(0)
  panels = {str(i): (rng.normal(size=100), np.arange(100) < 20) for i in range(7)}
  figure = latents.score_histograms(panels, "score", ("seen", "left out"))
  titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
  assert len(titles) == 7
  assert f"{latents.roc_auc(*panels['3']):.3f}" in titles[3]
  assert figures.save(figure, tmp_path / "h.png").stat().st_size > 1000


def test_bars_are_the_values():
  (axes,) = latents.bars(np.array([3.0, 1.0]), "entry", "share", "title").axes
  drawn: Any = axes.patches
  assert [bar.get_height() for bar in drawn] == [3.0, 1.0]
