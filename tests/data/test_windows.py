"""Windows of a stream, and rows of one whose places change: everything once, and a function of (seed, step)."""

import numpy as np
import pytest

from research.data import streams
from research.errors import UserError

TOKENS = np.arange(103)  # a token is its place


def batches(dataset, steps):
  resident = dict(dataset.resident)
  return [{k: np.asarray(v) for k, v in dataset.assemble(resident, dataset.feed(step)).items()} for step in steps]


def test_an_epoch_of_windows_takes_each_once():
  dataset = streams.windows(TOKENS, 5, 10, seed=0)
  assert dataset.num_examples == 10
  epochs = [batches(dataset, range(2 * e, 2 * e + 2)) for e in range(12)]
  firsts = set()
  for epoch in epochs:
    inputs = np.concatenate([batch["inputs"] for batch in epoch])
    np.testing.assert_array_equal(np.concatenate([batch["targets"] for batch in epoch]), inputs + 1)
    order = np.sort(inputs.ravel())
    np.testing.assert_array_equal(order, np.arange(order[0], order[0] + 100), "no gap and nothing twice")
    firsts.add(int(order[0]))
  assert firsts == {0, 1, 2}, "cut at every place that leaves room for ten"
  assert (epochs[0][0]["inputs"] != epochs[1][0]["inputs"]).any()


def test_a_batch_may_hold_windows_of_two_epochs():
  dataset = streams.windows(TOKENS, 7, 10, seed=3)
  inputs = np.concatenate([batch["inputs"] for batch in batches(dataset, range(10))])
  for epoch in inputs.reshape(7, 100):
    np.testing.assert_array_equal(np.diff(np.sort(epoch)), 1)


def test_the_seed_decides():
  feeds = [streams.windows(TOKENS, 5, 10, seed=seed).feed(1)["start"].tolist() for seed in (0, 0, 1)]
  assert feeds[0] == feeds[1] != feeds[2]
  rows = [streams.contiguous(TOKENS, 4, 10, seed=seed).feed(0)["shift"].tolist() for seed in (0, 0, 1)]
  assert rows[0] == rows[1] != rows[2]


@pytest.mark.parametrize(("length", "context", "batch"), [(10, 4, 4), (10, 0, 3), (16, 15, 8), (200, 50, 2)])
def test_evaluation_counts_every_token_but_the_first_once_with_its_context(length, context, batch):
  dataset = streams.overlapping(TOKENS, batch, length, context)
  counted = []
  for found in batches(dataset, range(dataset.num_batches)):
    real = found["mask"] > 0
    np.testing.assert_array_equal(found["targets"][real], found["inputs"][real] + 1)
    counted += found["targets"][real].tolist()
    for row, mask in zip(found["inputs"], real):
      if mask.any() and row[0]:
        assert mask.argmax() >= context
  assert sorted(counted) == list(range(1, 103))


def test_rows_that_begin_at_other_places_still_see_everything_once():
  dataset = streams.contiguous(TOKENS, 4, 10, seed=1)
  firsts = []
  for epoch in range(3):
    found = batches(dataset, range(dataset.num_batches * epoch, dataset.num_batches * (epoch + 1)))
    seen = np.concatenate([batch["targets"][batch["mask"] > 0] for batch in found])
    assert sorted(seen.tolist()) == list(range(1, 103))
    assert [float(batch["fresh"].max()) for batch in found] == [1.0] + [0.0] * (len(found) - 1)
    firsts.append(int(found[0]["inputs"][0, 0]))
  assert len(set(firsts)) == 3


def test_text_that_is_too_short_is_refused():
  with pytest.raises(UserError, match="a window takes 104"):
    streams.windows(TOKENS, 5, 103, seed=0)
  with pytest.raises(UserError, match="context"):
    streams.overlapping(TOKENS, 5, 10, 10)
