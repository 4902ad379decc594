"""Measures of rankings; equal scores count half.  On the host, in float64, but for `ranks`."""

import jax
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


def top_measures(
  scores: Float[Array, "row item"], relevant: Bool[Array, "row item"], seen: Bool[Array, "row item"], first: int
) -> dict[str, Float[Array, " row"]]:
  """How well the first items of each row, those that are `seen` left out, hit the relevant ones.

  Args:
    scores: the higher, the sooner; of equal ones the earlier is first.
    relevant: what is to be hit; what is also seen does not count.
    seen: left out of the ranking.
    first: k, how many items are looked at.

  Returns:
    Of each row `ndcg`, Σ 1 / log2(1 + place) over hits, by the most that there can be; `recall`, hits over relevant
    ones; `average_precision`, the mean over the relevant ones, k of them at most, of the precision at the hit's place,
    0 of what is missed; 0 where none is relevant.
  """
  relevant = relevant & ~seen
  order = jax.lax.top_k(jnp.where(seen, -jnp.inf, scores), min(first, scores.shape[1]))[1]
  hits = jnp.take_along_axis(relevant, order, 1).astype(jnp.float32)
  places = jnp.arange(1, hits.shape[1] + 1)
  number = relevant.sum(1)
  most = jnp.minimum(number, hits.shape[1])
  gains = 1 / jnp.log2(1 + places)
  ideal = jnp.concatenate([jnp.zeros(1), jnp.cumsum(gains)])[most]
  precision = jnp.cumsum(hits, 1) / places
  share = lambda total, of: jnp.where(of > 0, total / jnp.where(of > 0, of, 1), 0)
  return {
    "ndcg": share((hits * gains).sum(1), ideal),
    "recall": share(hits.sum(1), number),
    "average_precision": share((hits * precision).sum(1), most),
  }
