"""Bach's chorales, one file of pieces."""

import json
from pathlib import Path

import numpy as np


def write(folder: Path, pieces: int = 8) -> None:
  """`jsb-chorales-quarter.json`: so many pieces a split, of 6 to 11 steps of 0 to 4 pitches from C3 to G5."""
  rng = np.random.default_rng(0)

  def piece():
    return [rng.choice(np.arange(48, 80), rng.integers(0, 5), False).tolist() for _ in range(rng.integers(6, 12))]

  splits = {split: [piece() for _ in range(pieces)] for split in ("train", "valid", "test")}
  (folder / "jsb-chorales-quarter.json").write_text(json.dumps(splits))
