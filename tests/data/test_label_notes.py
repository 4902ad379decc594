"""Labels that are no error and make an accuracy mean less: told in a line."""

import numpy as np
import pytest

from research.data.examples import label_notes

NAMES = ("cat", "dog", "hen")


@pytest.mark.parametrize(
  ("sizes", "words"),
  [
    ((30, 0, 0), ["all 30", "'cat'", "nothing to tell apart"]),
    ((0, 30, 30), ["no training example is of the class 'cat'", "start at 0"]),
    ((30, 30, 0), ["no training example is of the class 'hen'"]),
    ((30, 30, 1), ["of the class 'hen' there is one"]),
    ((200, 10, 30), ["from 10 to 200", "'cat'", "83 %"]),
  ],
)
def test_what_is_odd_about_labels_is_one_line(sizes, words):
  (note,) = label_notes(np.repeat(np.arange(3), sizes), NAMES)
  assert all(word in note for word in words)


def test_labels_as_usual_are_not_mentioned():
  assert not label_notes(np.repeat(np.arange(3), (30, 20, 25)), NAMES)


def test_many_absent_classes_are_counted():
  (note,) = label_notes(np.repeat([0, 20], 5), [str(i) for i in range(21)])
  assert "and 14 more" in note
