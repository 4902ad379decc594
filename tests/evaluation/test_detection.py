"""Average precision against pycocotools, and boxes where they are to be seen."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from research.evaluation import detection

CLASSES = 4


def scene(rng, exact_scores):
  """True objects of an image, and detections: some of these, moved, some twice, some of nothing or another class."""
  count = int(rng.integers(0, 5))
  start = rng.uniform(0, 60, (count, 2))
  boxes = np.concatenate([start, start + rng.uniform(5, 30, (count, 2))], -1)
  truth = detection.Objects(boxes, rng.integers(0, CLASSES - 1, count))
  chosen = rng.integers(0, max(count, 1), int(rng.integers(0, 8)) if count else 0)
  moved = boxes[chosen] + rng.normal(scale=rng.choice([0.2, 1.0, 3.0], (len(chosen), 1)), size=(len(chosen), 4))
  moved = np.sort(moved.reshape(-1, 2, 2), axis=1).reshape(-1, 4)
  start = rng.uniform(0, 60, (2, 2))
  moved = np.concatenate([moved, np.concatenate([start, start + 9], -1)])
  label = np.concatenate([truth.label[chosen], rng.integers(0, CLASSES, 2)])
  label = np.where(rng.random(len(label)) < 0.2, rng.integers(0, CLASSES, len(label)), label)
  score = rng.random(len(label)) if exact_scores else rng.integers(1, 5, len(label)) / 5
  return detection.Objects(moved, label, score), truth


def by_pycocotools(detections, truth):
  """Precision [IoU, class] of COCOeval, all areas, 100 detections; NaN where a class is nowhere."""
  wide = lambda b: [float(b[1]), float(b[0]), float(b[3] - b[1]), float(b[2] - b[0])]
  rows = [
    {"image_id": i, "category_id": int(k) + 1, "bbox": wide(b), "area": wide(b)[2] * wide(b)[3], "iscrowd": 0}
    for i, image in enumerate(truth)
    for b, k in zip(image.boxes, image.label)
  ]
  reference = COCO()
  reference.dataset = {
    "info": {},
    "images": [{"id": i} for i in range(len(truth))],
    "categories": [{"id": k + 1, "name": str(k)} for k in range(CLASSES)],
    "annotations": [{**row, "id": n + 1} for n, row in enumerate(rows)],
  }
  with contextlib.redirect_stdout(io.StringIO()):
    reference.createIndex()
    told = reference.loadRes(
      [
        {"image_id": i, "category_id": int(k) + 1, "bbox": wide(b), "score": float(s)}
        for i, image in enumerate(detections)
        for b, k, s in zip(*image)
      ]
    )
    judge = COCOeval(reference, told, "bbox")
    judge.evaluate()
    judge.accumulate()
    judge.summarize()
  precision = judge.eval["precision"][:, :, :, 0, 2]  # IoU, recall, class
  table = np.where((precision < 0).all(1), np.nan, precision.mean(1))
  return table, {"ap": judge.stats[0], "ap50": judge.stats[1], "ap75": judge.stats[2]}


@pytest.mark.parametrize("exact_scores", [True, False])
@pytest.mark.parametrize("images", [1, 40])
def test_average_precision_is_pycocotools(images, exact_scores):
  rng = np.random.default_rng(images)
  pairs = [scene(rng, exact_scores) for _ in range(images)]
  while not sum(len(truth.label) for _, truth in pairs):
    pairs = [scene(rng, exact_scores)]
  table = detection.average_precision(*zip(*pairs), CLASSES)
  expected, summary = by_pycocotools(*zip(*pairs))
  np.testing.assert_allclose(table, expected, atol=1e-9)
  assert np.isnan(table[:, CLASSES - 1]).all()  # which no image has
  for name, value in detection.summary(table).items():
    assert value == pytest.approx(summary[name], abs=1e-9)
  if images > 1:
    assert 0.1 < detection.summary(table)["ap50"] < 0.95


def test_detections_that_are_the_objects_have_all_precision_and_none_have_none():
  rng = np.random.default_rng(0)
  truth = [scene(rng, True)[1] for _ in range(10)]
  perfect = [image._replace(score=np.ones(len(image.label))) for image in truth]
  nothing = [detection.Objects(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0)) for _ in truth]
  assert detection.summary(detection.average_precision(perfect, truth, CLASSES))["ap"] == 1
  assert detection.summary(detection.average_precision(nothing, truth, CLASSES))["ap"] == 0
  assert np.isnan(detection.summary(detection.average_precision(nothing, nothing, CLASSES))["ap"])


def test_a_box_is_painted_along_its_edges_and_nowhere_inside():
  image = np.zeros((20, 30, 3), np.float32)
  one = detection.Objects(np.asarray([[8.0, 5.0, 18.0, 25.0]]), np.asarray([1]))
  painted = detection.with_boxes(image, one, ("a", "b"), scale=2)
  assert painted.shape == (40, 60, 3)
  on = painted.max(-1) > 0.3
  assert on[35, 10:50].all()  # the lower edge
  assert on[30, 10]
  assert on[30, 49]
  assert not on[30, 12:48].any()
  assert not on[:8, :8].any()
