"""Two domains of one's own images: discs, and rings of another colour, of several sizes; as many in neither."""

from pathlib import Path

import numpy as np
from PIL import Image


def write(folder: Path, paired: bool = False) -> None:
  """`A/` of eleven images and `B/` of nine; `paired`: of ten each, by the same names and of the same sizes."""
  counts = {"A": 10, "B": 10} if paired else {"A": 11, "B": 9}
  for name, count in counts.items():
    (folder / name).mkdir()
    for i in range(count):
      height, width = 20 + i, 30 - i
      down, right = np.mgrid[:height, :width]
      distance = np.hypot(down - 10, right - 10)
      on = distance < 7 if name == "A" else (distance < 7) & (distance > 4)
      image = np.asarray([(20, 20, 20), (220, 60, 20) if name == "A" else (20, 60, 220)], np.uint8)[on.astype(int)]
      Image.fromarray(image).save(folder / name / f"{i if paired else name.lower() + str(i)}.png")
