"""One's own images with boxes in COCO's form: squares of one colour a class."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def write(folder: Path) -> None:
  """`images/` and `annotations.json`: ten images of several sizes, one of them without a square."""
  rng = np.random.default_rng(0)
  (folder / "images").mkdir()
  files, boxes = [], []
  for i in range(10):
    height, width = 14 + i, 30 - i
    image = np.full((height, width, 3), 40, np.uint8)
    for category, colour in ((3, (220, 30, 30)), (8, (30, 30, 220))) if i else ():
      top, left = (int(x) for x in rng.integers(0, (height - 6, width - 6)))
      image[top : top + 6, left : left + 6] = colour
      boxes.append({"image_id": 100 + i, "category_id": category, "bbox": [left, top, 6, 6]})
    Image.fromarray(image).save(folder / "images" / f"{i}.png")
    files.append({"id": 100 + i, "file_name": f"{i}.png"})
  boxes.append({"image_id": 100, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1})
  boxes = [{"id": i, "iscrowd": 0, **box} for i, box in enumerate(boxes)]
  tables = {"images": files, "annotations": boxes, "categories": [{"id": 3, "name": "red"}, {"id": 8, "name": "blue"}]}
  (folder / "annotations.json").write_text(json.dumps(tables))
