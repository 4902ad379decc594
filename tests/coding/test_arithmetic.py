"""The arithmetic coder: whatever goes in comes out, and it takes the bits that the probabilities say."""

import constriction
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from research.coding import arithmetic


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 20), st.lists(st.integers(0, 2**31 - 1), max_size=60), st.floats(0.0, 30.0))
def test_round_trip_of_anything(levels, drawn, spread):
  """Any symbols under any probabilities, near-certain and near-impossible ones too."""
  symbols = [number % levels for number in drawn]
  logs = spread * np.random.default_rng(len(drawn)).normal(size=(len(drawn), levels))
  counts = arithmetic.frequencies(logs)
  decoder = arithmetic.Decoder(arithmetic.encode(symbols, counts))
  assert [decoder.decode(row) for row in counts] == symbols


@pytest.mark.parametrize("levels", [2, 3, 256])
def test_frequencies_add_up_and_none_is_zero(levels):
  logs = 10 * np.random.default_rng(0).normal(size=(200, levels))
  counts = arithmetic.frequencies(logs)
  assert (counts >= 1).all()
  np.testing.assert_array_equal(counts.sum(-1), arithmetic.TOTAL)
  probabilities = np.exp(logs - np.logaddexp.reduce(logs, -1, keepdims=True))
  np.testing.assert_allclose(counts / arithmetic.TOTAL, probabilities, atol=levels / arithmetic.TOTAL)


def test_length_is_the_entropy_of_the_model_and_that_of_another_coder():
  rng, levels, count = np.random.default_rng(1), 17, 5000
  logs = 2 * rng.normal(size=(count, levels))
  probabilities = np.exp(logs - np.logaddexp.reduce(logs, -1, keepdims=True))
  symbols = np.array([rng.choice(levels, p=row) for row in probabilities], np.int32)
  bits = -np.log2(probabilities[np.arange(count), symbols]).sum()
  code = 8 * len(arithmetic.encode(symbols, arithmetic.frequencies(logs)))
  assert bits - 8 < code < 1.005 * bits + 16
  other = constriction.stream.queue.RangeEncoder()
  other.encode(symbols, constriction.stream.model.Categorical(perfect=False), probabilities.astype(np.float32))
  assert abs(code - 32 * len(other.get_compressed())) < 0.005 * bits + 64
