"""The flow with scikit-learn's interface: what it learns beside the truth, and what it refuses."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone

from research.errors import UserError
from research.estimators.flow import NormalizingFlow


@pytest.fixture(scope="module")
def curved():
  """y = x² + noise: a curve that no Gaussian is; and its true log-density."""
  draw = lambda rng, count: (lambda x: np.stack([x, x**2 + 0.3 * rng.normal(size=count)], 1))(rng.normal(size=count))
  truth = lambda X: stats.norm.logpdf(X[:, 0]) + stats.norm.logpdf(X[:, 1], X[:, 0] ** 2, 0.3)
  train, test = draw(np.random.default_rng(0), 1500), draw(np.random.default_rng(1), 1000)
  flow = NormalizingFlow(4, width=32, max_iter=800, noise=0.02, learning_rate=3e-3, random_state=0).fit(train)
  return flow, train, test, truth(test).mean()


def test_it_comes_near_the_truth_and_far_above_a_gaussian(curved):
  flow, train, test, truth = curved
  gaussian = stats.multivariate_normal(train.mean(0), np.cov(train.T)).logpdf(test).mean()
  assert truth - flow.score(test) < 0.25 * (truth - gaussian)
  assert flow.score(test) < truth + 0.02, "nothing is above the truth but by chance"


def test_density_and_samples_are_in_the_units_of_the_rows(curved):
  flow, train, *_ = curved
  rows, _ = flow.sample(3000)
  np.testing.assert_allclose(rows.mean(0), train.mean(0), atol=0.2)
  assert np.corrcoef(rows[:, 0] ** 2, rows[:, 1])[0, 1] > 0.8
  a, b = np.meshgrid(np.linspace(-5, 5, 201), np.linspace(-3, 20, 461))
  mass = np.exp(flow.score_samples(np.stack([a.ravel(), b.ravel()], 1))).sum() * 0.05 * 0.05
  assert 0.9 < mass < 1.05


def test_it_is_an_estimator(curved):
  flow = curved[0]
  assert clone(flow).get_params() == flow.get_params()
  assert flow.n_features_in_ == 2
  assert 0 < flow.n_iter_ <= 800


def test_skew_columns_and_groups_are_near_what_they_were_drawn_from():
  """Columns exp(z) of two groups: a density that the powers and the mixture, before any update, almost have."""
  centres, root = np.array([[0.0, 0.0], [2.0, -2.0]]), np.array([[0.5, 0.0], [0.3, 0.2]])
  parts = [stats.multivariate_normal(centre, root @ root.T) for centre in centres]
  truth = lambda X: np.log(0.5 * sum(part.pdf(np.log(X)) for part in parts)) - np.log(X).sum(1)
  draw = lambda rng, n: np.exp(centres[rng.integers(0, 2, n)] + rng.normal(size=(n, 2)) @ root.T)
  train, test = draw(np.random.default_rng(0), 400), draw(np.random.default_rng(1), 1000)
  options = {"max_iter": 25, "learning_rate": 1e-6, "noise": 0.0, "width": 8, "random_state": 0}
  gaps = {
    name: truth(test).mean() - NormalizingFlow(2, **{**options, **given}).fit(train).score(test)
    for name, given in {
      "neither": {"power": False},
      "powers": {},
      "both": {"n_components": 2, "shrinkage": 0.0},
    }.items()
  }
  assert gaps["both"] < 0.3 * gaps["powers"] < 0.3 * gaps["neither"]
  assert 0 < gaps["both"] < 0.5


@pytest.mark.parametrize(
  ("options", "rows", "remedy"),
  [
    ({"n_layers": 0}, (20, 2), "1 or more"),
    ({}, (20, 1), "two columns"),
    ({"validation_fraction": 0.0}, (20, 2), "leaves none"),
    ({"n_components": 1.5}, (20, 2), "whole number"),
    ({"n_components": 30}, (20, 2), "one row for each"),
  ],
)
def test_refuses_what_it_cannot_fit(options, rows, remedy):
  with pytest.raises(UserError, match=remedy):
    NormalizingFlow(**options).fit(np.random.default_rng(0).normal(size=rows))
