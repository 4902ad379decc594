"""Spoken digits: frames hold the recordings, and no recording is in two splits."""

import numpy as np
import pytest

from research.data import spoken_digits
from research.errors import UserError
from tests.mock_data.raw import spoken_digit


@pytest.fixture
def folder(tmp_path):
  spoken_digit.write(tmp_path, takes=7)
  return str(tmp_path)


def test_frames_are_the_recordings_cut_or_padded_and_scaled(folder):
  with np.load(f"{folder}/spoken_digit.npz") as archive:
    recordings = np.split(archive["samples"], archive["offsets"][1:-1])
    labels = archive["labels"]
  found = spoken_digits.load("all", folder, length=100)
  assert found.inputs.shape == (len(recordings), 100, 1)
  scaled = {label: [] for label in range(10)}
  for recording, label in zip(recordings, labels):
    part = recording[:100].astype(np.float64)
    scaled[int(label)].append(np.pad(part / np.abs(part).max(), (0, 100 - len(part))))
  for frame, label in zip(found.inputs[..., 0], found.label):
    assert min(np.abs(frame - one).max() for one in scaled[int(label)]) < 1e-6


def test_splits_divide_the_takes(folder):
  train, test, whole = (spoken_digits.load(split, folder, length=64) for split in ("train", "test", "all"))
  assert (len(train), len(test), len(whole)) == (20, 50, 70)
  seen = {frame.tobytes() for frame in train.inputs}
  assert not any(frame.tobytes() in seen for frame in test.inputs)
  np.testing.assert_array_equal(np.bincount(test.label), 5)


def test_what_is_no_such_set_is_refused(folder, tmp_path):
  with pytest.raises(UserError, match="at least 1"):
    spoken_digits.load("train", folder, length=0)
  with pytest.raises(UserError, match="choose one of"):
    spoken_digits.load("validation", folder)
  np.savez(tmp_path / "other.npz", samples=np.zeros(3))
  with pytest.raises(UserError, match="it has no offsets, labels, indices"):
    spoken_digits.load("train", str(tmp_path / "other.npz"))
