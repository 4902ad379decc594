"""Naive Bayes against scikit-learn, SciPy and NumPy: probabilities, sums in any order, samples, degenerate data."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats
from sklearn import naive_bayes as peers
from sklearn.datasets import load_digits

from research.data import pipeline
from research.errors import UserError
from research.families import naive_bayes as family_lib
from research.training import parallel, statistics
from research.training.executor import Executor
from research.training.experiment import Experiment
from research.training.precision import precision

INPUTS, LABELS = load_digits(return_X_y=True)
INPUTS, LABELS = INPUTS[:400], LABELS[:400].astype(np.int32)
# Categories of the features: ragged, and more than the data have.
SIZES = (INPUTS.max(0) + 1 + np.arange(64) % 3).astype(int)
# Hyper-parameters are not the defaults, which could hide behind one another.
PAIRS = {
  "gaussian": (family_lib.gaussian(1e-9), peers.GaussianNB()),
  "gaussian_smooth": (family_lib.gaussian(0.3), peers.GaussianNB(var_smoothing=0.3)),
  "bernoulli": (family_lib.bernoulli(0.7, 8.0), peers.BernoulliNB(alpha=0.7, binarize=8.0)),
  "multinomial": (family_lib.multinomial(0.2), peers.MultinomialNB(alpha=0.2)),
  "complement": (family_lib.complement(0.2), peers.ComplementNB(alpha=0.2)),
  "complement_norm": (family_lib.complement(0.2, norm=True), peers.ComplementNB(alpha=0.2, norm=True)),
  "categorical": (family_lib.categorical(SIZES, 0.4), peers.CategoricalNB(alpha=0.4, min_categories=SIZES)),
}
KINDS = pytest.mark.parametrize("name", ["gaussian", "bernoulli", "multinomial", "complement", "categorical"])
ROWS = 128


@functools.cache
def learner_of(family):
  learner = statistics.statistics_learner(
    init=family.init,
    prepare=family.prepare,
    expect=family.expect,
    maximise=family.maximise,
    evaluate=family.evaluate,
    combine=statistics.total,
  )
  return learner._replace(init=jax.jit(learner.init), update=jax.jit(learner.update))


@functools.cache
def compiled(function):
  return jax.jit(function)


def log_joint(family, params, inputs):
  return np.asarray(compiled(family.log_joint)(params, inputs))


def posterior(family, params, inputs):
  return special.softmax(log_joint(family, params, inputs), axis=1)


def counted(family, inputs, labels, sizes=None, weights=None, rows=ROWS):
  """The state after batches of these sizes, each padded to `rows` with what must not count."""
  learner, state, start = learner_of(family), None, 0
  weights = np.ones(len(inputs)) if weights is None else weights
  for size in sizes or [rows] * -(-len(inputs) // rows):
    part = slice(start, min(start + size, len(inputs)))
    padding = rows - (part.stop - part.start)
    batch = {
      "inputs": np.concatenate([inputs[part], np.full((padding, inputs.shape[1]), 7, inputs.dtype)]),
      "label": np.concatenate([labels[part], np.full(padding, 3, labels.dtype)]),
      "mask": np.concatenate([weights[part], np.zeros(padding)]),
    }
    state = learner.init(jax.random.key(0), batch) if state is None else state
    state, start = learner.update(state, batch)[0], part.stop
  assert start == len(inputs)
  return state


def model(observation, classes=10, **options):
  return family_lib.NaiveBayes(observation, classes, **options)


@pytest.fixture
def wide():
  with precision("float64"):
    yield


@pytest.mark.parametrize("name", PAIRS)
def test_probabilities_are_those_of_scikit_learn(name, wide):
  observation, peer = PAIRS[name]
  family, peer = model(observation), peer.fit(INPUTS, LABELS)
  params = counted(family, INPUTS, LABELS).params
  inputs = np.minimum(INPUTS[::-1] + 1, INPUTS.max(0))  # not those that were counted
  np.testing.assert_allclose(log_joint(family, params, inputs), peer.predict_joint_log_proba(inputs), rtol=1e-8)
  ours, theirs = posterior(family, params, inputs), peer.predict_proba(inputs)
  np.testing.assert_allclose(ours, theirs, atol=1e-8)
  assert 0.01 < theirs.max(1).min() < 0.99, "some are uncertain"


@KINDS
def test_batches_in_any_order_add_up(name, wide):
  """Ragged batches, of examples sorted by class, so that most classes are not in the first."""
  family, order = model(PAIRS[name][0]), np.argsort(LABELS, kind="stable")
  whole = counted(family, INPUTS, LABELS)
  parts = counted(family, INPUTS[order], LABELS[order], sizes=[1, 128, 30, 100, 1, 97, 43])
  assert int(parts.step) == 7
  scores = [log_joint(family, state.params, INPUTS) for state in (whole, parts)]
  np.testing.assert_allclose(*scores, rtol=1e-9)


@pytest.mark.parametrize("name", ["gaussian_smooth", "multinomial"])
def test_a_weight_is_a_number_of_copies(name, wide):
  family, copies = model(PAIRS[name][0]), np.arange(400) % 3
  weighted = counted(family, INPUTS, LABELS, weights=copies.astype(float))
  repeated = counted(family, INPUTS.repeat(copies, 0), LABELS.repeat(copies))
  scores = [log_joint(family, state.params, INPUTS) for state in (weighted, repeated)]
  np.testing.assert_allclose(*scores, rtol=1e-9)


def test_four_devices_are_one(wide):
  """The Gaussian, which must know of all devices where a class lies."""
  family, found = model(PAIRS["gaussian"][0]), []
  data = pipeline.passes({"inputs": INPUTS, "label": LABELS}, 100, seed=0)
  for mode, devices in (("jit", 1), ("pmap", 4), ("fsdp", 4)):
    executor = Executor(Experiment(learner_of(family), data, data), parallel.plan(mode, devices), 0)
    state = executor.init_state()
    for _, _, feed, count in executor.feeds(data, [(step, 1) for step in range(4)], 1):
      state, _ = executor.update(state, feed, count)
    found.append(posterior(family, jax.device_get(state.params), INPUTS))
  np.testing.assert_allclose(found[1], found[0], atol=1e-9)
  np.testing.assert_allclose(found[2], found[0], atol=1e-9)
  reference = PAIRS["gaussian"][1].fit(INPUTS, LABELS).predict_proba(INPUTS)
  np.testing.assert_allclose(found[0], reference, atol=1e-8)


def test_float32_variances_far_from_zero():
  """A thousand deviations from 0, classes far apart and sorted: the textbook's difference has lost its digits there."""
  rng = np.random.default_rng(0)
  labels = np.repeat(np.arange(4), 100).astype(np.int32)
  inputs = (1000 * (labels[:, None] + 1) + rng.normal(size=(400, 5))).astype(np.float32)
  inputs[:, 4] = 12345.678
  state = counted(model(family_lib.gaussian(1e-12), 4), inputs, labels, sizes=[70, 30, 128, 128, 44])
  assert state.params["observation"]["variance"].dtype == jnp.float32
  variance = np.asarray(state.params["observation"]["variance"])
  exact = np.array([inputs[labels == c].astype(np.float64).var(0) for c in range(4)])
  np.testing.assert_allclose(variance[:, :4], exact[:, :4], rtol=1e-4)
  assert (variance > 0).all()
  assert variance[:, 4].max() < 1e-5
  textbook = np.array([(inputs[labels == c] ** 2).mean(0) - inputs[labels == c].mean(0) ** 2 for c in range(4)])
  assert np.abs(textbook - exact)[:, :4].max() > 0.05, "the test is not vacuous"


