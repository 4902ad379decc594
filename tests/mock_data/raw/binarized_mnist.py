"""Static binarized MNIST, one archive."""

from pathlib import Path

import numpy as np


def write(folder: Path) -> None:
  """`binarized_mnist.npz`: forty images a split, eight pixels a byte."""
  rng = np.random.default_rng(0)
  bits = {split: rng.integers(0, 256, (40, 98), np.uint8) for split in ("train", "valid", "test")}
  np.savez(folder / "binarized_mnist.npz", **bits)
