"""Hidden Markov models with scikit-learn's interface: its contract, hmmlearn's answers, and one model as another."""

import numpy as np
import pytest
from hmmlearn import hmm as hmmlearn
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from research.errors import UserError
from research.estimators import hmm

RNG = np.random.default_rng(0)
LENGTHS = np.array([30, 1, 12, 17])
STATES = np.repeat(RNG.integers(3, size=12), 5)
POINTS = 2 * RNG.normal(size=(3, 2))[STATES] + RNG.normal(size=(60, 2))
SYMBOLS = np.where(RNG.random(60) < 0.7, STATES, RNG.integers(3, size=60))[:, None]
START = RNG.dirichlet(np.ones(3)), RNG.dirichlet(np.ones(3), 3)
GIVEN = {"startprob_init": START[0], "transmat_init": START[1], "tol": -np.inf}


# That rows depend on their order and on their neighbours is what the model is for; the data of the checks that ask for
# the opposite are too well separated to show it.
@parametrize_with_checks([hmm.GaussianHMM(2, n_iter=2)])
def test_contract_of_scikit_learn(estimator, check):
  check(estimator)


def gaussian_pair():
  means, variances = RNG.normal(size=(3, 2)), np.ones((3, 2))
  ours = hmm.GaussianHMM(3, n_iter=5, means_init=means, covars_init=variances, min_covar=0, **GIVEN)
  theirs = hmmlearn.GaussianHMM(3, n_iter=5, tol=-np.inf, init_params="", covars_prior=0)
  theirs.startprob_, theirs.transmat_, theirs.means_, theirs.covars_ = *START, means, variances
  return ours, theirs, POINTS


def categorical_pair():
  emission = RNG.dirichlet(np.ones(3), 3)
  ours = hmm.CategoricalHMM(3, n_iter=5, emissionprob_init=emission, **GIVEN)
  theirs = hmmlearn.CategoricalHMM(3, n_iter=5, tol=-np.inf, init_params="")
  theirs.startprob_, theirs.transmat_, theirs.emissionprob_ = *START, emission
  return ours, theirs, SYMBOLS


@pytest.mark.parametrize("pair", [gaussian_pair, categorical_pair])
def test_answers_are_those_of_hmmlearn(pair):
  ours, theirs, X = pair()
  ours.fit(X, lengths=LENGTHS)
  theirs.fit(X, LENGTHS)
  for name in ("startprob_", "transmat_", "means_", "covars_", "emissionprob_"):
    if hasattr(theirs, name):
      np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), atol=1e-8, err_msg=name)
  np.testing.assert_allclose(ours.history_, theirs.monitor_.history, rtol=1e-10)
  assert ours.n_iter_ == 5
  assert ours.score(X, lengths=LENGTHS) == pytest.approx(theirs.score(X, LENGTHS))
  np.testing.assert_allclose(ours.predict_proba(X, LENGTHS), theirs.predict_proba(X, LENGTHS), atol=1e-8)
  (log_joint, path), (expected, their_path) = ours.decode(X, LENGTHS), theirs.decode(X, LENGTHS)
  assert log_joint == pytest.approx(expected)
  np.testing.assert_array_equal(path, their_path)
  np.testing.assert_array_equal(ours.predict(X, LENGTHS), path)


@pytest.mark.parametrize("method", ["fit", "score"])
def test_lengths_in_the_place_of_labels_are_refused(method):
  """hmmlearn has them there; here they were dropped, and all sequences taken for one."""
  model = hmm.GaussianHMM(3, n_iter=1, random_state=0).fit(POINTS, lengths=LENGTHS)
  with pytest.raises(UserError, match=rf"{method}\(X, lengths=lengths\)"):
    getattr(model, method)(POINTS, LENGTHS)


def test_in_a_pipeline():
  pipeline = make_pipeline(StandardScaler(), hmm.GaussianHMM(3, covariance_type="full", n_iter=4, random_state=0))
  path = pipeline.fit(POINTS, gaussianhmm__lengths=LENGTHS).predict(POINTS, lengths=LENGTHS)
  scaled = StandardScaler().fit_transform(POINTS)
  alone = clone(pipeline[-1]).fit(scaled, lengths=LENGTHS)
  np.testing.assert_array_equal(path, alone.predict(scaled, LENGTHS))
  assert alone.score(scaled, lengths=LENGTHS) > hmm.GaussianHMM().fit(scaled).score(scaled) + 20
  assert not np.allclose(alone.covars_[0], alone.covars_[0] * np.eye(2))


