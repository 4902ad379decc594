"""Ratings of films, as MovieLens 100K has them."""

from pathlib import Path

import numpy as np


def write(folder: Path, users: int = 20, items: int = 30) -> None:
  """`u.data` and `u.item`: eight ratings a user."""
  rng = np.random.default_rng(0)
  had = [(user, item) for user in range(1, users + 1) for item in rng.choice(np.arange(1, items + 1), 8, False)]
  lines = [f"{user}\t{item}\t{rng.integers(1, 6)}\t{rng.integers(1000)}" for user, item in had]
  (folder / "u.data").write_text("\n".join(lines) + "\n")
  (folder / "u.item").write_text("\n".join(f"{item}|film {item}|1995" for item in range(1, items + 1)) + "\n")
