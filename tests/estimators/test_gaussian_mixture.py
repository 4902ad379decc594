"""The wrappers of mixtures against scikit-learn's own, its checks, and inside its pipelines."""

import warnings

import numpy as np
import pytest
from sklearn import mixture as peers
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from research.errors import UserError
from research.estimators import gaussian_mixture
from research.estimators.gaussian_mixture import BayesianGaussianMixture, GaussianMixture

IRIS = load_iris().data
KINDS = ("full", "tied", "diag", "spherical")


@parametrize_with_checks([GaussianMixture(max_iter=5), BayesianGaussianMixture(max_iter=5)])
def test_contract_of_scikit_learn(estimator, check):
  with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
    check(estimator)


@pytest.mark.parametrize("kind", KINDS)
def test_from_the_same_start_as_scikit_learn(kind):
  """Parameters, iterations, criteria and scores, with its rule of stopping."""
  rng = np.random.default_rng(0)
  start = {
    "weights_init": [0.2, 0.3, 0.5],
    "means_init": IRIS[[10, 70, 120]],
    "precisions_init": {
      "full": np.stack([2 * np.eye(4)] * 3),
      "tied": 2 * np.eye(4) + 0.1,
      "diag": 1 + rng.random((3, 4)),
      "spherical": np.array([1.0, 2.0, 3.0]),
    }[kind],
  }
  ours = GaussianMixture(3, covariance_type=kind, tol=1e-6, max_iter=300, **start).fit(IRIS)
  theirs = peers.GaussianMixture(3, covariance_type=kind, tol=1e-6, max_iter=300, **start).fit(IRIS)
  assert ours.converged_
  assert ours.n_iter_ == theirs.n_iter_
  for name in ("weights_", "means_", "covariances_", "precisions_cholesky_", "lower_bound_"):
    np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-6, atol=1e-8, err_msg=name)
  for method in ("predict", "predict_proba", "score_samples", "score", "bic", "aic"):
    ours_found, theirs_found = (getattr(model, method)(IRIS) for model in (ours, theirs))
    np.testing.assert_allclose(ours_found, theirs_found, rtol=1e-7, atol=1e-10, err_msg=method)


def test_by_default_the_best_of_some_starts_is_scikit_learns():
  ours = GaussianMixture(3, n_init=10, tol=1e-9, max_iter=500, random_state=0).fit(IRIS)
  assert ours.score(IRIS) == pytest.approx(-1.201237, abs=1e-5)
  again = GaussianMixture(3, n_init=10, tol=1e-9, max_iter=500, random_state=0).fit(IRIS)
  np.testing.assert_array_equal(again.means_, ours.means_)
  drawn, component = ours.sample(5000)
  np.testing.assert_allclose(drawn.mean(0), IRIS.mean(0), atol=0.15)
  np.testing.assert_allclose(np.bincount(component) / 5000, ours.weights_, atol=0.04)


def test_blocks_of_rows_are_the_whole():
  """More rows than a block, in no multiple of it: the same fit as scikit-learn's, and the same predictions."""
  points = np.concatenate([IRIS + shift for shift in np.random.default_rng(0).normal(size=(8, 4)) / 10])[:1111]
  start = {"weights_init": [0.5, 0.5], "means_init": points[[0, 600]], "precisions_init": np.stack([np.eye(4)] * 2)}
  with warnings.catch_warnings(action="ignore"):
    ours = GaussianMixture(2, tol=0, max_iter=7, **start).fit(points)
    theirs = peers.GaussianMixture(2, tol=0, max_iter=7, **start).fit(points)
  np.testing.assert_allclose(ours.covariances_, theirs.covariances_, rtol=1e-8)
  np.testing.assert_allclose(ours.score_samples(points), theirs.score_samples(points), rtol=1e-9)


def test_variational_empties_what_is_not_needed():
  rng = np.random.default_rng(0)
  points = np.concatenate([rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 8])
  prior = {"weight_concentration_prior_type": "dirichlet_distribution", "weight_concentration_prior": 1e-3}
  model = BayesianGaussianMixture(8, **prior, n_init=3, max_iter=300, tol=1e-8, random_state=0)
  labels = model.fit_predict(points)
  assert (model.weights_ > 0.01).sum() == 2
  np.testing.assert_allclose(np.sort(model.weight_concentration_)[-2:], 100, atol=1)
  assert len(np.unique(labels[:100])) == len(np.unique(labels[100:])) == 1
  # The inputs have mean log density near that of the truth, -2 H - log 2.
  assert model.score(points) == pytest.approx(-np.log(2 * np.pi * np.e) - np.log(2), abs=0.15)


