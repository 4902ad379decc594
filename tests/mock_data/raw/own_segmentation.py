"""One's own images with a mask each: squares of one colour a class."""

from pathlib import Path

import numpy as np
from PIL import Image


def write(folder: Path) -> None:
  """`images/` and `masks/`, ten of each, of several sizes; some pixels are of no known class."""
  rng = np.random.default_rng(0)
  for name in ("images", "masks"):
    (folder / name).mkdir()
  for i in range(10):
    height, width = 14 + i, 30 - i
    mask = np.zeros((height, width), np.uint8)
    for label in (1, 2):
      top, left = rng.integers(0, (height - 6, width - 6))
      mask[top : top + 6, left : left + 6] = label
    image = np.asarray([(40, 40, 40), (220, 30, 30), (30, 30, 220)], np.uint8)[mask]
    mask[:, 0] = 255
    Image.fromarray(image).save(folder / "images" / f"{i}.png")
    Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
