"""The free spoken digit set: 2,500 recordings of 0 to 9 by five speakers, 8 kHz, as frames of equal length."""

import numpy as np

from research.data import raw
from research.data.examples import Examples, choose, part
from research.errors import UserError

NAME, RATE = "spoken_digits", 8000
_FOLDER, FILE = "spoken_digit", "spoken_digit.npz"
_HELD_OUT = 5  # the source's own test set: recordings 0 to 4 of every digit and speaker


def load(split: str = "train", path: str | None = None, length: int = 4096) -> Examples:
  """A split of the set (Jakobovski, free-spoken-digit-dataset): 2,250 recordings to train, 250 to test.

  The file `spoken_digit.npz` holds `samples` (int16, all recordings one after the other), `offsets` [recording + 1],
  `labels`, `indices` (which take of a digit and speaker it is) and `sample_rate`.

  Args:
    split: 'train', 'test' or 'all', or part of one ('train[:90%]').
    path: the file or its folder; by default `$GENERA_DATA_DIR/spoken_digit`.
    length: samples of a frame: what is longer is cut, what is shorter is followed by silence.

  Returns:
    float32 [recording, length, 1], each scaled to a peak of 1; the label is the digit.

  Raises:
    UserError: no such file or split, an archive without these arrays, or no samples in a frame.
  """
  if length < 1:
    raise UserError("config.data.length", length, "give the samples of a frame, at least 1.")
  file = raw.locate(_FOLDER, FILE, path)
  samples, offsets, labels, indices = raw.arrays(file, ("samples", "offsets", "labels", "indices")).values()
  frames = np.stack([_frame(recording, length) for recording in np.split(samples, offsets[1:-1])])
  number = np.arange(len(labels))
  test = np.asarray(indices) < _HELD_OUT
  # Recordings lie sorted by digit: shuffled, so that a part of a split has all of them.
  order = np.random.default_rng(0).permutation(number)
  index = choose({"train": order[~test[order]], "test": order[test[order]], "all": order}, split)
  whole = Examples(f"{NAME} {split}", frames[..., None], labels.astype(np.int32), tuple("0123456789"))
  return whole.select(index[part(split, len(index))])


def _frame(recording: np.ndarray, length: int) -> np.ndarray:
  recording = recording[:length].astype(np.float32)
  peak = np.abs(recording).max(initial=0)
  return np.pad(recording / (peak or 1), (0, length - len(recording)))
