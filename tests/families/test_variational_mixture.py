"""The variational mixture against scikit-learn's, SciPy's distributions and sampled expectations."""

import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from scipy.special import logsumexp
from sklearn.datasets import load_iris
from sklearn.mixture import BayesianGaussianMixture

from research.errors import UserError
from research.estimators import base
from research.families import gaussian_mixture as mixture_lib
from research.families import variational_mixture as family
from research.training import statistics
from research.training.precision import precision

IRIS = load_iris().data
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


# Compiled: run operation by operation, every operation is a program to compile.
divergence, log_density, expected_log_joint = map(
  jax.jit, (family.divergence, family.log_density, family._expected_log_joint)
)
covariances_of = jax.jit(lambda params: mixture_lib.covariances(family.plug_in(params)))


def whole(inputs):
  return {"inputs": jnp.asarray(inputs), "mask": jnp.ones(len(inputs), jnp.float32)}


def posterior(kind, components=3, features=3, seed=0, process=False):
  """A posterior such as some data might leave, with a prior of which it is no neighbour."""
  rng = np.random.default_rng(seed)
  roots = rng.normal(size=(components + 1, features, features))
  scales = roots @ roots.transpose(0, 2, 1) + np.eye(features)
  if kind in ("diag", "spherical"):
    scales = scales.diagonal(axis1=1, axis2=2)
  if kind == "spherical":
    scales = scales.mean(-1)
  prior = family.Prior(*map(jnp.asarray, (0.5, 0.7, rng.normal(size=features), features + 1.5, scales[0])))
  freedom, tied = features + rng.uniform(3, 9, size=components), kind == "tied"
  own = scales[1] if tied else scales[1:]
  shaped = mixture_lib.from_covariances(np.ones(components), rng.normal(size=(components, features)), own, kind)
  params = family.Posterior(
    concentration=jnp.asarray(rng.uniform(1, 9, size=(2, components) if process else components)),
    mean_precision=jnp.asarray(rng.uniform(1, 9, size=components)),
    means=shaped.means,
    degrees_of_freedom=jnp.asarray(freedom[0] if tied else freedom),
    precision_cholesky=shaped.precision_cholesky,
    prior=prior,
    centre=shaped.centre,
    covariance=kind,
    process=process,
  )
  return jax.device_get(params)


def sampled_weights(params, rng, count):
  """Weights drawn from q, and their log density under q less that under p."""
  prior = float(params.prior.concentration)
  if params.process:
    sticks = np.stack([rng.beta(a, b, size=count) for a, b in params.concentration.T], 1)
    left = np.cumprod(1 - sticks, 1)
    ratio = stats.beta(*params.concentration).logpdf(sticks) - stats.beta(1, prior).logpdf(sticks)
    return sticks * np.concatenate([np.ones((count, 1)), left[:, :-1]], 1), ratio.sum(1)
  weights = stats.dirichlet(params.concentration).rvs(count, random_state=rng)
  ratio = stats.dirichlet(params.concentration).logpdf(weights.T)
  return weights, ratio - stats.dirichlet(np.full(weights.shape[1], prior)).logpdf(weights.T)


