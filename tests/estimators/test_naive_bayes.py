"""The wrappers against scikit-learn: its own checks, its models, its pipelines."""

import pickle

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn import naive_bayes as peers
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import parametrize_with_checks

from research.errors import UserError
from research.estimators import naive_bayes
from research.training.compilation import CompileClock

INPUTS, LABELS = load_digits(return_X_y=True)
NAMES = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])
PAIRS = {
  "gaussian": (naive_bayes.GaussianNB(), peers.GaussianNB()),
  "bernoulli": (naive_bayes.BernoulliNB(binarize=8.0), peers.BernoulliNB(binarize=8.0)),
  "multinomial": (naive_bayes.MultinomialNB(fit_prior=False), peers.MultinomialNB(fit_prior=False)),
  "complement": (naive_bayes.ComplementNB(norm=True), peers.ComplementNB(norm=True)),
  "categorical": (naive_bayes.CategoricalNB(min_categories=17), peers.CategoricalNB(min_categories=17)),
}
ALL = pytest.mark.parametrize("name", PAIRS)
FRACTIONS = "its data are fractions, which scikit-learn's own cuts to whole numbers and this one refuses"
MODELS = [pair[0].__class__ for pair in PAIRS.values()]


def expected_failures(estimator):
  if not isinstance(estimator, naive_bayes.CategoricalNB):
    return {}
  return {
    "check_sample_weight_equivalence_on_dense_data": FRACTIONS,
    "check_classifiers_one_label_sample_weights": FRACTIONS,
  }


@parametrize_with_checks([model() for model in MODELS], expected_failed_checks=expected_failures)
def test_contract_of_scikit_learn(estimator, check):
  check(estimator)


@ALL
def test_predictions_are_those_of_scikit_learn(name):
  """Over several chunks; and with labels that are words, whose order is not that of the classes."""
  ours, peer = (clone(model).fit(INPUTS[:1300], NAMES[LABELS[:1300]]) for model in PAIRS[name])
  np.testing.assert_array_equal(ours.classes_, peer.classes_)
  for method in ("predict_proba", "predict_log_proba", "predict_joint_log_proba"):
    found, expected = (getattr(model, method)(INPUTS) for model in (ours, peer))
    np.testing.assert_allclose(found, expected, rtol=1e-8, atol=1e-8, err_msg=method)
  np.testing.assert_array_equal(ours.predict(INPUTS), peer.predict(INPUTS))
  assert ours.score(INPUTS[1300:], NAMES[LABELS[1300:]]) == peer.score(INPUTS[1300:], NAMES[LABELS[1300:]])


@ALL
def test_partial_fits_are_one_fit(name):
  """Of ragged batches, the first of which has few of the classes; then pickled, as a queue would."""
  whole, parts = (clone(PAIRS[name][0]) for _ in range(2))
  order = np.argsort(LABELS, kind="stable")
  start = 0
  for size in (3, 100, 1500, 194):
    rows = order[start : start + size]
    parts = pickle.loads(pickle.dumps(parts)).partial_fit(INPUTS[rows], LABELS[rows], classes=range(10))
    start += size
  whole.fit(INPUTS, LABELS)
  np.testing.assert_array_equal(parts.class_count_, whole.class_count_)
  np.testing.assert_allclose(parts.predict_proba(INPUTS), whole.predict_proba(INPUTS), atol=1e-9)
  assert parts.fit(INPUTS[:100], LABELS[:100]).class_count_.sum() == 100, "fit begins anew"


def test_pipeline_cross_validation_and_search():
  ours, peer = (
    make_pipeline(FunctionTransformer(np.sqrt), model) for model in (naive_bayes.GaussianNB(), peers.GaussianNB())
  )
  found, expected = (cross_val_score(model, INPUTS, LABELS, cv=3) for model in (ours, peer))
  np.testing.assert_array_equal(found, expected)
  grid = {"gaussiannb__var_smoothing": [1e-9, 1e-2]}
  assert GridSearchCV(ours, grid, cv=3).fit(INPUTS, LABELS).best_params_ == {"gaussiannb__var_smoothing": 1e-2}


def test_equal_shapes_compile_once():
  """Another estimator, other data of another length: the programs are there."""
  naive_bayes.MultinomialNB(alpha=0.3).fit(INPUTS[:900], LABELS[:900]).predict(INPUTS)
  clock = CompileClock()
  naive_bayes.MultinomialNB(alpha=0.3).fit(INPUTS[::2], LABELS[::2]).predict(INPUTS[5:700])
  assert clock.programs == 0
  naive_bayes.MultinomialNB(alpha=0.3).fit(INPUTS[::2, 1:], LABELS[::2])
  assert clock.programs > 0, "the clock counts"


@pytest.mark.parametrize("name", ["gaussian", "bernoulli"])
def test_samples(name):
  model = clone(PAIRS[name][0]).fit(INPUTS, NAMES[LABELS])
  inputs, labels = model.sample(2000, random_state=0)
  assert inputs.shape == (2000, 64)
  assert set(labels) == set(NAMES)
  again, _ = model.sample(2000, random_state=0)
  np.testing.assert_array_equal(inputs, again)
  of_one, labels = model.sample(2000, label="three", random_state=1)
  assert set(labels) == {"three"}
  mean = (INPUTS[LABELS == 3] > 8 if name == "bernoulli" else INPUTS[LABELS == 3]).mean(0)
  assert np.abs(of_one.mean(0) - mean).max() < 5 * of_one.std(0).max() / np.sqrt(2000) + 0.25
  assert model.score(inputs * (16 if name == "bernoulli" else 1), model.sample(2000, random_state=0)[1]) > 0.9


