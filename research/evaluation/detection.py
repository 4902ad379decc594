"""Average precision of detections, as COCO computes it, and boxes to look at."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw, ImageFont

from research.evaluation.segments import palette

IOUS = np.linspace(0.5, 0.95, 10)  # from which on a detection counts as that object
RECALLS = np.linspace(0, 1, 101)  # at which precision is read off
MOST = 100  # detections of an image and a class that count


class Objects(NamedTuple):
  """Objects of one image, true ones or detections.

  Attributes:
    boxes: top, left, bottom, right, as edges of pixels.
    label: class of each.
    score: how sure a detection is; None of true ones.
  """

  boxes: Float[np.ndarray, "object 4"]
  label: Int[np.ndarray, " object"]
  score: Float[np.ndarray, " object"] | None = None


def average_precision(
  detections: Sequence[Objects], truth: Sequence[Objects], num_classes: int
) -> Float[np.ndarray, "iou class"]:
  """Of each class at each of `IOUS`; NaN of a class that no image has (Lin et al. 2014; cocoeval, all areas).

  In each image detections, the surest first, each take the object of their class that they share most with, of those
  not yet taken.  Precision, made to fall with recall, is averaged over `RECALLS`.
  """
  table = np.full((len(IOUS), num_classes), np.nan)
  for k in range(num_classes):
    count = sum(int((image.label == k).sum()) for image in truth)
    if not count:
      continue
    scores, hits = zip(*(_matched(_of(d, k), _of(t, k).boxes) for d, t in zip(detections, truth, strict=True)))
    order = np.argsort(-np.concatenate(scores), kind="mergesort")  # of equals, the earlier image first
    for i, hit in enumerate(np.concatenate(hits, axis=1)[:, order]):
      table[i, k] = _area(hit, count)
  return table


def summary(table: Float[np.ndarray, "iou class"]) -> dict[str, float]:
  """`ap`, `ap50`, `ap75`: means over the classes that there are; NaN where there are none."""
  known = table[:, ~np.isnan(table).any(0)]
  mean = lambda rows: float(rows.mean()) if rows.size else float("nan")
  return {"ap": mean(known), "ap50": mean(known[0]), "ap75": mean(known[5])}


def box_iou(boxes: Float[np.ndarray, "a 4"], others: Float[np.ndarray, "b 4"]) -> Float[np.ndarray, "a b"]:
  """Intersection over union of each two boxes."""
  least, most = np.minimum(boxes[:, None], others), np.maximum(boxes[:, None], others)
  both = np.maximum(least[..., 2:] - most[..., :2], 0).prod(-1)
  area = lambda b: (b[:, 2:] - b[:, :2]).prod(-1)
  return both / np.maximum(area(boxes)[:, None] + area(others) - both, 1e-12)


def _of(objects: Objects, label: int) -> Objects:
  chosen = objects.label == label
  score = None if objects.score is None else np.asarray(objects.score, np.float64)[chosen]
  return Objects(np.asarray(objects.boxes, np.float64)[chosen], objects.label[chosen], score)


def _matched(detections: Objects, truth: Float[np.ndarray, "object 4"]) -> tuple[np.ndarray, np.ndarray]:
  """Scores in falling order, and at each IoU whether that detection is an object's."""
  assert detections.score is not None
  order = np.argsort(-detections.score, kind="mergesort")[:MOST]
  shared = box_iou(detections.boxes[order], truth)
  hits = np.zeros((len(IOUS), len(order)), bool)
  for hit, least in zip(hits, IOUS):
    free = np.ones(len(truth), bool)
    for i, row in enumerate(shared):
      candidates = np.where(free, row, -1)
      if len(truth) and candidates.max() >= min(least, 1 - 1e-10):
        # Of equals the last, as in cocoeval.
        free[len(truth) - 1 - candidates[::-1].argmax()] = False
        hit[i] = True
  return detections.score[order], hits


def _area(hit: np.ndarray, count: int) -> float:
  """The mean over `RECALLS` of the best precision at that recall or a higher one; 0 where it is not reached."""
  true = np.cumsum(hit)
  precision = np.maximum.accumulate((true / np.arange(1, len(hit) + 1))[::-1])[::-1]
  place = np.searchsorted(true / count, RECALLS, side="left")
  return float(np.append(precision, 0.0)[np.minimum(place, len(hit))].mean())


def with_boxes(
  image: Float[np.ndarray, "height width 3"], objects: Objects, class_names: Sequence[str], scale: int = 4
) -> Float[np.ndarray, "..."]:
  """The image, `scale` times as large, with each object's box in its class's colour, and its name and score on it."""
  height, width = image.shape[:2]
  canvas = Image.fromarray((255 * np.clip(image, 0, 1)).astype(np.uint8)).resize((width * scale, height * scale))
  draw, colours = ImageDraw.Draw(canvas), (255 * palette(1 + len(class_names))[1:]).astype(int)
  font = ImageFont.load_default(4 * scale)
  for i, (box, label) in enumerate(zip(np.asarray(objects.boxes), objects.label)):
    top, left, bottom, right = (float(edge) * scale for edge in box)
    colour = tuple(colours[label].tolist())
    draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), outline=colour, width=max(1, scale // 3))
    name = class_names[label] if objects.score is None else f"{class_names[label]} {objects.score[i]:.2f}"
    place = draw.textbbox((left, top), name, font=font)
    draw.rectangle(place, fill=(0, 0, 0))
    draw.text((left, top), name, fill=colour, font=font)
  return np.asarray(canvas, np.float32) / 255
