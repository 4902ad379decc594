"""Examples held out to choose by: as many as were asked for, at the end, or an error."""

import numpy as np
import pytest

from research.data import tagged, validation
from research.data.examples import Examples, Stream
from research.data.sequences import padded
from research.errors import UserError


@pytest.mark.parametrize(
  ("share", "total", "expected"),
  [(0.004, 1000, 4), (0.1, 1438, 144), (0.1, 60_000, 6000), (0.0, 10, 0), (0.29, 100, 29), (0.999, 1000, 999)],
)
def test_counts_exactly(share, total, expected):
  assert validation.count(share, total) == expected


@pytest.mark.parametrize(
  ("share", "total", "message"),
  [
    (0.004, 100, "no example"),
    (0.5, 1, "training examples"),
    (0.999, 100, "all examples"),
    (1.0, 10, "share of"),
    (-0.1, 10, "share of"),
    (float("nan"), 10, "share of"),
  ],
)
def test_asked_for_some_there_is_never_none(share, total, message):
  with pytest.raises(UserError, match=message) as error:
    validation.count(share, total)
  assert error.value.field == "config.data.validation"


@pytest.mark.parametrize(("share", "total"), [(0.1, 4), (0.1, 3), (0.004, 100), (0.999, 7), (0.99, 2)])
def test_the_share_that_the_remedy_names_holds_some_out(share, total):
  with pytest.raises(UserError) as error:
    validation.count(share, total)
  named = float(error.value.remedy.split("say ")[1].split(",")[0])
  assert 0 < validation.count(named, total) < total


def numbers(part) -> list[int]:
  """Of every example of any kind of set below, its number."""
  if isinstance(part, Stream):
    source = part.source
    assert [source[i] for i in range(len(source))] == source.__getitems__(range(len(source)))
    return [record["label"] for record in source.__getitems__(range(len(source)))]
  if isinstance(part, tagged.Tagged):
    assert part.tags == part.words
    return [int(words[0]) for words in part.words]
  return part.inputs[:, 0].tolist()


@pytest.mark.parametrize("kind", ["examples", "stream", "sequences", "tagged"])
def test_the_tail_of_every_kind_of_set(kind):
  column = np.arange(10)[:, None]
  words = tuple((str(i),) for i in range(10))
  whole = {
    "examples": Examples("x", column, column[:, 0], ("a",) * 10),
    "stream": Stream("x", [{"label": i} for i in range(10)], 8, 1, ("a",) * 10),
    "sequences": padded("x", list(column)),
    "tagged": tagged.Tagged("x", words, words),
  }[kind]
  train, held = validation.apart(whole, 0.3)
  assert numbers(train) == list(range(7))
  assert held is not None
  assert numbers(held) == [7, 8, 9]
  assert (len(train), len(held)) == (7, 3)
  assert validation.apart(whole, 0.0) == (whole, None)
