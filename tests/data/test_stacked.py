"""Stacks of digits against rows chosen by hand."""

import jax
import numpy as np
import pytest

from research.data import pipeline, stacked
from research.data.examples import Examples
from research.errors import UserError

COUNT = 30


def grey(channels=1):
  label = (np.arange(COUNT) % 10).astype(np.int32)
  images = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None, None], (COUNT, 2, 2, channels)).copy()
  return Examples("grey", images, label, tuple("0123456789"))


def batch(dataset, step):
  return jax.device_get(jax.jit(dataset.assemble)(dict(dataset.resident), dataset.feed(step)))


def test_channels_are_the_rows_fed_and_the_label_is_their_digits():
  dataset = stacked.stacked(grey(), 8, seed=0, train=True, assemble=pipeline.normalised())
  rows, found = dataset.feed(3)["rows"], batch(dataset, 3)
  np.testing.assert_allclose(found["inputs"][:, 0, 1] * 255, rows, rtol=1e-5)
  np.testing.assert_array_equal(found["label"], (rows % 10) @ [100, 10, 1])
  assert found["inputs"].shape == (8, 2, 2, 3)


def test_every_image_is_once_an_epoch_in_every_channel_and_channels_differ():
  dataset = stacked.stacked(grey(), 10, seed=1, train=True, assemble=pipeline.normalised())
  rows = np.concatenate([dataset.feed(step)["rows"] for step in range(3)])
  for channel in range(3):
    np.testing.assert_array_equal(np.sort(rows[:, channel]), np.arange(COUNT))
  assert (rows[:, 0] != rows[:, 1]).any()
  assert (rows[:, 1] != rows[:, 2]).any()
  other = stacked.stacked(grey(), 10, seed=2, train=True, assemble=pipeline.normalised())
  assert (other.feed(0)["rows"] != dataset.feed(0)["rows"]).any()


def test_evaluation_is_one_pass_with_padding_masked():
  dataset = stacked.stacked(grey(), 16, seed=0, train=False, assemble=pipeline.normalised())
  masks = np.concatenate([batch(dataset, step)["mask"] for step in range(dataset.num_batches)])
  assert masks.sum() == COUNT
  rows = np.concatenate([dataset.feed(step)["rows"] for step in range(2)])[masks > 0]
  np.testing.assert_array_equal(np.sort(rows[:, 2]), np.arange(COUNT))
  with pytest.raises(IndexError):
    dataset.feed(2)


def test_colour_is_refused():
  with pytest.raises(UserError, match="grey"):
    stacked.stacked(grey(3), 8, seed=0, train=True, assemble=pipeline.normalised())
