"""Moving MNIST's test films, the authors' file."""

from pathlib import Path

import numpy as np

FILMS = 5


def write(folder: Path) -> None:
  """`mnist_test_seq.npy`: five films of noise."""
  frames = np.random.default_rng(0).integers(0, 256, (20, FILMS, 64, 64), np.uint8)
  np.save(folder / "mnist_test_seq.npy", frames)
