"""Packs against what is asked of them: every sequence whole, once an epoch, within the budget."""

import jax
import numpy as np
import pytest

from research.data import packs
from research.errors import UserError
from research.training import durations

RNG = np.random.default_rng(0)
LENGTHS = RNG.integers(1, 13, 57)
TOKENS = [100 * i + np.arange(n) for i, n in enumerate(LENGTHS, 1)]  # a token tells its sequence and its place


def sequences_of(batches):
  """Taken apart by segment: a NumPy loop over tokens."""
  for batch in batches:
    for row in range(len(batch["mask"])):
      for segment in range(1, batch["segment"][row].max() + 1):
        here = batch["segment"][row] == segment
        np.testing.assert_array_equal(batch["position"][row][here], np.arange(here.sum()))
        yield batch["tokens"][row][here].tolist()


def batches(data, steps):
  assemble = jax.jit(data.assemble)
  return [jax.device_get(assemble(data.resident, data.feed(step))) for step in steps]


def test_two_budgets_hold_and_bins_are_few():
  sizes = np.stack([RNG.integers(1, 20, 200), RNG.integers(0, 50, 200)], 1)
  bins = packs.first_fit(sizes, (40, 90))
  np.testing.assert_array_equal(np.sort(np.concatenate(bins)), np.arange(200))
  assert all((sizes[items].sum(0) <= (40, 90)).all() for items in bins)
  least = max(np.ceil(sizes.sum(0) / (40, 90)))
  assert len(bins) <= 1.25 * least + 1


def test_one_budget_is_first_fit_decreasing():
  """By a loop over bins, as the rule is told (Johnson 1973)."""
  room, expected = [], []
  for item in sorted(range(57), key=lambda i: -LENGTHS[i]):
    place = next((i for i, left in enumerate(room) if left >= LENGTHS[item]), None)
    if place is None:
      place = len(room)
      room.append(16)
      expected.append([])
    room[place] -= LENGTHS[item]
    expected[place].append(item)
  assert [items.tolist() for items in packs.first_fit(LENGTHS[:, None], (16,))] == expected


def test_each_sequence_once_an_epoch():
  """Batches of 1, so that an epoch ends with a batch; orders and neighbours differ, and a step can be asked for."""
  data = packs.packed({"tokens": TOKENS}, 16, 1, seed=3)
  bins = data.num_batches
  first, second = batches(data, range(bins)), batches(data, range(bins, 2 * bins))
  for epoch in (first, second):
    assert sorted(sequences_of(epoch)) == [tokens.tolist() for tokens in TOKENS]
    assert sum(batch["mask"].sum() for batch in epoch) == LENGTHS.sum()
  partners = lambda epoch: {tuple(sorted(t[0] for t in sequences_of([batch]))) for batch in epoch}
  assert len(partners(first) & partners(second)) < bins / 2
  again = batches(packs.packed({"tokens": TOKENS}, 16, 1, seed=3), [bins + 2])[0]
  np.testing.assert_array_equal(again["tokens"], second[2]["tokens"])
  assert durations.steps("2 epochs", per_step=data.per_step) == 2 * bins
  assert durations.steps(f"{LENGTHS.sum()} tokens", per_step=data.per_step) == bins
  assert durations.steps("57 examples", per_step=data.per_step) == bins


def test_epochs_follow_one_another_without_a_gap():
  data = packs.packed({"tokens": TOKENS}, 16, 4, seed=0)
  once = batches(packs.packed({"tokens": TOKENS}, 16, 1, seed=0), range(2 * data.num_examples))
  read = batches(data, range(data.num_examples // 2))  # batches of 4: two epochs, as the rows of one come
  rows = np.concatenate([batch["tokens"] for batch in read])
  np.testing.assert_array_equal(rows, np.concatenate([batch["tokens"] for batch in once])[: len(rows)])


def test_evaluation_is_one_padded_pass():
  data = packs.packed({"tokens": TOKENS}, 16, 5, seed=None)
  read = batches(data, range(data.num_batches))
  assert sorted(sequences_of(read)) == [tokens.tolist() for tokens in TOKENS]
  assert data.num_batches * 5 > data.num_examples, "a last batch that is padded"
  assert sum(batch["mask"].sum() for batch in read) == LENGTHS.sum()


def test_over_the_budget_is_an_error_or_is_cut():
  with pytest.raises(UserError, match=r"over the budget \[8\].*cut"):
    packs.packed({"tokens": TOKENS}, 8, 2, seed=0)
  data = packs.packed({"tokens": TOKENS}, 8, 2, seed=None, cut=True)
  assert sorted(sequences_of(batches(data, range(data.num_batches)))) == [t[:8].tolist() for t in TOKENS]


@pytest.mark.parametrize(
  ("sequences", "match"),
  [
    ({"tokens": []}, "number of sequences"),
    ({"tokens": [np.arange(3), np.arange(0)]}, "sequence = 1"),
    ({"tokens": [np.arange(3)], "tag": [np.arange(2)]}, "tag"),
  ],
)
def test_bad_sequences_are_named(sequences, match):
  with pytest.raises(UserError, match=match):
    packs.packed(sequences, 8, 2, seed=0)
