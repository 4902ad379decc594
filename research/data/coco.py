"""One's own images with boxes: a folder with `annotations.json`, in COCO's form, and the images that it names.

  {"images": [{"id": 1, "file_name": "a.png"}, ...],
   "categories": [{"id": 7, "name": "cat"}, ...],
   "annotations": [{"image_id": 1, "category_id": 7, "bbox": [left, top, width, height]}, ...]}

File names are below `images/` where there is such a folder, else beside the file.  Annotations with `iscrowd`, regions
of many objects, are left out.  An image whose longer side exceeds the network's is reduced to it, and padded.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from research.data import images, validation
from research.errors import UserError

FILE, FIELD = "annotations.json", "config.data.path"
KINDS = f"a folder with {FILE}, as COCO has it, and images/"
LARGEST = 1e6  # edge of a box, pixels


@dataclasses.dataclass(frozen=True)
class Boxed:
  """Images of one size with the boxes of their objects, in memory.

  Attributes:
    name: for messages.
    inputs: bytes.
    boxes: top, left, bottom, right, as edges of pixels; zeros of what is absent.
    label: class of each object, from 0.
    present: whether there is such an object.
    class_names: one a class.
  """

  name: str
  inputs: UInt8[np.ndarray, "image size size 3"]
  boxes: Float[np.ndarray, "image object 4"]
  label: Int[np.ndarray, "image object"]
  present: Float[np.ndarray, "image object"]
  class_names: tuple[str, ...]

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """The fields as `pipeline.shuffled` and `pipeline.sequential` take them."""
    return {"inputs": self.inputs, "boxes": self.boxes, "label": self.label, "present": self.present}

  def __len__(self) -> int:
    return len(self.inputs)

  def select(self, index) -> "Boxed":
    """Those images."""
    return dataclasses.replace(self, **{name: array[index] for name, array in self.arrays.items()})


def load(path: str, size: int, share: float) -> tuple[Boxed, Boxed | None, Boxed]:
  """Images to learn from, to choose by and to measure on: a fifth, drawn with seed 0, is for the last.

  Args:
    path: of the folder.
    size: side that images are brought to.
    share: of the images that are left, held out to choose by; 0 for none.

  Raises:
    UserError: no such folder or file, or one that is not of COCO's form; an image that is missing or damaged; a box
      that is not one; fewer than two images; no object at all.
  """
  root = Path(path).expanduser()
  tables = _tables(root / FILE)
  names = {row["id"]: str(row["name"]) for row in tables["categories"]}
  files = {row["id"]: _file(root, str(row["file_name"])) for row in tables["images"]}
  if len(names) < len(tables["categories"]) or len(files) < len(tables["images"]):
    raise UserError(FIELD, str(root / FILE), "two images, or two categories, have one id: give each its own.")
  of_image: dict[Any, list[tuple[int, list[float]]]] = {key: [] for key in files}
  classes = {key: i for i, key in enumerate(names)}
  for i, row in enumerate(tables["annotations"]):
    if not row.get("iscrowd"):
      _check(row, i, files, classes)
      of_image[row["image_id"]].append((classes[row["category_id"]], row["bbox"]))
  most = max(map(len, of_image.values()), default=0)
  if len(files) < 2 or not most:
    raise UserError(FIELD, path, "give two images or more, one of which is to be measured on, and at least one box.")
  whole = _boxed(root.name, files, of_image, most, size, tuple(names.values()))
  rest, test = validation.fifth(len(files))
  train, held = validation.apart(_named(whole, rest, "train"), share)
  held = None if held is None else dataclasses.replace(held, name=f"{root.name} validation")
  return train, held, _named(whole, test, "test")


def at(path: str) -> bool:
  """Whether there are annotations at a path."""
  return bool(path) and (Path(path).expanduser() / FILE).is_file()


def fitted(pixels: UInt8[np.ndarray, "height width 3"], size: int) -> tuple[UInt8[np.ndarray, "size size 3"], float]:
  """The image within `size` x `size` pixels, reduced where it is larger, padded below and right; and its scale."""
  height, width = pixels.shape[:2]
  scale = min(1.0, size / max(height, width))
  if scale < 1:
    new = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = np.asarray(Image.fromarray(pixels).resize(new, Image.Resampling.BILINEAR))
  down, right = (size - length for length in pixels.shape[:2])
  # By its edge: what is not the image looks like no object's border.
  return np.pad(pixels, ((0, down), (0, right), (0, 0)), mode="edge"), scale


def results(
  names: Sequence[str],
  boxes: Sequence[np.ndarray],
  label: Sequence[np.ndarray],
  score: Sequence[np.ndarray],
  class_names: Sequence[str],
) -> bytes:
  """Detections as COCO's results are written, images and classes by name."""
  rows = []
  for name, *of_image in zip(names, boxes, label, score):
    for (top, left, bottom, right), k, value in zip(*of_image):
      box = [round(float(x), 2) for x in (left, top, right - left, bottom - top)]
      rows.append({"file_name": name, "category": class_names[k], "bbox": box, "score": round(float(value), 5)})
  return json.dumps(rows, indent=1).encode()


