"""One's own images with a mask each: a folder with `images/` and, of the same names, `masks/`.

A mask is a picture of one channel (grey or palette) whose values are classes, 0, 1, ...; 255 counts for nothing.
Images may be of any size: they are cut into tiles of one size, the last row and column of which are padded with 255.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from research.data import images, validation
from research.errors import UserError

UNKNOWN = 255  # the class of pixels that count for nothing
KINDS = "a folder with images/ and, of the same names, masks/"
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclasses.dataclass(frozen=True)
class Tiles:
  """Tiles of images and of their masks, in memory.

  Attributes:
    name: for messages.
    inputs: bytes [tile, size, size, 3].
    classes: of each pixel, bytes [tile, size, size], 255 where it is not known.
    class_names: one a class.
  """

  name: str
  inputs: UInt8[np.ndarray, "tile size size 3"]
  classes: UInt8[np.ndarray, "tile size size"]
  class_names: tuple[str, ...]

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """The fields as `pipeline.shuffled` and `pipeline.sequential` take them."""
    return {"inputs": self.inputs, "classes": self.classes}


def load(path: str, size: int, share: float) -> tuple[Tiles, Tiles | None, Tiles]:
  """Tiles to learn from, to choose by and to measure on: a fifth of the images, drawn with seed 0, is for the last.

  Args:
    path: of the folder.
    size: side of a tile.
    share: of the images that are left, held out to choose by; 0 for none.

  Raises:
    UserError: no such folder, fewer than two images or classes, a mask that is missing, of another size or of several
      channels.
  """
  root = Path(path).expanduser()
  if not at(path):
    raise UserError("config.data.path", path, f"this experiment reads {KINDS}.")
  files, mask_files = (by_stem(root / folder) for folder in ("images", "masks"))
  if absent := [stem for stem in files if stem not in mask_files]:
    remedy = f"{files[absent[0]].name} has no mask there: add {absent[0]}.png."
    raise UserError("config.data.path", str(root / "masks"), remedy)
  pairs = [(images.decode(file, 3, None, str(file)), _mask(mask_files[stem])) for stem, file in files.items()]
  for file, (image, mask) in zip(files.values(), pairs):
    if image.shape[:2] != mask.shape:
      raise UserError(f"the mask of {file}: shape", mask.shape, f"it must be that of the image, {image.shape[:2]}.")
  if len(pairs) < 2:
    raise UserError("config.data.path", path, "give two images or more: one is to be measured on.")
  rest, test = validation.fifth(len(pairs))
  held = validation.count(share, len(rest))
  known = [mask[mask != UNKNOWN] for _, mask in pairs]
  names = tuple(map(str, range(1 + max((int(mask.max()) for mask in known if mask.size), default=0))))
  if len(names) < 2:
    remedy = "give masks of two classes or more, as values 0, 1, ...; 255, as in masks of black and white, is unknown."
    raise UserError("config.data.path", str(root / "masks"), remedy)
  of = lambda part, name: _tiles([pairs[i] for i in part], size, f"{root.name} {name}", names)
  return of(rest[held:], "train"), of(rest[:held], "validation") if held else None, of(test, "test")


def notes(tiles: Tiles) -> tuple[str, ...]:
  """Classes that no pixel to learn from is of, a line: masks whose values do not count from 0 have many."""
  counts = np.bincount(tiles.classes.ravel(), minlength=UNKNOWN + 1)
  absent = np.flatnonzero(counts[: len(tiles.class_names)] == 0)
  if not len(absent):
    return ()
  listed = ", ".join(map(str, absent[:5])) + (", ..." if len(absent) > 5 else "")
  return (f"{len(absent)} of {len(tiles.class_names)} classes have no pixel to learn from ({listed})",)


def at(path: str) -> bool:
  """Whether there are images and masks at a path."""
  root = Path(path).expanduser()
  return bool(path) and (root / "images").is_dir() and (root / "masks").is_dir()


def by_stem(folder: Path) -> dict[str, Path]:
  """The images of a folder by what one and its like in another have in common: the place below it, less the suffix.

  Raises:
    UserError: two have one; what goes with one would go with the other too.
  """
  by_stem: dict[str, Path] = {}
  for file in listed(folder, "config.data.path"):
    stem = file.relative_to(folder).with_suffix("").as_posix()
    if (other := by_stem.setdefault(stem, file)) is not file:
      remedy = f"{other} has that name too, and images go together by it: rename one, or remove it."
      raise UserError("config.data.path", str(file), remedy)
  return by_stem


def listed(folder: Path, field: str) -> list[Path]:
  """The images of a folder, or the one that is named; UserError where there are none."""
  files = [folder] if folder.is_file() else sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
  if not files:
    raise UserError(field, str(folder), "there are no images: name a folder that has some.")
  return files


def _mask(file: Path) -> UInt8[np.ndarray, "height width"]:
  try:
    with Image.open(file) as opened:
      mode, mask = opened.mode, np.asarray(opened)
  except (OSError, SyntaxError, ValueError) as error:  # Pillow raises all of these
    raise UserError("mask", str(file), f"replace this file, which cannot be decoded ({error}).") from error
  if mode not in ("L", "P", "1"):
    raise UserError("mask", str(file), f"its values are to be classes, in one channel of bytes; it is of mode {mode}.")
  return mask.astype(np.uint8)


def _tiles(pairs: Sequence[tuple[np.ndarray, np.ndarray]], size: int, name: str, class_names: tuple[str, ...]) -> Tiles:
  inputs, classes = [], []
  for image, mask in pairs:
    down, right = (-length % size for length in mask.shape)
    image = np.pad(image, ((0, down), (0, right), (0, 0)), mode="edge")
    mask = np.pad(mask, ((0, down), (0, right)), constant_values=UNKNOWN)
    for top in range(0, mask.shape[0], size):
      for left in range(0, mask.shape[1], size):
        inputs.append(image[top : top + size, left : left + size])
        classes.append(mask[top : top + size, left : left + size])
  return Tiles(name, np.stack(inputs), np.stack(classes), class_names)