def test_in_a_pipeline_and_a_search():
  """Cross-validation of the size: held out, iris has two groups or three rather than one."""
  pipeline = make_pipeline(StandardScaler(), PCA(2), GaussianMixture(random_state=0, tol=1e-4))
  shuffled = np.random.default_rng(0).permutation(IRIS)
  search = GridSearchCV(pipeline, {"gaussianmixture__n_components": [1, 3]}, cv=2).fit(shuffled)
  assert search.best_params_ == {"gaussianmixture__n_components": 3}
  assert search.predict(IRIS).shape == (150,)


def test_bad_input_is_refused():
  with pytest.raises(ValueError, match="NaN"):
    GaussianMixture(2).fit(np.where(np.arange(600).reshape(150, 4) == 5, np.nan, IRIS))
  with pytest.raises(ValueError, match="0 sample"):
    GaussianMixture(2).fit(np.empty((0, 4)))
  with pytest.raises(UserError, match="n_samples = 5"):
    GaussianMixture(6).fit(IRIS[:5])
  with pytest.raises(UserError, match="scale them down"):
    GaussianMixture(2).fit(1e200 * IRIS)
  for field, options in {
    "covariance": {"covariance_type": "round"},
    "weights_init = 'of": {"weights_init": 1.0},
    "n_init": {"n_init": 0},
    "tol": {"tol": -1.0},
    "n_components": {"n_components": 1.5},
    "covariance_type": {"covariance_type": ["full"]},
    "reg_covar": {"reg_covar": np.inf},
    "max_iter": {"max_iter": "many"},
    "weights_init": {"n_components": 2, "weights_init": [0.5, 0.6]},
    "means_init": {"n_components": 2, "means_init": [[0.0, 1.0]]},
    "precisions_init": {"n_components": 2, "covariance_type": "spherical", "precisions_init": [1.0, -1.0]},
  }.items():
    with pytest.raises(UserError, match=field):
      GaussianMixture(**options).fit(IRIS)
  fitted = GaussianMixture(2).fit(IRIS)
  for count in (0, 1.5, "x"):
    with pytest.raises(UserError, match="n_samples"):
      fitted.sample(count)


def test_says_when_it_has_not_converged():
  with pytest.warns(ConvergenceWarning, match="2 iterations"):
    model = GaussianMixture(3, max_iter=2, tol=1e-9, random_state=0).fit(IRIS)
  assert not model.converged_


def test_warm_start_goes_on_and_precisions_are_inverse(capsys):
  X = np.random.default_rng(0).normal(size=(60, 2))
  with warnings.catch_warnings():
    warnings.simplefilter("ignore", ConvergenceWarning)
    parts = (
      GaussianMixture(2, random_state=0, warm_start=True, max_iter=3, tol=0, verbose=1, verbose_interval=1)
      .fit(X)
      .fit(X)
    )
    whole = GaussianMixture(2, random_state=0, max_iter=6, tol=0).fit(X)
  np.testing.assert_allclose(parts.means_, whole.means_, rtol=1e-6)
  np.testing.assert_allclose(parts.precisions_ @ parts.covariances_, np.tile(np.eye(2), (2, 1, 1)), atol=1e-9)
  assert "Iteration 2" in capsys.readouterr().out


def test_a_failed_fit_keeps_the_model_and_rows_that_are_the_same_are_refused():
  X = np.random.default_rng(0).normal(size=(60, 2))
  model = GaussianMixture(2, random_state=0, reg_covar=0).fit(X)
  before = model.means_
  with pytest.raises(UserError, match="feature 0 is the same in every row"):
    model.fit(np.ones((10, 2)))
  np.testing.assert_array_equal(model.means_, before)