def test_gaussian_densities(wide):
  family = model(PAIRS["gaussian_smooth"][0])
  params = counted(family, INPUTS, LABELS).params
  mean, variance = (np.asarray(params["observation"][k]) for k in ("mean", "variance"))
  density = stats.norm.logpdf(INPUTS[:5, None], mean, np.sqrt(variance)).sum(-1)
  expected = density + np.log(np.bincount(LABELS) / 400)
  np.testing.assert_allclose(log_joint(family, params, INPUTS[:5]), expected, rtol=1e-10)


@pytest.mark.parametrize("name", ["gaussian", "bernoulli", "multinomial", "categorical"])
def test_samples_have_the_mean_of_their_class(name, wide):
  family = model(PAIRS[name][0])
  params = counted(family, INPUTS, LABELS).params
  label = np.full(4000, 3)
  draws = np.asarray(jax.jit(family.sample)(params, jax.random.key(0), label))
  mean, error = np.asarray(family.mean(params))[3], draws.std(0) / np.sqrt(4000)
  assert (np.abs(draws.mean(0) - mean) < 5 * error + 0.002 * mean.max()).all()
  # Of the multinomial each draw has as many counts; elsewhere features are independent of one another.
  strongest = np.argsort(-draws.var(0))[:8]
  correlation = np.corrcoef(draws[:, strongest].T) - np.eye(8)
  assert np.abs(correlation).max() < (0.3 if name == "multinomial" else 0.08)
  if name == "multinomial":
    assert (draws.sum(1) == np.round(INPUTS[LABELS == 3].sum(1).mean())).all()


