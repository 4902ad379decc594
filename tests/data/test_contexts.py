"""Pairs of words and contexts against enumeration."""

import collections
import itertools

import jax
import numpy as np
import pytest

from research.data import contexts
from research.errors import UserError

TOKENS = np.array([0, 1, 2, 0, 3, 1, 4, 0, 2, 5, 1, 3, 0], np.int32)
UNITS = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1], np.int32)
ALL = np.ones(6, np.float32)


def pairs(batch) -> collections.Counter:
  """(word, word of its context) of a batch, by going through it."""
  found = collections.Counter()
  _, _, own, near = batch["context"].shape
  for row, block, i, j in np.argwhere(np.asarray(batch["context"])):
    slot, other = block * own + i, block * own + j - (near - own) // 2
    found[int(batch["word"][row, slot]), int(batch["word"][row, other])] += 1
  return found


def counted(data, epochs=1) -> collections.Counter:
  """Of whole passes."""
  assemble = jax.jit(data.assemble)
  steps = epochs * data.num_examples // data.batch_size
  return sum((pairs(assemble(dict(data.resident), data.feed(step))) for step in range(steps)), collections.Counter())


def enumerated(keep, window) -> collections.Counter:
  """Expected number of every pair: over what is kept, and over how far each window reaches."""
  expected = collections.Counter()
  for unit in (0, 1):
    words = TOKENS[unit == UNITS]
    for kept in itertools.product([False, True], repeat=len(words)):
      chance = np.prod([keep[w] if k else 1 - keep[w] for w, k in zip(words, kept)])
      left = [int(w) for w, k in zip(words, kept) if k]
      for i, j in itertools.permutations(range(len(left)), 2):
        expected[left[i], left[j]] += chance * max(window + 1 - abs(i - j), 0) / window
  return expected


@pytest.mark.parametrize(("length", "block"), [(13, 4), (4, 8)])
def test_pairs_are_as_often_as_enumeration_says(length, block):
  keep = np.array([0.4, 0.6, 1, 0.8, 1, 1], np.float32)
  data = contexts.contexts(TOKENS, UNITS, keep, 1, length=length, window=2, seed=0, block=block)
  epochs = 1000
  found, expected = counted(data, epochs), enumerated(keep, 2)
  assert found.keys() <= {pair for pair, chance in expected.items() if chance > 0}
  for pair, chance in expected.items():
    assert abs(found[pair] / epochs - chance) < 5 * np.sqrt(max(chance, 0.02) * 3 / epochs), pair


def test_a_pair_is_drawn_once_however_the_stream_is_cut():
  """With nothing left out and every row's draws by its place: one row, and many, on batches of any size."""
  cut = lambda length, rows: counted(
    contexts.contexts(TOKENS, UNITS, ALL, rows, length=length, window=3, seed=None, block=4)
  )
  assert cut(13, 1) == cut(5, 1) == cut(2, 1) == cut(1, 13)
  assert sum(cut(13, 1).values()) > 20


def test_an_epoch_has_every_row_once_and_another_epoch_other_windows():
  data = contexts.contexts(TOKENS, UNITS, ALL, 1, length=4, window=3, seed=1)
  rows = [int(data.feed(step)["row"][0]) for step in range(8)]
  assert sorted(rows[:4]) == sorted(rows[4:]) == [0, 1, 2, 3]
  assemble = jax.jit(data.assemble)
  one, other = (pairs(assemble(dict(data.resident), {"row": np.array([1]), "epoch": np.array([e])})) for e in (0, 1))
  assert one != other
  ordered = contexts.contexts(TOKENS, UNITS, ALL, 3, length=4, window=3, seed=1, shuffled=False)
  np.testing.assert_array_equal(ordered.feed(1)["row"], [3, 0, 1])
  np.testing.assert_array_equal(ordered.feed(1)["epoch"], [0, 1, 1])
  assert data.per_step["tokens"] == 13 / 4


def test_padding_is_no_context():
  data = contexts.contexts(TOKENS, UNITS, ALL, 3, length=5, window=3, seed=None)
  batch = jax.jit(data.assemble)(dict(data.resident), data.feed(0))
  assert batch["mask"].sum() == 3
  data = contexts.contexts(TOKENS, UNITS, ALL, 4, length=5, window=3, seed=None)
  batch = jax.jit(data.assemble)(dict(data.resident), data.feed(0))
  np.testing.assert_array_equal(batch["mask"], [1, 1, 1, 0])
  assert not batch["context"][3].any()


def test_frequent_words_are_kept_as_word2vec_c_has_it():
  counts = np.array([900, 90, 10])
  np.testing.assert_allclose(
    contexts.keep_probabilities(counts, 0.05), [(np.sqrt(0.9 / 0.05) + 1) * 0.05 / 0.9, 1, 1], rtol=1e-6
  )
  np.testing.assert_array_equal(contexts.keep_probabilities(counts, 0), 1)


@pytest.mark.parametrize("field", ["length", "window", "batch_size"])
def test_sizes_below_one_are_refused(field):
  options = {"batch_size": 1, "length": 4, "window": 2, field: 0}
  with pytest.raises(UserError, match="give 1 or more"):
    contexts.contexts(TOKENS, UNITS, ALL, seed=0, **options)