def _tables(file: Path) -> dict[str, list[dict[str, Any]]]:
  if not file.is_file():
    raise UserError(FIELD, str(file.parent), f"this experiment reads {KINDS}.")
  try:
    tables = json.loads(file.read_text(encoding="utf-8"))
  except ValueError as error:
    raise UserError(FIELD, str(file), f"it is no JSON ({error}).") from error
  if not isinstance(tables, dict):
    raise UserError(FIELD, str(file), "it must be an object with images, categories and annotations.")
  needed = {"images": ("id", "file_name"), "categories": ("id", "name"), "annotations": ("image_id", "category_id")}
  for name, keys in needed.items():
    rows = tables.get(name)
    for i, row in enumerate(rows if isinstance(rows, list) else [None]):
      values = [row.get(key) for key in keys] if isinstance(row, dict) else [None]
      if not all(isinstance(value, int | str) for value in values):
        raise UserError(f"{file.name}: {name}[{i}]", row, f"give an object with {', '.join(keys)}: numbers or words.")
  return tables


def _file(root: Path, name: str) -> Path:
  file = images.beside(root / "images", name) or images.beside(root, name)
  if file is None:
    raise UserError(FIELD, str(root), f"{FILE} names {name}, which is not there: bring it back, or leave it out.")
  return file


def _check(row: dict[str, Any], index: int, files, classes) -> None:
  """Raises UserError where an annotation is of no image, of no category, or has no box."""
  where = f"{FILE}: annotations[{index}]"
  for key, known in (("image_id", files), ("category_id", classes)):
    if row[key] not in known:
      raise UserError(f"{where}.{key}", row[key], "there is none of that id in the file.")
  box = row.get("bbox")
  numbers = isinstance(box, list) and len(box) == 4 and all(isinstance(x, int | float) for x in box)
  if not numbers or not all(abs(x) < LARGEST for x in box) or min(box[2:]) <= 0:
    raise UserError(f"{where}.bbox", box, "give left, top, and a width and a height above 0, in pixels.")


def _boxed(name: str, files, of_image, most: int, size: int, class_names: tuple[str, ...]) -> Boxed:
  """Every image with its boxes, cut to it and scaled as it is.

  Raises:
    UserError: a damaged image, or a box outside its image.
  """
  inputs = np.zeros((len(files), size, size, 3), np.uint8)
  boxes = np.zeros((len(files), most, 4), np.float32)
  labels, present = np.zeros((len(files), most), np.int32), np.zeros((len(files), most), np.float32)
  for i, (key, file) in enumerate(files.items()):
    pixels = images.decode(file, 3, None, str(file))
    height, width = pixels.shape[:2]
    inputs[i], scale = fitted(pixels, size)
    for k, (label, (left, top, across, down)) in enumerate(of_image[key]):
      edges = np.clip([top, left, top + down, left + across], 0, [height, width, height, width])
      if (edges[2:] <= edges[:2]).any():
        remedy = f"it lies outside the image, of {width}x{height} pixels."
        raise UserError(f"{FILE}: a bbox of {file.name}", [left, top, across, down], remedy)
      boxes[i, k], labels[i, k], present[i, k] = edges * scale, label, 1
  return Boxed(name, inputs, boxes, labels, present, class_names)


def _named(whole: Boxed, index, part: str) -> Boxed:
  return dataclasses.replace(whole.select(index), name=f"{whole.name} {part}")