def test_it_stops_when_it_has_converged():
  model = hmm.GaussianHMM(2, n_iter=200, random_state=0).fit(POINTS, lengths=LENGTHS)
  assert model.converged_
  assert 2 < model.n_iter_ < 200
  assert len(model.history_) == model.n_iter_
  assert model.history_[-1] - model.history_[-2] < 1e-2 <= model.history_[-2] - model.history_[-3]


def test_mixtures_of_one_component_are_gaussian():
  options = {"n_iter": 3, "random_state": 0, "covariance_type": "full", **GIVEN}
  one = hmm.GMMHMM(3, 1, **options).fit(POINTS, lengths=LENGTHS)
  plain = hmm.GaussianHMM(3, **options).fit(POINTS, lengths=LENGTHS)
  np.testing.assert_allclose(one.means_[:, 0], plain.means_)
  np.testing.assert_allclose(one.covars_[:, 0], plain.covars_)
  assert one.weights_.shape == (3, 1)
  two = hmm.GMMHMM(3, 2, **options).fit(POINTS, lengths=LENGTHS)
  assert two.score(POINTS, lengths=LENGTHS) > one.score(POINTS, lengths=LENGTHS)
  np.testing.assert_allclose(two.weights_.sum(1), 1)


def test_one_bit_is_two_symbols():
  on = np.array([0.2, 0.5, 0.9])
  bits = (SYMBOLS > 0).astype(int)
  bernoulli = hmm.BernoulliHMM(3, n_iter=5, emissionprob_init=on[:, None], binarize=0.5, **GIVEN)
  symbols = hmm.CategoricalHMM(3, n_iter=5, emissionprob_init=np.stack([1 - on, on], 1), **GIVEN)
  for model in (bernoulli, symbols):
    model.fit(bits, lengths=LENGTHS)
  np.testing.assert_allclose(bernoulli.emissionprob_[:, 0], symbols.emissionprob_[:, 1])
  np.testing.assert_allclose(bernoulli.transmat_, symbols.transmat_)


def test_a_sample_is_a_sequence_of_the_model():
  model = hmm.CategoricalHMM(3, n_iter=5, random_state=0).fit(SYMBOLS, lengths=LENGTHS)
  X, states = model.sample(5000, random_state=1)
  assert X.shape == (5000, 1)
  moves = np.histogram2d(states[:-1], states[1:], bins=[np.arange(4)] * 2)[0]
  seen = moves.sum(1) > 300
  assert seen.any()
  np.testing.assert_allclose((moves / moves.sum(1, keepdims=True))[seen], model.transmat_[seen], atol=0.1)
  np.testing.assert_array_equal(model.sample(7, random_state=1)[0], model.sample(7, random_state=1)[0])


def test_a_symbol_never_seen_is_impossible():
  model = hmm.CategoricalHMM(2, n_iter=2, random_state=0).fit(SYMBOLS)
  assert model.score([[0], [3]]) == -np.inf
  smoothed = hmm.CategoricalHMM(2, n_symbols=4, emissionprob_prior=2.0, n_iter=2, random_state=0).fit(SYMBOLS)
  assert np.isfinite(smoothed.score([[0], [3]]))


@pytest.mark.parametrize(
  ("model", "X", "lengths", "message"),
  [
    (hmm.GaussianHMM(2), POINTS, [30, 31], "sum to the 60 rows"),
    (hmm.GaussianHMM(2), POINTS, [60, 0], "whole numbers from 1"),
    (hmm.GaussianHMM(2), POINTS, [30.0, 30.0], "whole numbers from 1"),
    (hmm.GaussianHMM(3), POINTS[:2], None, "one row for each state"),
    (hmm.GaussianHMM(0), POINTS, None, "give 1 or more"),
    (hmm.GaussianHMM(2, covars_init=-np.ones((2, 2))), POINTS, None, "positive definite"),
    (hmm.GMMHMM(20, 4), POINTS, None, "one row for each component"),
    (hmm.CategoricalHMM(2), POINTS, None, "one column"),
    (hmm.CategoricalHMM(2), SYMBOLS + 0.5, None, "whole numbers"),
    (hmm.CategoricalHMM(2), SYMBOLS - 1, None, "whole numbers"),
  ],
)
def test_what_is_refused(model, X, lengths, message):
  with pytest.raises(UserError, match=message):
    clone(model).fit(X, lengths=lengths)