@pytest.mark.parametrize(
  ("action", "message"),
  [
    (lambda: naive_bayes.MultinomialNB().fit(-INPUTS, LABELS), "Negative values"),
    (lambda: naive_bayes.CategoricalNB().fit(INPUTS / 2, LABELS), "whole numbers"),
    (lambda: naive_bayes.CategoricalNB().fit(INPUTS[:100], LABELS[:100]).predict(INPUTS + 9), "unseen category"),
    (lambda: naive_bayes.GaussianNB().partial_fit(INPUTS, LABELS), "classes must be passed"),
    (
      lambda: naive_bayes.GaussianNB().partial_fit(INPUTS, LABELS, classes=[0, 1]),
      "do not exist in the initial classes",
    ),
    (lambda: naive_bayes.GaussianNB().fit(INPUTS, LABELS).partial_fit(INPUTS, LABELS, classes=[1]), "on last call"),
    (lambda: naive_bayes.GaussianNB(var_smoothing=0).fit(INPUTS, LABELS), "var_smoothing = 0"),
    (lambda: naive_bayes.GaussianNB(priors=[1.0]).fit(INPUTS, LABELS), "match number of classes, 10"),
    (lambda: naive_bayes.GaussianNB().fit(INPUTS * 1e300, LABELS), "overflow"),
    (lambda: naive_bayes.GaussianNB().fit(INPUTS, LABELS).sample(label=10), "label = 10"),
    (lambda: naive_bayes.ComplementNB().fit(INPUTS, LABELS).sample(), "no distribution"),
  ],
)
def test_refuses(action, message):
  with pytest.raises(UserError, match=message):
    action()


def test_refuses_before_it_is_fitted():
  with pytest.raises(NotFittedError):
    naive_bayes.BernoulliNB().sample()
  assert not hasattr(naive_bayes.BernoulliNB(), "class_count_")
  model = naive_bayes.CategoricalNB().fit(INPUTS, LABELS)
  before = model.predict(INPUTS)
  with pytest.raises(UserError):
    model.fit(-INPUTS, LABELS)
  np.testing.assert_array_equal(model.predict(INPUTS), before)  # a failed fit leaves the model as it was
  with pytest.raises(UserError, match="classes must be passed"):
    naive_bayes.CategoricalNB().partial_fit(INPUTS, LABELS)


def test_given_priors():
  prior = np.arange(1, 11) / 55
  for model, peer, field in (
    (naive_bayes.GaussianNB, peers.GaussianNB, "priors"),
    (naive_bayes.BernoulliNB, peers.BernoulliNB, "class_prior"),
  ):
    found, expected = (kind(**{field: prior}).fit(INPUTS, LABELS).predict_proba(INPUTS) for kind in (model, peer))
    np.testing.assert_allclose(found, expected, atol=1e-8)
    assert np.ptp(expected.argmax(1)) > 0


@pytest.mark.parametrize("name", ["BernoulliNB", "MultinomialNB", "ComplementNB"])
def test_sparse_rows_and_an_alpha_a_feature_are_scikit_learns(name):
  alpha = 0.3 if name == "BernoulliNB" else np.linspace(1e-12, 2, INPUTS.shape[1])  # theirs of Bernoulli takes one
  ours = getattr(naive_bayes, name)(alpha=alpha).fit(csr_matrix(INPUTS), LABELS)
  theirs = getattr(peers, name)(alpha=alpha).fit(INPUTS, LABELS)
  np.testing.assert_allclose(ours.predict_log_proba(csr_matrix(INPUTS)), theirs.predict_log_proba(INPUTS), atol=1e-8)
  np.testing.assert_allclose(ours.feature_count_, theirs.feature_count_)
  np.testing.assert_allclose(ours.feature_log_prob_, theirs.feature_log_prob_, atol=1e-8)
  np.testing.assert_allclose(ours.class_log_prior_, theirs.class_log_prior_)


def test_categories_that_come_later_are_counted_as_at_once():
  whole = naive_bayes.CategoricalNB().fit(INPUTS, LABELS)
  order = np.argsort(INPUTS.max(1), kind="stable")  # the highest categories come last
  parts = naive_bayes.CategoricalNB()
  for rows in np.array_split(order, 3):
    parts.partial_fit(INPUTS[rows], LABELS[rows], classes=np.unique(LABELS))
  np.testing.assert_array_equal(parts.n_categories_, whole.n_categories_)
  for one, other in zip(parts.feature_log_prob_, whole.feature_log_prob_):
    np.testing.assert_allclose(one, other)


def test_no_smoothing_is_the_limit_of_little():
  X, y = np.array([[1, 0], [0, 1], [1, 1]]), np.array([0, 1, 1])
  model = naive_bayes.MultinomialNB(alpha=0).fit(X, y)
  # p(1, 0 | 0) = 1 and p(1, 0 | 1) = 1/3, at priors of 1/3 and 2/3.
  assert model.predict_proba(X)[0] == pytest.approx([0.6, 0.4])
  assert model.predict_proba([[0, 1]])[0] == pytest.approx([0, 1])
