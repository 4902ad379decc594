"""The wrappers of factors against scikit-learn's own, its checks, and inside a pipeline."""

import pickle
import warnings

import numpy as np
import pytest
from sklearn import decomposition as peers
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from research.errors import UserError
from research.estimators.factors import NMF, PPCA, BernoulliRBM, FactorAnalysis, LatentDirichletAllocation

DIGITS, LABELS = load_digits(return_X_y=True)
# Those that stand for the others, which share all that is checked and take a minute more to compile.
CHECKED = [PPCA(), NMF(max_iter=3)]


@parametrize_with_checks(CHECKED)
def test_contract_of_scikit_learn(estimator, check):
  with warnings.catch_warnings(action="ignore"):
    check(estimator)


def test_ppca_is_scikit_learns_and_takes_what_is_missing():
  rows = DIGITS[:600, 2:30]
  ours, theirs = PPCA(5).fit(rows), peers.PCA(5).fit(rows)
  assert ours.score(rows) == pytest.approx(theirs.score(rows), abs=1e-3)
  np.testing.assert_allclose(ours.get_covariance(), theirs.get_covariance() * 599 / 600, atol=1e-7)
  assert ours.transform(rows).shape == (600, 5)
  rotated, peer = (
    FactorAnalysis(2, max_iter=100, random_state=0).fit(rows[:, 6:12]),
    peers.FactorAnalysis(2, tol=1e-6).fit(rows[:, 6:12]),
  )
  assert rotated.score(rows[:, 6:12]) == pytest.approx(peer.score(rows[:, 6:12]), abs=1e-2)
  holes = np.where(np.random.default_rng(0).random(rows.shape) < 0.1, np.nan, rows)
  holed = PPCA(5, max_iter=100, random_state=0).fit(holes)
  assert ours.score(rows) - 1 < holed.score(rows) < ours.score(rows)
  filled = np.where(np.isnan(holes), holed.inverse_transform(holed.transform(holes)), rows)
  spread = np.square(rows - rows.mean(0))[np.isnan(holes)].mean()
  assert np.square(filled - rows)[np.isnan(holes)].mean() < 0.6 * spread
  again = pickle.loads(pickle.dumps(holed))
  assert again.score(rows) == holed.score(rows)


def test_nmf_reconstructs_as_well_as_scikit_learns():
  rows = DIGITS[:300]
  ours = NMF(8, random_state=0).fit(rows)
  theirs = peers.NMF(8, init="nndsvda", max_iter=500).fit(rows)
  assert -ours.score(rows) * 300 < 1.03 * theirs.reconstruction_err_**2 / 2
  assert (ours.components_ >= 0).all()
  assert (ours.transform(rows) >= 0).all()


def test_machine_s_features_tell_digits_apart():
  rows = (DIGITS > 8).astype(float)
  machine = BernoulliRBM(64, max_iter=300, learning_rate=1.0, random_state=0)
  model = make_pipeline(machine, LogisticRegression(max_iter=500)).fit(rows[:1000], LABELS[:1000])
  assert model.score(rows[1000:], LABELS[1000:]) > 0.8
  with pytest.raises(ValueError, match="0 to 1"):
    BernoulliRBM(2).fit(DIGITS)


def test_topics_are_shares_and_hyper_parameters_have_ranges():
  counts = np.random.default_rng(0).multinomial(30, np.full(8, 1 / 8), 40).astype(float)
  shares = LatentDirichletAllocation(3, max_iter=5, random_state=0).fit_transform(counts)
  np.testing.assert_allclose(shares.sum(1), 1)
  with pytest.raises(UserError, match="n_components"):
    PPCA(8).fit(counts)
  with pytest.raises(UserError, match="loss"):
    NMF(2, loss="itakura_saito").fit(counts)