def test_a_prior_that_is_given(wide):
  prior = (0.5, 0.2, 0.3, *[0.0] * 7)
  family = model(PAIRS["multinomial"][0], prior=prior)
  params = counted(family, INPUTS, LABELS).params
  drawn = jax.jit(family.sample_labels, static_argnums=2)(params, jax.random.key(0), 4000)
  np.testing.assert_allclose(np.bincount(drawn, minlength=10) / 4000, prior, atol=0.03)
  peer = peers.MultinomialNB(alpha=0.2, class_prior=np.maximum(prior, 1e-300)).fit(INPUTS, LABELS)
  np.testing.assert_allclose(posterior(family, params, INPUTS), peer.predict_proba(INPUTS), atol=1e-8)


@KINDS
def test_log_odds_are_linear_in_the_features(name, wide):
  """Least squares finds the affine function of the features that the log-odds are, without remainder."""
  observation = PAIRS[name][0]
  family, inputs = model(observation), INPUTS.copy()
  inputs[:, 8:] = 0  # few features vary, or any score would be such a function
  scores = log_joint(family, counted(family, INPUTS, LABELS).params, inputs)
  odds = scores[:, 1] - scores[:, 0]
  features = np.asarray(observation.features(inputs))
  affine = np.concatenate([features[:, np.ptp(features, 0) > 0], np.ones((400, 1))], 1)
  solution = np.linalg.lstsq(affine, odds, rcond=None)[0]
  assert affine.shape[1] < 150
  np.testing.assert_allclose(affine @ solution, odds, rtol=1e-6, atol=1e-8 * np.ptp(odds))
  assert np.ptp(odds) > 1


@KINDS
def test_a_class_that_was_never_seen_is_never_predicted(name, wide):
  observation, peer = PAIRS[name]
  family, seen = model(observation), LABELS < 9
  params = counted(family, INPUTS[seen], LABELS[seen]).params
  scores = log_joint(family, params, INPUTS)
  assert not np.isnan(scores).any()
  assert np.isfinite(family.mean(params)).all()
  if observation.uses_prior:
    assert (scores[:, 9] == -np.inf).all()
    expected = peer.fit(INPUTS[seen], LABELS[seen]).predict_joint_log_proba(INPUTS)
    np.testing.assert_allclose(scores[:, :9], expected, rtol=1e-8)


@KINDS
def test_constant_features_and_nothing_counted(name, wide):
  """Where nothing tells the classes apart nothing is NaN; unsmoothed, they have their prior."""
  family, constant = model(PAIRS[name][0]), np.ones((ROWS, 64))
  nothing = learner_of(family).init(jax.random.key(0), batch_of(constant))
  for params in (counted(family, constant, LABELS[:ROWS]).params, nothing.params):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))
    found = posterior(family, params, constant)
    assert np.isfinite(found).all()
    if name in ("gaussian", "multinomial"):
      np.testing.assert_allclose(found, np.broadcast_to(params["prior"], found.shape), rtol=1e-9)


