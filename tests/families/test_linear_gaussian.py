"""Latent factors against scikit-learn, and against the marginal Gaussian where values are missing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA, FactorAnalysis

from research.families import linear_gaussian as family_lib
from research.training.precision import precision

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(300, 2)) @ RNG.normal(size=(2, 6)) + 0.5 * RNG.normal(size=(300, 6)) + 3.0


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


def batch_of(rows=ROWS, **fields):
  return {"inputs": jnp.asarray(rows), "mask": jnp.ones(len(rows)), **fields}


def trained(family, batch, steps):
  """The parameters after so many updates, and the mean log-likelihood before each."""

  @jax.jit
  def run(params):
    def step(params, _):
      statistics, metrics = family.expect(params, batch, None)
      return family.maximise(params, statistics), metrics["log_likelihood"].value()

    return jax.lax.scan(step, params, None, steps)

  return run(jax.jit(family.init)(jax.random.key(0), batch))


def mean_log_likelihood(family, params, batch):
  return float(jax.jit(family.evaluate)(params, batch)["log_likelihood"].value())


def test_one_update_is_scikit_learns_pca():
  """Whose variances are over n - 1: of n and of n - 1 rows the likelihood is the same to 1 / n²."""
  rows = load_digits().data
  family = family_lib.ppca(10, floor=1e-3)
  params, _ = trained(family, batch_of(rows[:1000]), 1)
  theirs = PCA(10, svd_solver="full").fit(rows[:1000])
  assert mean_log_likelihood(family, params, batch_of(rows[1000:])) == pytest.approx(
    theirs.score(rows[1000:]), abs=0.03
  )
  ours = jax.tree.map(lambda x: x[0], params.components)
  np.testing.assert_allclose(ours.noise[0], theirs.noise_variance_ * 999 / 1000, rtol=1e-9)
  covariance = ours.loadings @ ours.loadings.T + jnp.diag(ours.noise)
  expected = (theirs.get_covariance()) * 999 / 1000
  np.testing.assert_allclose(covariance, expected, atol=1e-8)


def test_em_and_subspace_iteration_come_to_the_closed_form():
  closed, _ = trained(family_lib.ppca(2), batch_of(), 1)
  best = mean_log_likelihood(family_lib.ppca(2), closed, batch_of())
  for family, steps in ((family_lib.factor_analysis(2, shared=True), 500), (family_lib.subspace_iteration(2, 2), 30)):
    params, values = trained(family, batch_of(), steps)
    assert mean_log_likelihood(family, params, batch_of()) == pytest.approx(best, abs=1e-7)
    one = jax.tree.map(lambda x: x[0], closed.components)
    np.testing.assert_allclose(
      params.model.loadings @ params.model.loadings.T, one.loadings @ one.loadings.T, atol=1e-3
    )
    assert (np.diff(values) > -1e-9).all(), "neither ever falls"


def test_factor_analysis_is_scikit_learns():
  rows = ROWS * np.array([1, 2, 1, 3, 1, 1.0])
  family = family_lib.factor_analysis(2)
  params, _ = trained(family, batch_of(rows), 600)
  theirs = FactorAnalysis(2, tol=1e-8, max_iter=3000).fit(rows)
  assert mean_log_likelihood(family, params, batch_of(rows)) == pytest.approx(theirs.score(rows), abs=1e-4)
  covariance = params.model.loadings @ params.model.loadings.T + jnp.diag(params.model.noise)
  np.testing.assert_allclose(covariance, theirs.get_covariance(), rtol=0.01, atol=0.01)


def test_with_missing_values_densities_are_those_of_the_marginal_and_em_climbs_them():
  observed = (RNG.random(ROWS.shape) > 0.3).astype(float)
  observed[0] = 0  # nothing at all
  batch = batch_of(np.where(observed > 0, ROWS, 0), observed=jnp.asarray(observed))
  family = family_lib.factor_analysis(2, shared=True, missing=True)
  params, values = trained(family, batch, 200)
  assert (np.diff(values) > -1e-10).all()
  model = params.model
  covariance = np.asarray(model.loadings @ model.loadings.T + jnp.diag(model.noise))
  found = np.asarray(jax.jit(family_lib.infer)(model, batch["inputs"], batch["observed"]).log_density)
  for row in (0, 1, 2, 3):
    seen = observed[row] > 0
    marginal = multivariate_normal(np.asarray(model.mean)[seen], covariance[seen][:, seen]) if seen.any() else None
    assert found[row] == pytest.approx(marginal.logpdf(ROWS[row][seen]) if marginal else 0.0, abs=1e-9)
  # Near what all values tell, and far nearer than what is put in for the missing ones would be.
  whole, _ = trained(family_lib.ppca(2), batch_of(), 1)
  one = jax.tree.map(lambda x: x[0], whole.components)
  np.testing.assert_allclose(covariance, one.loadings @ one.loadings.T + jnp.diag(one.noise), atol=0.35)


def test_a_mixture_is_one_gaussian_a_component_and_never_falls():
  """Two flat clouds across one another: with one latent each, the density is that of SciPy's two Gaussians."""
  flat = RNG.normal(size=(200, 1)) * np.array([3.0, 0, 0]) + 0.3 * RNG.normal(size=(200, 3))
  tall = RNG.normal(size=(200, 1)) * np.array([0, 3.0, 0]) + 0.3 * RNG.normal(size=(200, 3)) + 2
  rows = np.concatenate([flat, tall])
  family = family_lib.ppca(1, components=2)
  params, values = trained(family, batch_of(rows), 60)
  assert (np.diff(values) > -1e-9).all()
  expected = sum(
    float(weight) * multivariate_normal(np.asarray(mean), np.asarray(w @ w.T + np.diag(noise))).pdf(rows)
    for weight, mean, w, noise in zip(
      params.weights, *(map(np.asarray, (params.components.mean, params.components.loadings, params.components.noise)))
    )
  )
  assert mean_log_likelihood(family, params, batch_of(rows)) == pytest.approx(np.log(expected).mean(), abs=1e-9)
  one, _ = trained(family_lib.ppca(1), batch_of(rows), 1)
  assert values[-1] > mean_log_likelihood(family_lib.ppca(1), one, batch_of(rows)) + 0.5
