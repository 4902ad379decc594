"""Measures of a classifier from its log-probabilities and the labels, on the host, in float64.

Everywhere `log_probs` is [example, class] (normalised; `-inf` is allowed) and `labels` is [example], integers.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from research.errors import UserError

LogProbs = Float[np.ndarray, "example class"]
Labels = Int[np.ndarray, " example"]


def correct(log_probs: LogProbs, labels: Labels) -> Bool[np.ndarray, " example"]:
  """Whether the most probable class is the label; the first of equals counts as the prediction."""
  return log_probs.argmax(-1) == labels


def accuracy(log_probs: LogProbs, labels: Labels) -> float:
  """Fraction of the examples predicted correctly."""
  return float(correct(log_probs, labels).mean())


def top_k_accuracy(log_probs: LogProbs, labels: Labels, k: int) -> float:
  """Fraction of the examples whose label is among the k most probable classes; of equals the lower comes first."""
  of_label = np.take_along_axis(log_probs, labels[:, None], axis=1)
  ahead = (log_probs > of_label) | ((log_probs == of_label) & (np.arange(log_probs.shape[1]) < labels[:, None]))
  return float((ahead.sum(1) < k).mean())


def negative_log_likelihood(log_probs: LogProbs, labels: Labels) -> float:
  """Mean of -log p(label), in nats."""
  return float(-np.take_along_axis(log_probs.astype(np.float64), labels[:, None], axis=1).mean())


def brier_score(log_probs: LogProbs, labels: Labels) -> float:
  """Mean of sum_c (p_c - [c = label])^2, between 0 and 2 (Brier 1950, in its original form over all classes)."""
  probs = np.exp(log_probs.astype(np.float64))
  return float(((probs - np.eye(probs.shape[1])[labels]) ** 2).sum(1).mean())


@dataclasses.dataclass(frozen=True)
class Reliability:
  """Confidence against accuracy in equal-width bins of confidence (m/M, (m+1)/M]; NaN where a bin is empty.

  Attributes:
    edges: [bins + 1].
    confidence, accuracy: means within each bin, [bins].
    count: examples in each bin, [bins].
  """

  edges: Float[np.ndarray, " edges"]
  confidence: Float[np.ndarray, " bins"]
  accuracy: Float[np.ndarray, " bins"]
  count: Int[np.ndarray, " bins"]

  @property
  def error(self) -> float:
    """Expected calibration error: sum_m |B_m| / N * |acc(B_m) - conf(B_m)| (Guo et al. 2017, equation 3)."""
    gap = np.abs(self.accuracy - self.confidence)
    return float(np.nansum(gap * self.count) / self.count.sum())


def reliability(log_probs: LogProbs, labels: Labels, bins: int = 15) -> Reliability:
  """The data of a reliability diagram (Guo et al. 2017, section 2)."""
  confidence = np.exp(log_probs.astype(np.float64).max(-1))
  index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
  count = np.bincount(index, minlength=bins)
  with np.errstate(invalid="ignore"):  # 0 / 0 in an empty bin is the NaN that is meant
    means = [np.bincount(index, x, bins) / count for x in (confidence, correct(log_probs, labels))]
  return Reliability(np.linspace(0, 1, bins + 1), means[0], means[1], count)


def expected_calibration_error(log_probs: LogProbs, labels: Labels, bins: int = 15) -> float:
  """See `Reliability.error`."""
  return reliability(log_probs, labels, bins).error


def confusion_matrix(log_probs: LogProbs, labels: Labels) -> Int[np.ndarray, "true predicted"]:
  """How many examples of each class were predicted as each class."""
  classes = log_probs.shape[1]
  return np.bincount(labels * classes + log_probs.argmax(-1), minlength=classes**2).reshape(classes, classes)


def precision_recall(confusion: Int[np.ndarray, "true predicted"]) -> tuple[np.ndarray, np.ndarray]:
  """Precision and recall of each class, [class] both; NaN for a class never predicted, or absent from the labels."""
  with np.errstate(invalid="ignore"):
    return confusion.diagonal() / confusion.sum(0), confusion.diagonal() / confusion.sum(1)


def summary(log_probs: LogProbs, labels: Labels, top: tuple[int, ...] = ()) -> dict[str, float]:
  """Every scalar measure by name, `top` adding top-k accuracies.

  Raises:
    UserError: shapes that do not fit, no example, or labels outside the classes.
  """
  _check(log_probs, labels)
  measures = {
    "accuracy": accuracy(log_probs, labels),
    "error": 1.0 - accuracy(log_probs, labels),
    "negative_log_likelihood": negative_log_likelihood(log_probs, labels),
    "brier_score": brier_score(log_probs, labels),
    "expected_calibration_error": expected_calibration_error(log_probs, labels),
  }
  return measures | {f"top_{k}_accuracy": top_k_accuracy(log_probs, labels, k) for k in top}


def _check(log_probs: np.ndarray, labels: np.ndarray) -> None:
  if log_probs.ndim != 2 or labels.shape != log_probs.shape[:1] or not len(labels):
    remedy = "give log-probabilities [example, class] and labels [example], at least one of each"
    raise UserError("shapes of log_probs, labels", (log_probs.shape, labels.shape), remedy)
  if labels.min() < 0 or labels.max() >= log_probs.shape[1]:
    outside = labels.min() if labels.min() < 0 else labels.max()
    raise UserError("labels", int(outside), f"labels must lie between 0 and {log_probs.shape[1] - 1}")
