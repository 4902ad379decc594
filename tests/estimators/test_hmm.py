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
COUNTS = RNG.poisson(1.0 + 3.0 * np.eye(3, 2)[STATES])
GIVEN = {"startprob_init": START[0], "transmat_init": START[1], "tol": -np.inf}


# That rows depend on their order and on their neighbours is what the model is for; the data of the checks that ask for
# the opposite are too well separated to show it, but for the shape of `score_samples`, which is hmmlearn's.
PAIR = "score_samples returns a log-likelihood and the posteriors, as hmmlearn's does"
EXPECTED = {"check_methods_sample_order_invariance": PAIR, "check_methods_subset_invariance": PAIR}


@parametrize_with_checks([hmm.GaussianHMM(2, n_iter=2)], expected_failed_checks=lambda estimator: EXPECTED)
def test_contract_of_scikit_learn(estimator, check):
  check(estimator)


def gaussians(covariance_type, priors=None):
  matrix = np.eye(2) + 0.3
  covars = {"spherical": np.ones(3), "diag": np.ones((3, 2)), "tied": matrix, "full": np.stack([matrix] * 3)}
  priors = priors or {"covars_prior": 0.0}
  ours = hmm.GaussianHMM(3, covariance_type, min_covar=0, **priors)
  return (
    ours,
    hmmlearn.GaussianHMM(3, covariance_type, **priors),
    {"means_": RNG.normal(size=(3, 2)), "covars_": covars[covariance_type]},
  )


def poisson():
  return hmm.PoissonHMM(3), hmmlearn.PoissonHMM(3), {"lambdas_": RNG.gamma(2.0, size=(3, 2))}


def multinomial():
  ours, theirs = hmm.MultinomialHMM(3), hmmlearn.MultinomialHMM(3)
  theirs.n_trials = COUNTS.sum(1)
  return ours, theirs, {"emissionprob_": RNG.dirichlet(np.ones(2), 3)}


def categorical():
  return hmm.CategoricalHMM(3), hmmlearn.CategoricalHMM(3), {"emissionprob_": RNG.dirichlet(np.ones(3), 3)}


PRIORS = {"means_prior": 0.5, "means_weight": 2.0, "covars_weight": 4.0}
PAIRS = {
  "spherical": (lambda: gaussians("spherical"), POINTS),
  "spherical, priors": (lambda: gaussians("spherical", PRIORS | {"covars_prior": 0.3}), POINTS),
  "diag": (lambda: gaussians("diag"), POINTS),
  "tied": (lambda: gaussians("tied"), POINTS),
  "tied, priors": (lambda: gaussians("tied", PRIORS | {"covars_prior": np.eye(2)}), POINTS),
  "full": (lambda: gaussians("full"), POINTS),
  "full, priors": (lambda: gaussians("full", PRIORS | {"covars_prior": np.eye(2) + 0.1}), POINTS),
  "poisson": (poisson, COUNTS),
  "multinomial": (multinomial, COUNTS),
  "categorical": (categorical, SYMBOLS),
}


@pytest.mark.parametrize("name", PAIRS)
def test_answers_are_those_of_hmmlearn(name):
  """Of a model that is known, of five iterations from there, and of what is learnt alone."""
  make, X = PAIRS[name]
  ours, theirs, emission = make()
  theirs.n_features = X.shape[1] if X is not SYMBOLS else 3
  for model in (ours, theirs):
    model.set_params(n_iter=5, tol=-np.inf, init_params="")
    for parameter, value in {"startprob_": START[0], "transmat_": START[1], **emission}.items():
      setattr(model, parameter, value)
  agree(ours, theirs, X, emission)
  ours.fit(X, LENGTHS)
  theirs.fit(X, LENGTHS)
  np.testing.assert_allclose(ours.history_, theirs.monitor_.history, rtol=1e-10)
  assert ours.n_iter_ == 5
  agree(ours, theirs, X, emission)