def batch_of(inputs):
  return {"inputs": inputs, "label": np.zeros(len(inputs), int), "mask": np.ones(len(inputs))}


def test_a_batch_with_nan_is_skipped_whole(wide):
  family = model(PAIRS["gaussian"][0], 11)
  good = counted(family, INPUTS, LABELS)
  spoilt = {**batch_of(np.full((ROWS, 64), np.nan)), "label": np.full(ROWS, 10, np.int32)}  # of a class not yet seen
  bad, _ = learner_of(family).update(good, spoilt)
  assert (int(bad.skipped), int(bad.step)) == (1, int(good.step) + 1)
  for a, b in zip(jax.tree.leaves(good.params), jax.tree.leaves(bad.params), strict=True):
    np.testing.assert_array_equal(a, b)


def test_metrics_are_those_of_numpy(wide):
  family = model(PAIRS["bernoulli"][0])
  state, batch = counted(family, INPUTS, LABELS), batch_of(INPUTS) | {"label": LABELS, "mask": np.arange(400) % 2}
  peer, kept = PAIRS["bernoulli"][1].fit(INPUTS, LABELS), np.arange(400) % 2 == 1
  metrics = family.evaluate(state.params, batch)
  assert float(metrics["accuracy"].value()) == pytest.approx(peer.score(INPUTS[kept], LABELS[kept]))
  log_p = peer.predict_log_proba(INPUTS)[np.arange(400), LABELS]
  assert float(metrics["loss"].value()) == pytest.approx(-log_p[kept].mean())
  before = family.expect(state.params, batch, None)[1]["accuracy"]
  assert float(before.value()) == float(metrics["accuracy"].value())


@pytest.mark.parametrize(
  ("observation", "value", "message"),
  [
    (family_lib.gaussian(), np.nan, r"inputs\[2, 1\] = nan.*NaN or infinite"),
    (family_lib.bernoulli(), np.inf, r"inputs\[2, 1\] = inf.*NaN or infinite"),
    (family_lib.multinomial(), -1.0, r"inputs\[2, 1\] = -1.*Negative values"),
    (family_lib.complement(), -0.5, r"inputs\[2, 1\] = -0.5.*Negative values"),
    (family_lib.categorical([2, 4]), -1.0, r"inputs\[2, 1\] = -1.*Negative values"),
    (family_lib.categorical([2, 4]), 1.5, r"inputs\[2, 1\] = 1.5.*whole numbers"),
    (family_lib.categorical([2, 4]), 4.0, r"inputs\[2, 1\] = 4.0.*unseen category"),
  ],
)
def test_refuses_what_the_model_is_not_for(observation, value, message):
  inputs = np.ones((4, 2))
  model(observation).check(inputs)
  inputs[2, 1] = value
  with pytest.raises(UserError, match=message):
    model(observation).check(inputs)


@pytest.mark.parametrize(
  ("build", "message"),
  [
    (lambda: family_lib.gaussian(0.0), "var_smoothing = 0.0"),
    (lambda: family_lib.multinomial(0), "alpha = 0"),
    (lambda: family_lib.bernoulli(-1), "alpha = -1"),
    (lambda: family_lib.complement(float("nan")), "alpha = nan"),
    (lambda: family_lib.categorical([2], 0), "alpha = 0"),
    (lambda: family_lib.categorical([2, 0]), "num_categories = 0"),
    (lambda: model(family_lib.gaussian(), 2, prior=(0.5, 0.6)), "prior = "),
    (lambda: model(family_lib.gaussian(), 2, prior=(1.0,)), "give 2 probabilities"),
    (lambda: model(family_lib.complement()).sample({}, jax.random.key(0), np.zeros(1, int)), "no distribution"),
  ],
)
def test_refuses_what_makes_no_model(build, message):
  with pytest.raises(UserError, match=message):
    build()
