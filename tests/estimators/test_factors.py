"""The wrappers of factors against scikit-learn's own, its checks, and inside a pipeline."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.sparse
from sklearn import decomposition as peers
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from research.errors import UserError
from research.estimators.factors import NMF, PPCA, BernoulliRBM, FactorAnalysis, LatentDirichletAllocation

DIGITS, LABELS = load_digits(return_X_y=True)


class ClippedRBM(BernoulliRBM):
  """What the checks give is cut to the range that a machine is of, which refuses anything else."""

  _negative = True

  def _checked(self, X, reset):
    return np.clip(super(BernoulliRBM, self)._checked(X, reset), 0, 1)


CHECKED = [
  PPCA(),
  FactorAnalysis(max_iter=3),
  NMF(max_iter=3),
  LatentDirichletAllocation(3, max_iter=3, learn_priors=False),
  ClippedRBM(4, max_iter=3),
]


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


def test_parts_of_ppca_come_to_the_whole_in_any_order():
  rows = DIGITS[:300, 2:20]
  whole, parts = PPCA(4).fit(rows), PPCA(4)
  for part in (rows[200:], rows[:70], rows[70:200]):
    parts.partial_fit(part)
  np.testing.assert_allclose(parts.get_covariance(), whole.get_covariance(), rtol=1e-8, atol=1e-8)
  np.testing.assert_allclose(parts.components_, whole.components_, atol=1e-6)
  half = PPCA(4).fit(rows[:150]).partial_fit(rows[150:])
  np.testing.assert_allclose(half.get_covariance(), whole.get_covariance(), rtol=1e-8, atol=1e-8)
  with pytest.raises(UserError, match="missing"):
    PPCA(4).partial_fit(np.where(rows > 15, np.nan, rows))


def corpus(count: int, seed: int = 0) -> np.ndarray:
  """Documents of 40 words, each of one of two topics whose words are apart."""
  rng = np.random.default_rng(seed)
  topics = np.kron(np.eye(2), rng.dirichlet(np.ones(6)))
  return np.stack([rng.multinomial(40, topics[i % 2]) for i in range(count)]).astype(float)


def test_topics_in_parts_are_those_of_the_whole_and_a_fit_is_gone_on_from():
  counts = corpus(256)
  options = {"doc_topic_prior": 0.5, "topic_word_prior": 0.1, "learn_priors": False, "random_state": 0}
  whole = LatentDirichletAllocation(2, **options).fit(counts)
  parts = LatentDirichletAllocation(2, total_samples=256, **options)
  for part in np.tile(counts, (4, 1)).reshape(-1, 32, 12):
    parts.partial_fit(part)
  assert parts.n_iter_ == 32
  assert parts.perplexity(counts) == pytest.approx(whole.perplexity(counts), rel=0.02)
  peer = peers.LatentDirichletAllocation(2, doc_topic_prior=0.5, topic_word_prior=0.1, max_iter=50, random_state=0)
  shares, theirs = whole.transform(scipy.sparse.csr_matrix(counts)), peer.fit(counts).transform(counts)
  np.testing.assert_allclose(np.sort(shares, 1), np.sort(theirs, 1), atol=2e-3)
  # At its fixed point the sums of the whole set are those that the fit ended with, at the stream's scale.
  before = whole.set_params(total_samples=256).fit(counts).components_
  np.testing.assert_allclose(whole.partial_fit(counts).components_, before, rtol=1e-2)


def test_a_sparse_matrix_is_taken_as_it_is_and_means_what_its_table_does():
  """Explicit zeros and a count in two parts included; and the matrix stays as it was."""
  counts = corpus(30)
  sparse = scipy.sparse.csr_matrix(counts)
  sparse.data[::7] = 0
  double = scipy.sparse.csr_matrix(
    (np.repeat(sparse.data / 2, 2), np.repeat(sparse.indices, 2), 2 * sparse.indptr), counts.shape
  )
  before = double.data.copy()
  for model in (LatentDirichletAllocation(2, max_iter=5, random_state=0), NMF(2, max_iter=5, random_state=0)):
    of_table, of_matrix = (model.fit(X).components_ for X in (sparse.toarray(), double))
    np.testing.assert_allclose(of_matrix, of_table, rtol=1e-9)
    np.testing.assert_allclose(model.score_samples(double), model.score_samples(sparse.toarray()), rtol=1e-9)
    assert model.partial_fit(double).n_iter_ > 1
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.transform(double), model.transform(double))
  np.testing.assert_array_equal(double.data, before)
  with pytest.raises(ValueError, match="Negative"):
    LatentDirichletAllocation(2).fit(-sparse)


def test_parts_of_nmf_come_to_fit_as_the_whole_does():
  rows = DIGITS[:256]
  whole, parts = NMF(6, random_state=0).fit(rows), NMF(6, random_state=0)
  for part in np.tile(rows, (8, 1)).reshape(-1, 64, 64):
    parts.partial_fit(part)
  assert -parts.score(rows) < -1.1 * whole.score(rows)
  fitted = NMF(6, random_state=0, tol=0, max_iter=100).fit(rows)
  score = fitted.score(rows)
  assert fitted.partial_fit(rows).score(rows) == pytest.approx(score, rel=1e-2)


def test_a_machine_goes_on_by_parts_of_any_size_and_out_of_a_file():
  rows = (DIGITS[:400] > 8).astype(float)
  machine = BernoulliRBM(16, learning_rate=0.5, random_state=0).partial_fit(rows[:100])
  start = machine.score(rows)
  again = pickle.loads(pickle.dumps(machine))
  for part in (rows[100:130], rows[130:400], rows[:100]) * 20:
    machine.partial_fit(part)
    again.partial_fit(part)
  np.testing.assert_array_equal(machine.components_, again.components_)
  assert machine.score(rows) > start + 2
