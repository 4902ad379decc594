"""Beam search against the enumeration of every sequence."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.generation.beam import beam_search
from tests.generation import tiny

VOCABULARY, LENGTH, STOP = 4, 4, 2
FIRST = [1, 3]


def search(variables, beams, alpha, stop=STOP, length=LENGTH):
  model = tiny.recurrent()

  @jax.jit
  def run(variables):
    step = functools.partial(model.step, variables)
    first = jnp.array(FIRST)
    return beam_search(step, model.init_carry(variables, 2, length), first, length, beams=beams, stop=stop, alpha=alpha)

  return jax.device_get(run(variables))


def score(variables, first, sequence, alpha):
  total = 0.0
  for i, token in enumerate(sequence):
    total += tiny.log_softmax(tiny.logits_after(variables, [first, *sequence[:i]]))[token]
  return total / ((5 + len(sequence)) / 6) ** alpha


def enumerated(variables, first, alpha):
  """(score, sequence) of all that stop within `LENGTH`, best first, padded by the stop token."""
  others = [token for token in range(VOCABULARY) if token != STOP]
  sequences = [(*body, STOP) for size in range(LENGTH) for body in itertools.product(others, repeat=size)]
  scored = [(score(variables, first, s, alpha), (*s, *[STOP] * (LENGTH - len(s)))) for s in sequences]
  return sorted(scored, reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_wide_beams_find_the_best_of_all_sequences(seed, alpha):
  variables = tiny.weights(VOCABULARY, seed)
  beams = 27  # of 3 tokens that do not stop, as many as go on at the last step
  found = search(variables, beams, alpha)
  for row, first in enumerate(FIRST):
    expected = enumerated(variables, first, alpha)[:10]
    np.testing.assert_allclose(found.scores[row, :10], [s for s, _ in expected], atol=1e-5)
    assert [tuple(tokens) for tokens in found.tokens[row, :10].tolist()] == [s for _, s in expected]


def test_one_beam_without_a_stop_is_greedy():
  variables = tiny.weights(VOCABULARY, 2)
  found = search(variables, 1, 0.0, stop=None, length=6)
  for row, first in enumerate(FIRST):
    tokens = [first]
    for _ in range(6):
      tokens.append(int(tiny.logits_after(variables, tokens).argmax()))
    assert found.tokens[row, 0].tolist() == tokens[1:]
    np.testing.assert_allclose(found.scores[row, 0], score(variables, first, tokens[1:], 0.0), atol=1e-4)


def test_narrow_beams_keep_their_carries_apart():
  """The scores that two beams report are those of their tokens, whichever beam each came from."""
  variables = tiny.weights(VOCABULARY, 3)
  found = search(variables, 2, 0.7, stop=None, length=6)
  for row, first in enumerate(FIRST):
    for tokens, value in zip(found.tokens[row].tolist(), found.scores[row]):
      np.testing.assert_allclose(score(variables, first, tokens, 0.7), value, atol=1e-4)
    assert found.scores[row, 0] >= found.scores[row, 1]


def test_sequences_that_have_not_stopped_fill_the_places_of_those_that_have():
  """Three tokens at most, two beams, and one way to stop: at once."""

  @jax.jit
  def run():
    later, start = jnp.log(jnp.array([0.6, 0.4, 0.0])), jnp.log(jnp.array([0.5, 0.3, 0.2]))
    step = lambda time, token: (time + 1, jnp.where(time[:, None] == 0, start, later))
    return beam_search(step, jnp.zeros(1, int), jnp.zeros(1, int), 3, beams=2, stop=STOP, alpha=0.0)

  found = jax.device_get(run())
  assert found.tokens[0].tolist() == [[2, 2, 2], [0, 0, 0]]
  np.testing.assert_allclose(found.scores[0], np.log([0.2, 0.5 * 0.6 * 0.6]), rtol=1e-5)


def test_no_beam_is_refused():
  with pytest.raises(UserError, match="beams"):
    search(tiny.weights(VOCABULARY), 0, 0.0)
