"""Batches that come from no set of examples, and from one long stream: by NumPy, token for token."""

import jax
import numpy as np
import pytest

from research.data import clock, streams
from research.errors import UserError
from research.training import durations


def batches(data, steps):
  assemble = jax.jit(data.assemble)
  return [jax.device_get(assemble(data.resident, data.feed(step))) for step in steps]


@pytest.mark.parametrize(("count", "rows", "length"), [(41, 1, 7), (41, 4, 7), (42, 4, 100), (9, 8, 1)])
def test_a_stream_is_predicted_whole_and_once_an_epoch(count, rows, length):
  tokens = np.random.default_rng(0).permutation(count)  # every token tells its place
  data = streams.contiguous(tokens, rows, length)
  read = batches(data, range(data.num_batches))
  real = lambda batch, field, row: batch[field][row][batch["mask"][row] > 0]
  for field, expected in {"inputs": tokens[:-1], "targets": tokens[1:]}.items():
    rows_of = [np.concatenate([real(batch, field, row) for batch in read]) for row in range(rows)]
    np.testing.assert_array_equal(np.concatenate(rows_of), expected)
  assert [batch["fresh"].all() for batch in read] == [True] + [False] * (data.num_batches - 1)
  (again,) = batches(data, [data.num_batches])
  np.testing.assert_array_equal(again["inputs"], read[0]["inputs"])
  assert durations.steps("2 epochs", per_step=data.per_step) == 2 * data.num_batches
  assert durations.steps(f"{count - 1} tokens", per_step=data.per_step) == data.num_batches


def test_a_clock_has_rows_and_no_epoch():
  data = clock.clock(6, frames=24)
  one, later = batches(data, (0, 10**6))
  np.testing.assert_array_equal(one["row"], np.arange(6))
  np.testing.assert_array_equal(later["row"], np.arange(6))
  assert one["mask"].all()
  assert durations.steps("1e6 frames", per_step=data.per_step) == 41667
  for unknown in ("3 epochs", "1000 tokens"):
    with pytest.raises(UserError, match=r"do not know.*steps, examples, frames"):
      durations.steps(unknown, per_step=data.per_step)


def test_a_clock_of_a_count_is_one_pass():
  read = batches(clock.clock(4, count=10), range(3))
  seen = np.concatenate([batch["row"][batch["mask"] > 0] for batch in read])
  np.testing.assert_array_equal(seen, np.arange(10))
  others = batches(clock.clock(4, count=6, first=10), range(2))
  seen = np.concatenate([batch["row"][batch["mask"] > 0] for batch in others])
  np.testing.assert_array_equal(seen, 10 + np.arange(6))


@pytest.mark.parametrize(
  ("make", "field"),
  [
    (lambda: clock.clock(0), "rows"),
    (lambda: streams.contiguous(np.arange(5), 0, 1), "rows"),
    (lambda: streams.contiguous(np.arange(5), 1, 0), "length"),
    (lambda: streams.contiguous(np.arange(5), 5, 1), "tokens"),
  ],
)
def test_bad_sizes_are_named(make, field):
  with pytest.raises(UserError, match=field):
    make()