def sampled_precisions(params, component, rng, count):
  """Precisions drawn from q, [count, feature, feature], and the same of them."""
  kind, prior, features = params.covariance, params.prior, params.means.shape[1]
  tied, covariances = kind == "tied", np.asarray(covariances_of(params))  # the inverse of ν W
  freedom = float(params.degrees_of_freedom if tied else params.degrees_of_freedom[component])
  covariance, before = covariances if tied else covariances[component], float(prior.degrees_of_freedom)
  if kind in ("full", "tied"):
    q = stats.wishart(freedom, np.linalg.inv(covariance) / freedom)
    p = stats.wishart(before, np.linalg.inv(prior.inverse_scale))
    draws = q.rvs(count, random_state=rng)
    return draws, q.logpdf(draws.transpose(1, 2, 0)) - p.logpdf(draws.transpose(1, 2, 0))
  size = features if kind == "spherical" else 1  # features that a gamma distribution is of
  q = stats.gamma(size * freedom / 2, scale=2 / (size * freedom * covariance))
  p = stats.gamma(size * before / 2, scale=2 / (size * np.asarray(prior.inverse_scale)))
  each = q.rvs((count, features // size), random_state=rng)
  return np.eye(features) * each[:, :, None], (q.logpdf(each) - p.logpdf(each)).sum(-1)


def sampled(params, count=20000):
  """Draws of weights, precisions and means from q, and their log density under q less that under p; by SciPy."""
  rng = np.random.default_rng(0)
  prior, components = params.prior, len(params.means)
  weights, ratio = sampled_weights(params, rng, count)
  precisions, means = [], []
  for k in range(components):
    beta = float(params.mean_precision[k])
    if k == 0 or params.covariance != "tied":
      draws, own = sampled_precisions(params, k, rng, count)
      ratio = ratio + own
    spread = np.linalg.inv(np.linalg.cholesky(draws))  # Λ = L Lᵀ, so that L⁻ᵀ ε has covariance Λ⁻¹
    noise = np.einsum("ned,ne->nd", spread, rng.normal(size=(count, params.means.shape[1])))
    mean = np.asarray(params.means[k]) + noise / np.sqrt(beta)
    for sign, centre, scale in ((1, params.means[k], beta), (-1, prior.mean, float(prior.mean_precision))):
      difference = mean - np.asarray(centre)
      quadratic = scale * np.einsum("nd,nde,ne->n", difference, draws, difference)
      ratio += sign * 0.5 * (difference.shape[1] * np.log(scale) + np.linalg.slogdet(draws)[1] - quadratic)
    precisions.append(draws)
    means.append(mean)
  return weights, np.stack(precisions, 1), np.stack(means, 1), ratio


@pytest.mark.parametrize(
  ("kind", "process"), [("full", False), ("diag", True), ("spherical", False), ("tied", True), ("tied", False)]
)
def test_divergence_and_expectations_are_those_of_draws(kind, process):
  """KL(q || p) and the E-step's E[log πₖ N(x | μₖ, Λₖ⁻¹)], each within five standard errors of 20,000 draws."""
  params = posterior(kind, process=process)
  weights, precisions, means, ratio = sampled(params)
  error = 5 * ratio.std() / np.sqrt(len(ratio))
  assert error < 0.05 * ratio.mean()
  assert float(divergence(params)) == pytest.approx(ratio.mean(), abs=error)

  point = np.array([0.3, -0.2, 0.5])
  difference = point - means
  quadratic = np.einsum("nkd,nkde,nke->nk", difference, precisions, difference)
  logs = np.log(weights) + 0.5 * (np.linalg.slogdet(precisions)[1] - 3 * np.log(2 * np.pi) - quadratic)
  ours = np.asarray(expected_log_joint(params, point[None] - params.centre))[0]
  np.testing.assert_array_less(np.abs(ours - logs.mean(0)), 5 * logs.std(0) / np.sqrt(len(logs)))

  # The density of a point, averaged over the posterior, is the predictive density; sticks leave a rest, without weight.
  densities = np.exp(logs).sum(1) / weights.mean(0).sum()
  predictive = float(np.exp(log_density(params, point[None]))[0])
  assert predictive == pytest.approx(densities.mean(), abs=5 * densities.std() / np.sqrt(len(densities)))


def test_predictive_density_is_students_t():
  params = posterior("full")
  points = np.random.default_rng(1).normal(size=(10, 3))
  covariances = np.asarray(covariances_of(params))
  expected = []
  for k in range(3):
    beta, nu = float(params.mean_precision[k]), float(params.degrees_of_freedom[k])
    shape = covariances[k] * nu * (1 + beta) / ((nu - 2) * beta)  # Bishop's eq. 10.82, D = 3
    expected.append(stats.multivariate_t(params.means[k], shape, nu - 2).logpdf(points))
  weights = params.concentration / params.concentration.sum()
  expected = logsumexp(np.log(weights) + np.stack(expected, -1), axis=-1)
  np.testing.assert_allclose(log_density(params, points), expected, rtol=1e-9)


@pytest.mark.parametrize(("kind", "inputs"), [("full", IRIS), ("diag", IRIS[:, 2:3])], ids=["full", "diag"])
def test_parameters_are_scikit_learns_from_the_same_start(kind, inputs):
  """From its posterior after one iteration; `diag` in one dimension: see the module for more."""
  features = inputs.shape[1]
  scale = np.cov(inputs.T).reshape(features, features)
  options = {
    "covariance_type": kind,
    "covariance_prior": scale if kind == "full" else scale.diagonal(),
    "weight_concentration_prior_type": "dirichlet_distribution",
    "weight_concentration_prior": 0.1,
    "mean_precision_prior": 0.8,
    "degrees_of_freedom_prior": features + 1.0,
    "reg_covar": 0.0,
    "tol": 0.0,
  }
  with warnings.catch_warnings(action="ignore"):
    peer = BayesianGaussianMixture(n_components=4, max_iter=1, warm_start=True, random_state=0, **options).fit(inputs)
    start = mixture_lib.from_covariances(np.ones(4), peer.means_, peer.covariances_, kind)
    numbers = (0.1, 0.8, inputs.mean(0), features + 1.0, options["covariance_prior"])
    params = family.Posterior(
      concentration=jnp.asarray(peer.weight_concentration_),
      mean_precision=jnp.asarray(peer.mean_precision_),
      means=start.means,
      degrees_of_freedom=jnp.asarray(peer.degrees_of_freedom_),
      precision_cholesky=start.precision_cholesky,
      prior=family.Prior(*map(jnp.asarray, numbers)),
      centre=start.centre,
      covariance=kind,
    )
    peer.set_params(max_iter=15).fit(inputs)
  functions = family.variational_mixture(4, covariance=kind)
  step = jax.jit(lambda params: functions.maximise(params, functions.expect(params, whole(inputs), KEY)[0]))
  for _ in range(15):
    params = step(params)
  np.testing.assert_allclose(params.concentration, peer.weight_concentration_, rtol=1e-6)
  np.testing.assert_allclose(params.mean_precision, peer.mean_precision_, rtol=1e-6)
  np.testing.assert_allclose(params.means, peer.means_, rtol=1e-6)
  np.testing.assert_allclose(params.degrees_of_freedom, peer.degrees_of_freedom_, rtol=1e-6)
  np.testing.assert_allclose(covariances_of(params), peer.covariances_, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("kind", ["full", "tied", "diag", "spherical"])
def test_the_bound_never_falls_and_unneeded_components_empty(kind):
  """Three separate groups, six components, α₀ = 0.001, the best of sixteen starts."""
  rng = np.random.default_rng(0)
  centres = np.array([[0, 0, 0], [6, 0, 0], [0, 6, 3]])
  inputs = np.concatenate([centre + rng.normal(size=(80, 3)) for centre in centres])
  process = kind in ("tied", "diag")
  functions = family.variational_mixture(6, covariance=kind, process=process)
  learner = statistics.statistics_learner(**functions._asdict())
  options = {"max_iterations": 300, "tolerance": -np.inf, "metric": "lower_bound"}
  fit = jax.jit(jax.vmap(lambda key: base.fit(learner, whole(inputs), key=key, **options)))
  states, traces = jax.device_get(fit(jax.random.split(KEY, 16)))
  assert np.diff(traces).min() > -1e-9
  state = jax.tree.map(lambda leaf: leaf[np.argmax(traces[:, -1])], states)
  occupied = np.sort(np.asarray(family.occupied(state.params)))[::-1]
  np.testing.assert_allclose(occupied[:3], 80, atol=1.5)
  np.testing.assert_allclose(occupied[3:], 0, atol=0.05)
  # What has no points is as before any data came.
  empty = np.argmin(family.occupied(state.params))
  if kind != "tied":
    freedom, before = state.params.degrees_of_freedom[empty], state.params.prior.degrees_of_freedom
    np.testing.assert_allclose(freedom, before, rtol=1e-3)
  np.testing.assert_allclose(state.params.means[empty], state.params.prior.mean, atol=1e-2)


def test_arguments_out_of_range_are_refused():
  for field, options in {
    "covariance": {"covariance": "banded"},
    "concentration": {"concentration": 0.0},
    "mean_precision": {"mean_precision": -1.0},
    "components": {"components": 0},
  }.items():
    with pytest.raises(UserError, match=field):
      family.variational_mixture(**{"components": 2, **options})
  with pytest.raises(UserError, match=r"degrees_of_freedom = 2\.5"):
    jax.eval_shape(family.variational_mixture(2, degrees_of_freedom=2.5).init, KEY, whole(IRIS))


def test_a_prior_that_is_given():
  """Mean and scale are taken as they are, and refused in another shape."""
  mean, scale = np.array([5.0, 3.0, 4.0, 1.0]), 0.3
  functions = family.variational_mixture(
    2, covariance="spherical", mean=mean, inverse_scale=scale, degrees_of_freedom=3
  )
  params = jax.jit(functions.init)(KEY, whole(IRIS))
  np.testing.assert_allclose(params.prior.mean, mean)
  np.testing.assert_allclose(params.prior.inverse_scale, scale)
  np.testing.assert_allclose(params.means.mean(0), IRIS.mean(0), atol=1.0)
  refused: dict[str, Any] = {"mean": np.zeros(3), "inverse_scale": np.ones(4)}
  for field, value in refused.items():
    functions = family.variational_mixture(2, **{"covariance": "tied", field: value})
    with pytest.raises(UserError, match=field):
      jax.eval_shape(functions.init, KEY, whole(IRIS))
