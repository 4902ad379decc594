"""Transitions of a pole that nobody balances."""

from pathlib import Path

import numpy as np


def write(folder: Path, count: int = 50) -> None:
  """`cart_pole.npz`: states at random, every tenth of them an end."""
  rng = np.random.default_rng(0)
  seen = rng.normal(size=(count + 1, 4)).astype(np.float32)
  np.savez(
    folder / "cart_pole.npz",
    observation=seen[:-1],
    next_observation=seen[1:],
    action=rng.integers(0, 2, count),
    reward=np.ones(count, np.float32),
    terminated=np.arange(count) % 10 == 9,
  )
