"""The tagger's confusion, counted token by token."""

import collections

import numpy as np

from experiments.parts import tagging

TAGS = ("AT", "NN", "VB")


def test_a_tag_that_training_has_not_is_no_other_tag():
  true, guess = np.array([0, 0, 1, -1, -1, 2]), np.array([0, 1, 1, 1, 2, 2])
  counts, names = tagging.confusion(true, guess, TAGS)
  assert names == [*TAGS, tagging.UNSEEN]
  np.testing.assert_array_equal(counts, [[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 1, 0]])


def test_the_tags_that_most_errors_are_between_are_shown():
  rng = np.random.default_rng(0)
  true, guess = rng.integers(-1, 3, 200), rng.integers(0, 3, 200)
  name = lambda tag: (*TAGS, tagging.UNSEEN)[tag]
  pairs = collections.Counter((name(a), name(b)) for a, b in zip(true, guess))
  errors = collections.Counter()
  for (a, b), count in pairs.items():
    if a != b:
      errors.update({a: count, b: count})
  counts, names = tagging.confusion(true, guess, TAGS, limit=2)
  assert set(names) == {tag for tag, _ in errors.most_common(2)}
  np.testing.assert_array_equal(counts, [[pairs[a, b] for b in names] for a in names])
