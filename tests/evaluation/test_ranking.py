"""Measures of rankings against scikit-learn and loops, ties included."""

import jax
import numpy as np
import pytest
import sklearn.metrics

from research.errors import UserError
from research.evaluation import ranking


@pytest.mark.parametrize("decimals", [0, 1, 6])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_areas_are_those_of_scikit_learn(decimals, seed):
  """Rounded to few decimals, most scores are tied."""
  rng = np.random.default_rng(seed)
  labels = rng.random(200) < 0.2
  scores = np.round(rng.normal(size=200) + labels, decimals)
  assert ranking.roc_auc(scores, labels) == pytest.approx(sklearn.metrics.roc_auc_score(labels, scores), abs=1e-12)
  expected = sklearn.metrics.average_precision_score(labels, scores)
  assert ranking.average_precision(scores, labels) == pytest.approx(expected, abs=1e-12)
  false, true = ranking.roc(scores, labels)
  points = sklearn.metrics.roc_curve(labels, scores, drop_intermediate=False)
  np.testing.assert_allclose(false, points[0])
  np.testing.assert_allclose(true, points[1])


def test_one_class_alone_has_no_curve():
  assert np.isnan(ranking.roc_auc(np.arange(3.0), np.ones(3)))
  assert np.isnan(ranking.average_precision(np.arange(3.0), np.zeros(3)))
  with pytest.raises(UserError, match="both"):
    ranking.roc(np.arange(3.0), np.ones(3))


def test_ranks_leave_out_what_is_seen_and_count_equals_half():
  rng = np.random.default_rng(0)
  scores, target = rng.integers(0, 4, (6, 9)).astype(np.float32), rng.integers(0, 9, 6)
  seen = rng.random((6, 9)) < 0.3
  seen[np.arange(6), target] = rng.random(6) < 0.5  # the target itself counts, seen or not
  found = np.asarray(jax.jit(ranking.ranks)(scores, target, seen))
  for row in range(6):
    others = [j for j in range(9) if j != target[row] and not seen[row, j]]
    own = scores[row, target[row]]
    before = sum(1.0 if scores[row, j] > own else 0.5 if scores[row, j] == own else 0.0 for j in others)
    assert found[row] == before