def agree(ours, theirs, X, emission):
  """All that both tell."""
  for name in ("startprob_", "transmat_", *emission):
    expected = getattr(theirs, name)
    expected = expected[:: len(expected) // 3]  # after a fit theirs has each spherical covariance twice
    np.testing.assert_allclose(getattr(ours, name), expected, atol=1e-8, err_msg=name)
  assert ours.score(X, lengths=LENGTHS) == pytest.approx(theirs.score(X, LENGTHS))
  (total, posterior), (expected, their_posterior) = ours.score_samples(X, LENGTHS), theirs.score_samples(X, LENGTHS)
  assert total == pytest.approx(expected)
  np.testing.assert_allclose(posterior, their_posterior, atol=1e-8)
  for algorithm in ("viterbi", "map"):
    joint, path = ours.decode(X, LENGTHS, algorithm)
    expected, their_path = theirs.decode(X, LENGTHS, algorithm=algorithm)
    assert joint == pytest.approx(expected)
    np.testing.assert_array_equal(path, their_path)
  assert ours.aic(X, LENGTHS) == pytest.approx(theirs.aic(X, LENGTHS))
  assert ours.bic(X, LENGTHS) == pytest.approx(theirs.bic(X, LENGTHS))
  np.testing.assert_allclose(ours.get_stationary_distribution(), theirs.get_stationary_distribution(), atol=1e-8)


def test_what_is_not_in_params_is_left_as_it_was():
  model = hmm.GaussianHMM(3, n_iter=3, params="mt", init_params="c", random_state=0)
  model.startprob_, model.transmat_, model.means_ = *START, POINTS[:3]
  model.fit(POINTS, lengths=LENGTHS)
  np.testing.assert_allclose(model.startprob_, START[0])
  np.testing.assert_allclose(model.covars_, np.stack([np.diag(POINTS.var(0) + 1e-6)] * 3))
  assert not np.allclose(model.transmat_, START[1])
  assert not np.allclose(model.means_, POINTS[:3])


def test_what_was_set_and_is_begun_anew_is_said(caplog):
  model = hmm.GaussianHMM(2, n_iter=0, random_state=0)
  model.means_ = np.zeros((2, 2))
  model.fit(POINTS)
  assert "means_ was set and will be overwritten" in caplog.text
  assert model.n_iter_ == 0


@pytest.mark.parametrize("method", ["fit", "score"])
def test_lengths_in_the_place_of_labels(method):
  """hmmlearn has them there.  What could be either is refused: all sequences would be taken for one."""
  model = hmm.GaussianHMM(3, n_iter=1, random_state=0).fit(POINTS, lengths=LENGTHS)
  expected = model.score(POINTS, lengths=LENGTHS)
  if method == "score":
    assert model.score(POINTS, LENGTHS) == pytest.approx(expected)
  else:
    assert clone(model).fit(POINTS, LENGTHS).score(POINTS, lengths=LENGTHS) == pytest.approx(expected)
  for either in (np.ones(60, int), LENGTHS[1:], [30.5, 29.5]):
    with pytest.raises(UserError, match=rf"{method}\(X, lengths=lengths\)"):
      getattr(model, method)(POINTS, either)


def test_a_fit_that_fails_leaves_the_model_as_it_was():
  model = hmm.GaussianHMM(2, n_iter=2, random_state=0).fit(POINTS)
  score = model.score(POINTS)
  for X in (np.full((4, 2), 1e200) * [[1, 1], [-1, 1], [1, -1], [-1, -1]], POINTS[:, :1]):
    with pytest.raises(UserError):
      model.set_params(means_init=POINTS[:2]).fit(X)
  assert model.set_params(means_init=None).score(POINTS) == score


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


@pytest.mark.parametrize(("kind", "shape"), [("spherical", (3, 2)), ("diag", (3, 2, 2)), ("tied", (3, 2, 2))])
def test_mixtures_of_every_covariance(kind, shape):
  """A covariance is set and told in hmmlearn's shapes; tied ones are those of the components of a state."""
  options = {"covariance_type": kind, "random_state": 0, "tol": -np.inf}
  model = hmm.GMMHMM(3, 2, n_iter=4, **options).fit(POINTS, LENGTHS)
  assert (np.diff(model.history_) > -1e-9).all()
  assert model.covars_.shape == shape
  theirs = hmmlearn.GMMHMM(3, 2, covariance_type=kind)
  for name in ("startprob_", "transmat_", "weights_", "means_", "covars_"):
    setattr(theirs, name, getattr(model, name))
  assert theirs.score(POINTS, LENGTHS) == pytest.approx(model.score(POINTS, lengths=LENGTHS))
  known = hmm.GMMHMM(3, 2, **options)
  known.means_ = model.means_
  known.covars_ = model.covars_
  np.testing.assert_allclose(known.covars_, model.covars_)


def test_counts_are_drawn_by_their_rates():
  model = hmm.PoissonHMM(2, random_state=0)
  model.startprob_, model.transmat_, model.lambdas_ = [0.5, 0.5], np.full((2, 2), 0.5), [[3.0, 0.0], [0.5, 7.0]]
  X, states = model.sample(4000)
  for state in range(2):
    np.testing.assert_allclose(X[states == state].mean(0), model.lambdas_[state], atol=0.2)
  assert (model.sample(50, random_state=1, currstate=1)[1][0]) == 1
  trials = hmm.MultinomialHMM(2, 5, random_state=0)
  trials.startprob_, trials.transmat_, trials.emissionprob_ = [0.5, 0.5], np.full((2, 2), 0.5), [[0.9, 0.1], [0.2, 0.8]]
  X, states = trials.sample(2000)
  assert (X.sum(1) == 5).all()
  np.testing.assert_allclose(X[states == 1].mean(0) / 5, [0.2, 0.8], atol=0.03)
  with pytest.raises(UserError, match="number of trials"):
    trials.set_params(n_trials=None).sample(3)


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
  smoothed = hmm.CategoricalHMM(2, n_features=4, emissionprob_prior=2.0, n_iter=2, random_state=0).fit(SYMBOLS)
  assert np.isfinite(smoothed.score([[0], [3]]))


@pytest.mark.parametrize(
  ("model", "X", "lengths", "message"),
  [
    (hmm.GaussianHMM(2), POINTS, [30, 31], "sum to the 60 rows"),
    (hmm.GaussianHMM(2), POINTS, [60, 0], "whole numbers from 1"),
    (hmm.GaussianHMM(2), POINTS, [30.0, 30.0], "whole numbers from 1"),
    (hmm.GaussianHMM(3), POINTS[:2], None, "one row for each state"),
    (hmm.GaussianHMM(0), POINTS, None, "whole number, 1 or more"),
    (hmm.GaussianHMM(2, covars_init=-np.ones((2, 2))), POINTS, None, "positive definite"),
    (hmm.GaussianHMM(2, startprob_init=[0.5, 0.6]), POINTS, None, "sum to 1"),
    (hmm.GaussianHMM(2, transmat_init=np.full((2, 3), 1 / 3)), POINTS, None, "give one of 2 x 2"),
    (hmm.GaussianHMM(2, transmat_init=[[1.5, -0.5], [0.5, 0.5]]), POINTS, None, "0 or more"),
    (hmm.GaussianHMM(2, means_init=np.zeros((2, 3))), POINTS, None, "X has 2 features"),
    (hmm.GaussianHMM(2, means_init=[["a", "b"]] * 2), POINTS, None, "array of numbers"),
    (hmm.GaussianHMM(2, "banded"), POINTS, None, "spherical, diag, tied, full"),
    (hmm.GaussianHMM(2, covars_prior="much"), POINTS, None, "a number, or an array"),
    (hmm.GaussianHMM(2, transmat_prior=[[0.5, 1], [1, 1]]), POINTS, None, "give 1 "),
    (hmm.GaussianHMM(2, init_params="sx"), POINTS, None, "stand for nothing"),
    (hmm.GaussianHMM(2, params=None), POINTS, None, "letters stmc"),
    (hmm.GaussianHMM(1.5), POINTS, None, "n_components = 1.5: give a whole number"),
    (hmm.GaussianHMM(2, ["diag"]), POINTS, None, "choose one of spherical"),
    (hmm.GaussianHMM(2, min_covar=None), POINTS, None, "min_covar = None: give a number"),
    (hmm.GaussianHMM(2, tol=np.nan), POINTS, None, "tol = nan"),
    (hmm.GaussianHMM(2, covars_weight=[1.0, 2.0]), POINTS, None, "covars_weight"),
    (hmm.GaussianHMM(2, covars_prior=-1.0), POINTS, None, "0 or more"),
    (hmm.GaussianHMM(2, means_prior=np.zeros(3)), POINTS, None, "broadcasts to"),
    (hmm.GaussianHMM(2, startprob_prior=np.ones(3)), POINTS, None, "startprob_prior = 'of shape"),
    (hmm.GMMHMM(2, 0), POINTS, None, "n_mix"),
    (hmm.PoissonHMM(2, lambdas_prior=-1.0), COUNTS, None, "lambdas_prior"),
    (hmm.CategoricalHMM(2, n_features="many"), SYMBOLS, None, "n_features"),
    (hmm.MultinomialHMM(2, n_trials=[3, 4]), COUNTS, None, "n_trials"),
    (hmm.BernoulliHMM(2, binarize="x"), POINTS, None, "binarize"),
    (hmm.CategoricalHMM(3, emissionprob_init=-np.ones((3, 3)) / 3), SYMBOLS, None, "0 or more"),
    (hmm.BernoulliHMM(3, binarize=None), POINTS, None, "give 0 and 1"),
    (hmm.PoissonHMM(2), POINTS, None, "whole numbers"),
    (hmm.PoissonHMM(2, lambdas_init=-np.ones((2, 2))), COUNTS, None, "0 or more"),
    (hmm.MultinomialHMM(2, n_trials=3), COUNTS, None, "sums to"),
    (hmm.GMMHMM(20, 4), POINTS, None, "one row for each component"),
    (hmm.CategoricalHMM(2), POINTS, None, "one column"),
    (hmm.CategoricalHMM(2), SYMBOLS + 0.5, None, "whole numbers"),
    (hmm.CategoricalHMM(2), SYMBOLS - 1, None, "whole numbers"),
  ],
)
def test_what_is_refused(model, X, lengths, message):
  with pytest.raises(UserError, match=message):
    clone(model).fit(X, lengths=lengths)


@pytest.mark.parametrize("value", [-1, 1.5, "x", [1, 2], np.nan, True])
def test_what_no_sample_has(value):
  model = hmm.PoissonHMM(1)
  model.startprob_, model.transmat_, model.lambdas_ = [1.0], [[1.0]], [[2.0]]
  for options in ({"n_samples": value}, {"currstate": value}):
    with pytest.raises(UserError, match=next(iter(options))):
      model.sample(**options)


def test_one_number_is_no_covariance_of_two_features():
  with pytest.raises(UserError, match="covars_"):
    hmm.GaussianHMM(2).covars_ = 1.0
