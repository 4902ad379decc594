"""EM of Gaussian mixtures against SciPy's densities, scikit-learn's EM and closed forms."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris
from sklearn.mixture import GaussianMixture

from research.data import pipeline
from research.errors import UserError
from research.estimators import base
from research.families import gaussian_mixture as family
from research.training import parallel, statistics
from research.training.executor import Executor
from research.training.experiment import Experiment
from research.training.precision import precision

KINDS = ("full", "tied", "diag", "spherical")
IRIS = load_iris().data
KEY = jax.random.key(0)


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


def example(kind, components=3, features=4):
  """Weights, means and covariances in the shape of their kind."""
  rng = np.random.default_rng(1)
  roots = rng.normal(size=(components, features, features))
  full = roots @ roots.transpose(0, 2, 1) + 0.1 * np.eye(features)
  shaped = {
    "full": full,
    "tied": full[0],
    "diag": full.diagonal(axis1=1, axis2=2),
    "spherical": full[:, 0, 0],
  }[kind]
  return rng.dirichlet(np.ones(components)), 2 * rng.normal(size=(components, features)), shaped


def matrices(kind, covariances, components=3, features=4):
  """The same as K full matrices."""
  return {
    "full": lambda: covariances,
    "tied": lambda: np.stack([covariances] * components),
    "diag": lambda: np.stack([np.diag(row) for row in covariances]),
    "spherical": lambda: np.stack([variance * np.eye(features) for variance in covariances]),
  }[kind]()


def whole(inputs):
  return {"inputs": jnp.asarray(inputs), "mask": jnp.ones(len(inputs), jnp.float32)}


STEPWISE = statistics.stepwise(150, power=0)


@functools.cache
def learner_of(*args, combine=statistics.latest, accumulate=1, **options):
  return statistics.statistics_learner(
    **family.gaussian_mixture(*args, **options)._asdict(), combine=combine, accumulate=accumulate
  )


def run(learner, batch, steps, key=0):
  """The state after `steps` updates, and the mean log-likelihood before each of them."""
  options = {"max_iterations": steps, "tolerance": -np.inf, "metric": "log_likelihood"}
  return base.fit(learner, batch, key=jax.random.key(key), **options)


def begun(learner, batch, params):
  """The state at step 0 with these parameters; nothing is computed."""
  nothing = jax.tree.map(
    lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(learner.init, KEY, batch).statistics
  )
  return statistics.StatisticsState.create(KEY, params=params, statistics=nothing)


@pytest.mark.parametrize("kind", KINDS)
def test_density_is_scipys(kind):
  weights, means, covariances = example(kind)
  params = family.from_covariances(weights, means, covariances, kind)
  inputs = 3 * np.random.default_rng(2).normal(size=(50, 2, 2))  # of any shape
  points = inputs.reshape(50, 4)
  each = [multivariate_normal(m, c).logpdf(points) for m, c in zip(means, matrices(kind, covariances))]
  joint = np.log(weights) + np.stack(each, -1)
  functions = (family.log_joint, family.log_density, family.responsibilities)
  ours = jax.jit(lambda inputs: [function(params, inputs) for function in functions])(inputs)
  np.testing.assert_allclose(ours[0], joint, rtol=1e-10)
  np.testing.assert_allclose(ours[1], logsumexp(joint, -1), rtol=1e-10)
  np.testing.assert_allclose(ours[2], np.exp(joint - logsumexp(joint, -1, keepdims=True)), atol=1e-12)
  np.testing.assert_allclose(family.covariances(params), covariances, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_scikit_learns_from_the_same_start(kind):
  weights, means, covariances = example(kind)
  means = means + IRIS.mean(0)
  start = family.from_covariances(weights, means, covariances, kind)
  learner = learner_of(3, covariance=kind)
  update, state = jax.jit(learner.update), begun(learner, whole(IRIS), start)
  for _ in range(10):
    state, metrics = update(state, whole(IRIS))
  precisions = 1 / covariances if kind in ("diag", "spherical") else np.linalg.inv(covariances)
  peer = GaussianMixture(
    3, covariance_type=kind, tol=0, max_iter=10, weights_init=weights, means_init=means, precisions_init=precisions
  )
  with warnings.catch_warnings(action="ignore"):
    peer.fit(IRIS)
  np.testing.assert_allclose(state.params.weights, peer.weights_, rtol=1e-7)
  np.testing.assert_allclose(state.params.means, peer.means_, rtol=1e-7)
  np.testing.assert_allclose(family.covariances(state.params), peer.covariances_, rtol=1e-6, atol=1e-9)
  np.testing.assert_allclose(metrics["log_likelihood"].value(), peer.lower_bound_, rtol=1e-9)
  measured = jax.jit(learner.evaluate)(state, whole(IRIS))["log_likelihood"]
  np.testing.assert_allclose(measured.value(), peer.score(IRIS))
  parameters = family.num_parameters(3, 4, kind)
  total = 150 * peer.score(IRIS)
  assert float(family.bic(total, parameters, 150)) == pytest.approx(peer.bic(IRIS))
  assert float(family.aic(total, parameters)) == pytest.approx(peer.aic(IRIS))


def exact(kind, **options):
  return learner_of(3, covariance=kind, reg_covar=0.0, start="random", lloyd_iterations=0, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_no_update_lowers_the_likelihood(kind):
  for key in range(3):
    state, trace = run(exact(kind), whole(IRIS), 60, key)
    assert int(state.skipped) == 0
    assert np.diff(trace).min() > -1e-9
    assert trace[-1] > trace[0] + 0.01


def test_four_devices_and_micro_batches_count_what_one_does():
  data = pipeline.passes({"inputs": IRIS}, 152, seed=0)  # padded: 152 = 4 x 38
  states = []
  for mode, devices, accumulate in (("jit", 1, 1), ("pmap", 4, 2)):
    experiment = Experiment(learner_of(3, accumulate=accumulate), data, data)
    executor = Executor(experiment, parallel.plan(mode, devices), 0)
    state = executor.init_state()
    for _, _, feed, count in executor.feeds(data, [(step, 1) for step in range(4)], 1):
      state, _ = executor.update(state, feed, count)
    states.append(jax.device_get((state.params, state.statistics)))
  assert states[0][1].counts.sum() == pytest.approx(150)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-9), *states)


def test_stepwise_em_with_the_whole_set_as_batch_is_em():
  stepwise = run(exact("full", combine=STEPWISE), whole(IRIS), 60)[0]
  plain = run(exact("full"), whole(IRIS), 60)[0]
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), stepwise.params, plain.params)


def test_stepwise_em_of_small_batches_comes_near_to_em():
  weights, means, covariances = example("full")
  params = family.from_covariances(weights, 2 * means, covariances)
  points = np.asarray(family.sample(params, jax.random.key(3), 4000)[0])
  data = pipeline.passes({"inputs": points}, 200, seed=0)
  learner = learner_of(3, combine=statistics.stepwise(4000, 0.6, 2.0))
  executor = Executor(Experiment(learner, data, data), parallel.plan("jit", 1), 1)
  state = executor.init_state()
  for _, _, feed, count in executor.feeds(data, [(step, 1) for step in range(100)], 1):
    state, _ = executor.update(state, feed, count)
  score = jax.jit(lambda params: family.log_density(params, jnp.asarray(points)).mean())
  assert score(state.params) > score(params) - 0.01


def test_far_from_the_origin_nothing_cancels():
  near, trace = run(exact("full"), whole(IRIS), 60)
  far, far_trace = run(exact("full"), whole(IRIS + 1e6), 60)
  np.testing.assert_allclose(far_trace, trace, atol=1e-6)
  np.testing.assert_allclose(far.params.means - 1e6, near.params.means, atol=1e-6)


def test_a_mixture_may_use_fewer_of_its_components():
  """Of five, two in use: the same as a mixture of two that starts alike, with the other three out of play."""
  batch = {**whole(IRIS), "components": jnp.full(150, 2)}
  padded, trace = run(learner_of(5, lloyd_iterations=50), batch, 30)
  two = GaussianMixture(2, tol=1e-12, max_iter=500, n_init=5, random_state=0).fit(IRIS)
  np.testing.assert_array_equal(padded.params.weights[2:], 0)
  assert np.isfinite(trace).all()
  assert float(trace[-1]) == pytest.approx(two.score(IRIS), abs=1e-6)


DEGENERATE = {
  "a constant feature": np.column_stack([IRIS[:40], np.full(40, 7.0)]),
  "duplicates, fewer distinct points than components": np.repeat(np.column_stack([IRIS[:5], IRIS[:5, :1]]), 8, axis=0),
  "one point": np.ones((40, 5)),
  "as many points as components": np.random.default_rng(0).normal(size=(40, 5)),  # by its mask, below
}


COLLAPSING = [(kind, 0.0, "random") for kind in KINDS] + [("full", 1e-6, "k-means++")]


@pytest.mark.parametrize(("kind", "reg_covar", "start"), COLLAPSING)
def test_collapse_never_ends_in_nan(kind, reg_covar, start):
  """Whatever collapses, parameters and densities stay finite, weights sum to one, and no update is skipped."""
  learner = learner_of(8, covariance=kind, reg_covar=reg_covar, start=start)
  for name, inputs in DEGENERATE.items():
    batch = whole(inputs)
    if name.startswith("as many"):
      batch["mask"] = (jnp.arange(40) < 8).astype(jnp.float32)
    state, trace = run(learner, batch, 20)
    assert int(state.skipped) == 0, name
    assert np.isfinite(trace).all(), name
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((state.params, state.statistics))), name
    assert float(state.params.weights.sum()) == pytest.approx(1), name
    assert np.isfinite(learner.evaluate(state, batch)["log_likelihood"].value()), name


def test_a_component_without_points_has_no_part_in_a_tied_covariance():
  """Far from the mean, where it stays, it would have."""
  inputs = np.random.default_rng(0).normal(size=(50, 2))
  params = family.from_covariances(np.ones(2) / 2, np.array([[0.0, 0.0], [1e3, 1e3]]), np.eye(2), "tied")
  functions = family.gaussian_mixture(2, covariance="tied", reg_covar=0.0)
  step = jax.jit(lambda params, batch: functions.maximise(params, functions.expect(params, batch, KEY)[0]))
  new = jax.device_get(step(params, whole(inputs)))
  np.testing.assert_allclose(family.covariances(new), np.cov(inputs.T, bias=True), rtol=1e-4)


def test_a_component_without_points_stays_where_it_was():
  weights, means, covariances = example("full")
  means = means + IRIS.mean(0)
  means[2] = 1e4
  learner = learner_of(3)
  start = family.from_covariances(weights, means, covariances)
  after = jax.jit(learner.update)(begun(learner, whole(IRIS), start), whole(IRIS))[0].params
  assert after.weights[2] == 0
  np.testing.assert_allclose(after.means[2], 1e4)
  np.testing.assert_allclose(family.covariances(after)[2], covariances[2], rtol=1e-9)
  assert (after.weights[:2] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_sample_moments(kind):
  """Mean and covariance of 40,000 draws, within six standard errors of the mixture's (Bishop 2006, exercise 9.10)."""
  weights, means, covariances = example(kind)
  params = family.from_covariances(weights, means, covariances, kind)
  drawn, component = map(np.asarray, jax.jit(lambda: family.sample(params, KEY, 40000))())
  expected = sum(w * (c + np.outer(m, m)) for w, m, c in zip(weights, means, matrices(kind, covariances))) - np.outer(
    weights @ means, weights @ means
  )
  error = 6 * np.sqrt(expected.diagonal() / 40000)
  assert (np.abs(drawn.mean(0) - weights @ means) < error).all()
  np.testing.assert_allclose(np.cov(drawn.T), expected, atol=0.06 * expected.diagonal().max())
  np.testing.assert_allclose(np.bincount(component, minlength=3) / 40000, weights, atol=6 * 0.5 / 200)
  for k in range(3):
    np.testing.assert_allclose(drawn[component == k].mean(0), means[k], atol=0.15)


def test_arguments_out_of_range_are_refused():
  for field, options in {
    "components": {"components": 0},
    "covariance": {"components": 2, "covariance": "ful"},
    "reg_covar": {"components": 2, "reg_covar": -1.0},
    "start": {"components": 2, "start": "kmeans"},
    "lloyd_iterations": {"components": 2, "lloyd_iterations": -1},
  }.items():
    with pytest.raises(UserError, match=field):
      family.gaussian_mixture(**options)
  with pytest.raises(UserError, match="150 examples"):
    family.gaussian_mixture(151).init(jax.random.key(0), whole(IRIS))
  with pytest.raises(UserError, match="positive definite"):
    family.from_covariances([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]])
  with pytest.raises(UserError, match="weights"):
    family.from_covariances([1.0, 0.0], [[0.0], [0.0]], [1.0, 1.0], "spherical")
