"""Spoken digits, one archive."""

from pathlib import Path

import numpy as np


def write(folder: Path, takes: int = 8) -> None:
  """`spoken_digit.npz`: so many takes of each digit by one speaker, noise of 50 to 150 samples."""
  rng = np.random.default_rng(0)
  lengths = rng.integers(50, 150, 10 * takes)
  np.savez(
    folder / "spoken_digit.npz",
    samples=rng.integers(-9000, 9000, lengths.sum()).astype(np.int16),
    offsets=np.concatenate([[0], np.cumsum(lengths)]),
    labels=np.repeat(np.arange(10), takes),
    speakers=np.zeros(10 * takes, np.int64),
    indices=np.tile(np.arange(takes), 10),
    sample_rate=8000,
  )
