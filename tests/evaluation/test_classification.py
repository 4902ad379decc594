import numpy as np
import pytest
import sklearn.metrics
from scipy.special import log_softmax

from research.errors import UserError
from research.evaluation import classification as c

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 5, 400)
LOG_PROBS = log_softmax(RNG.normal(size=(400, 5)) + 1.5 * np.eye(5)[LABELS], -1)
PROBS = np.exp(LOG_PROBS)


def test_against_scikit_learn():
  predicted = LOG_PROBS.argmax(1)
  assert c.accuracy(LOG_PROBS, LABELS) == sklearn.metrics.accuracy_score(LABELS, predicted)
  for k in (1, 2, 4):
    assert c.top_k_accuracy(LOG_PROBS, LABELS, k) == sklearn.metrics.top_k_accuracy_score(LABELS, PROBS, k=k)
  np.testing.assert_allclose(c.negative_log_likelihood(LOG_PROBS, LABELS), sklearn.metrics.log_loss(LABELS, PROBS))
  confusion = c.confusion_matrix(LOG_PROBS, LABELS)
  np.testing.assert_array_equal(confusion, sklearn.metrics.confusion_matrix(LABELS, predicted))
  precision, recall = c.precision_recall(confusion)
  np.testing.assert_allclose(precision, sklearn.metrics.precision_score(LABELS, predicted, average=None))
  np.testing.assert_allclose(recall, sklearn.metrics.recall_score(LABELS, predicted, average=None))


def test_brier_against_scikit_learn_on_two_classes():
  two = log_softmax(LOG_PROBS[:, :2], -1)
  labels = LABELS % 2
  # scikit-learn's binary form counts one class, the original both.
  expected = 2 * sklearn.metrics.brier_score_loss(labels, np.exp(two[:, 1]))
  np.testing.assert_allclose(c.brier_score(two, labels), expected)


def test_uniform_predictions_have_closed_forms():
  uniform = np.full((400, 5), -np.log(5))
  assert c.negative_log_likelihood(uniform, LABELS) == pytest.approx(np.log(5))
  assert c.brier_score(uniform, LABELS) == pytest.approx(0.8)
  assert c.expected_calibration_error(uniform, LABELS) == pytest.approx(abs((LABELS == 0).mean() - 0.2))


def test_calibration_by_hand():
  # Two bins of ten: confidence .95 (3 of 4 right) and .6 (1 of 2 right).
  log_probs = np.log([[0.95, 0.05]] * 4 + [[0.4, 0.6]] * 2)
  labels = np.array([0, 0, 0, 1, 1, 0])
  r = c.reliability(log_probs, labels, bins=10)
  assert r.count.tolist() == [0, 0, 0, 0, 0, 2, 0, 0, 0, 4]  # the bin (.5, .6] holds its upper edge
  np.testing.assert_allclose(r.accuracy[[5, 9]], [0.5, 0.75])
  assert np.isnan(r.accuracy[0])
  assert r.error == pytest.approx(4 / 6 * 0.2 + 2 / 6 * 0.1)


def test_calibration_brute_force():
  confidence, right = PROBS.max(1), LOG_PROBS.argmax(1) == LABELS
  expected = 0.0
  for low in np.arange(15) / 15:
    inside = (confidence > low) & (confidence <= low + 1 / 15)
    if inside.any():
      expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
  assert c.expected_calibration_error(LOG_PROBS, LABELS) == pytest.approx(expected)


def test_certain_predictions():
  with np.errstate(divide="ignore"):
    certain = np.log(np.eye(3)).astype(np.float32)
  labels = np.arange(3)
  measures = c.summary(certain, labels, top=(1, 3))
  assert measures == dict.fromkeys(("accuracy", "top_1_accuracy", "top_3_accuracy"), 1.0) | dict.fromkeys(
    ("error", "negative_log_likelihood", "brier_score", "expected_calibration_error"), 0.0
  )


def test_absent_classes_are_nan():
  precision, recall = c.precision_recall(np.array([[2, 1, 0], [0, 3, 0], [0, 0, 0]]))
  np.testing.assert_allclose(precision, [1, 0.75, np.nan])
  np.testing.assert_allclose(recall, [2 / 3, 1, np.nan])


@pytest.mark.parametrize(
  ("log_probs", "labels", "message"),
  [
    (LOG_PROBS, LABELS + 1, r"labels = 5: .* between 0 and 4"),
    (LOG_PROBS, LABELS - 1, "labels = -1"),
    (LOG_PROBS, LABELS[:-1], "shapes"),
    (LOG_PROBS[:0], LABELS[:0], "at least one"),
  ],
)
def test_bad_input(log_probs, labels, message):
  with pytest.raises(UserError, match=message):
    c.summary(log_probs, labels)
