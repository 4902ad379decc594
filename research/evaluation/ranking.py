"""Measures of rankings; equal scores count half.  On the host, in float64, but for `ranks`."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from research.errors import UserError

Scores = Float[np.ndarray, " example"]


def roc(scores: Scores, labels: np.ndarray) -> tuple[Float[np.ndarray, " point"], Float[np.ndarray, " point"]]:
  """Shares of negatives and of positives above every threshold, from (0, 0) to (1, 1).

  Raises:
    UserError: there are no positives, or no negatives.
  """
  positives, negatives = _counts(scores, labels)
  if not positives[-1] or not negatives[-1]:
    raise UserError("ranking: labels", sorted(set(np.asarray(labels).tolist())), "there must be both, 0 and 1.")
  start = np.zeros(1)
  true, false = np.concatenate([start, positives / positives[-1]]), np.concatenate([start, negatives / negatives[-1]])
  return false, true


def roc_auc(scores: Scores, labels: np.ndarray) -> float:
  """Probability that a positive is scored above a negative, equals counted half; NaN where there are none."""
  positives, negatives = _counts(scores, labels)
  if not positives[-1] or not negatives[-1]:
    return float("nan")
  return float(np.trapezoid(*roc(scores, labels)[::-1]))


def average_precision(scores: Scores, labels: np.ndarray) -> float:
  """Sum over thresholds of precision times the rise of recall, without interpolation; NaN without positives."""
  positives, negatives = _counts(scores, labels)
  if not positives[-1]:
    return float("nan")
  rise = np.diff(positives, prepend=0) / positives[-1]
  return float((rise * positives / (positives + negatives)).sum())


def _counts(scores: Scores, labels: np.ndarray):
  """Positives and negatives at or above every distinct score, from the highest on."""
  scores, labels = np.asarray(scores, np.float64).ravel(), np.asarray(labels, np.float64).ravel() > 0.5
  order = np.argsort(-scores, kind="stable")
  scores, labels = scores[order], labels[order]
  last = np.flatnonzero(np.diff(scores, append=-np.inf))
  return np.cumsum(labels)[last], np.cumsum(~labels)[last]


def ranks(scores: Float[Array, "row item"], target: Int[Array, " row"], seen: Bool[Array, "row item"]):
  """How many items are before the target of each row, those that are `seen` left out; equals count half. [row]"""
  own = jnp.take_along_axis(scores, target[:, None], 1)
  others = ~seen & (jnp.arange(scores.shape[1]) != target[:, None])
  return (others & (scores > own)).sum(1) + 0.5 * (others & (scores == own)).sum(1)
