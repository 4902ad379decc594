"""What is cut off, in which order, and that what is left is drawn by its probability."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from research.errors import UserError
from research.generation import choosing

PROBABILITIES = np.array([0.4, 0.05, 0.25, 0.1, 0.2])
LOGITS = jnp.log(jnp.asarray(PROBABILITIES, jnp.float32))[None] + 3


def left(**options):
  return np.flatnonzero(np.isfinite(choosing.filtered(LOGITS, **options)[0])).tolist()


def test_each_filter_cuts_what_it_says():
  assert left() == [0, 1, 2, 3, 4]
  assert left(top_k=2) == [0, 2]
  assert left(top_p=0.8) == [0, 2, 4], "0.65 is not enough, 0.85 is"
  assert left(top_p=0.01) == [0], "the best is always left"
  assert left(min_p=0.3) == [0, 2, 4], "p >= 0.12"
  assert left(min_p=1.0) == [0]


def test_top_p_is_of_what_top_k_has_left_and_min_p_of_both():
  # Of the three best (0.47, 0.29, 0.24) two hold 0.7; of all five only three do.
  assert left(top_p=0.7) == [0, 2, 4]
  assert left(top_k=3, top_p=0.7) == [0, 2]
  assert left(top_k=3, top_p=0.7, min_p=0.7) == [0]


def draws(choose, logits, count=20_000, seen=None):
  keys = jax.random.split(jax.random.key(0), count)
  tokens = jax.jit(choose)(keys, jnp.tile(logits, (count, 1)), seen)
  return np.bincount(np.asarray(tokens), minlength=logits.shape[-1])


def test_a_nucleus_is_drawn_from_by_its_probabilities():
  counts = draws(choosing.sample(top_p=0.8), LOGITS)
  nucleus = [0, 2, 4]
  assert counts.sum() == counts[nucleus].sum()
  expected = PROBABILITIES[nucleus] / PROBABILITIES[nucleus].sum() * counts.sum()
  assert stats.chisquare(counts[nucleus], expected).pvalue > 1e-3


def test_temperature_comes_before_the_filters():
  counts = draws(choosing.sample(0.5, top_p=0.8), LOGITS)
  sharp = PROBABILITIES**2 / (PROBABILITIES**2).sum()  # 0.59 0.01 0.23 0.04 0.15: two hold 0.82
  assert np.flatnonzero(counts).tolist() == [0, 2]
  assert stats.chisquare(counts[[0, 2]], sharp[[0, 2]] / sharp[[0, 2]].sum() * counts.sum()).pvalue > 1e-3


def test_the_repetition_penalty_lowers_either_sign():
  logits = jnp.array([[2.0, -2.0, 2.0, -2.0]])
  seen = jnp.array([[True, True, False, False]])
  np.testing.assert_allclose(choosing.penalised(logits, seen, 2.0), [[1.0, -4.0, 2.0, -2.0]])
  choose = choosing.sample(0.0, repetition_penalty=2.0)
  assert int(choose(jax.random.split(jax.random.key(0), 1), logits, seen)[0]) == 2


def test_log_probabilities_are_float32_of_bfloat16_logits():
  logs = choosing.log_probability(jnp.asarray([[1.0, 2.0]], jnp.bfloat16), jnp.array([0]))
  assert logs.dtype == jnp.float32
  np.testing.assert_allclose(logs, [-np.log1p(np.e)], rtol=1e-6)


@pytest.mark.parametrize(
  ("field", "value"),
  [("temperature", -1), ("top_k", -1), ("top_p", 0.0), ("top_p", 1.1), ("min_p", 2.0), ("repetition_penalty", 0.0)],
)
def test_values_out_of_range_are_refused(field, value):
  with pytest.raises(UserError, match=field):
    choosing.sample(**{field: value})