@pytest.mark.parametrize("start", ["kmeans", "k-means++", "random", "random_from_data"])
def test_equal_random_states_are_equal_fits_to_scikit_learn(start):
  """All four starts, by scikit-learn's own draws, and one after the other of them."""
  options = {"n_components": 3, "init_params": start, "n_init": 2, "tol": 1e-6, "max_iter": 40, "random_state": 7}
  with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
    ours, theirs = GaussianMixture(**options).fit(IRIS), peers.GaussianMixture(**options).fit(IRIS)
  np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-5)
  np.testing.assert_allclose(ours.precisions_, theirs.precisions_, rtol=1e-4)
  # Before the first iteration their weights of seeds are shares of all rows, and do not sum to 1.
  np.testing.assert_allclose(ours.lower_bounds_[1:], theirs.lower_bounds_[1:], rtol=1e-7)


def test_no_iteration_is_the_start_alone():
  ours, theirs = (
    module.GaussianMixture(3, max_iter=0, random_state=0).fit(IRIS) for module in (gaussian_mixture, peers)
  )
  np.testing.assert_allclose(ours.means_, theirs.means_, rtol=1e-9)
  assert (ours.n_iter_, ours.converged_) == (0, False)


@pytest.mark.parametrize("prior", gaussian_mixture.PRIOR_TYPES)
def test_the_prior_s_attributes_are_scikit_learn_s(prior):
  options = {"n_components": 2, "random_state": 0, "max_iter": 200, "tol": 1e-6}
  options |= {"weight_concentration_prior_type": prior, "mean_prior": IRIS[0], "covariance_prior": np.cov(IRIS.T)}
  ours, theirs = (module.BayesianGaussianMixture(**options).fit(IRIS) for module in (gaussian_mixture, peers))
  for name in (
    "weight_concentration_prior_",
    "mean_precision_prior_",
    "mean_prior_",
    "degrees_of_freedom_prior_",
    "covariance_prior_",
  ):
    np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), err_msg=name)
  for name in ("weight_concentration_", "weights_", "mean_precision_", "degrees_of_freedom_", "means_"):
    np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-3, err_msg=name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_empties_what_is_not_needed(kind):
  """Two groups of one shape, of which all kinds can tell; the bound never falls."""
  rng = np.random.default_rng(0)
  points = np.concatenate([rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 8])
  options = {"covariance_type": kind, "weight_concentration_prior": 1e-3, "n_init": 3, "random_state": 0}
  model = BayesianGaussianMixture(5, max_iter=300, tol=1e-8, **options).fit(points)
  assert (np.diff(model.lower_bounds_) > -1e-9).all()
  np.testing.assert_allclose(np.sort(model.weights_)[-2:], 0.5, atol=0.02)
  assert model.score(points) == pytest.approx(-np.log(2 * np.pi * np.e) - np.log(2), abs=0.15)
  assert model.covariances_.shape == {"full": (5, 2, 2), "tied": (2, 2), "diag": (5, 2), "spherical": (5,)}[kind]


@pytest.mark.parametrize(
  ("options", "remedy"),
  [
    ({"weight_concentration_prior_type": "beta"}, "dirichlet_process, dirichlet_distribution"),
    ({"mean_prior": np.zeros(3)}, "mean_prior = .of shape .*give one of 4"),
    ({"covariance_prior": -np.eye(4)}, "positive definite"),
    ({"covariance_type": "spherical", "covariance_prior": np.eye(4)}, "covariance_prior = .of shape .*give a number"),
    ({"covariance_type": "diag", "covariance_prior": np.zeros(4)}, "positive definite"),
    ({"weight_concentration_prior": 0.0}, "above 0"),
  ],
)
def test_priors_that_are_none(options, remedy):
  with pytest.raises(UserError, match=remedy):
    BayesianGaussianMixture(2, **options).fit(IRIS)


@pytest.mark.parametrize("kind", KINDS)
def test_collapsed_components_are_refused(kind):
  """Two points, again and again: each component's variance is 0, though no feature is constant."""
  points = np.repeat([[0.0, 0.0], [1.0, 1.0]], 20, axis=0)
  with pytest.raises(UserError, match="reg_covar"):
    GaussianMixture(2, covariance_type=kind, reg_covar=0).fit(points)
  assert np.isfinite(GaussianMixture(2, covariance_type=kind).fit(points).score(points))
