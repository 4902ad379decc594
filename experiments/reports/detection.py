"""What a detector is used for: average precision, boxes drawn on test images, and those of one's own images."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import ml_collections
import numpy as np

from research.data import coco, images, masks
from research.data.dataset import Dataset
from research.evaluation import detection as measures
from research.evaluation import figures, segments
from research.training.experiment import Report

ROWS = 16  # images that are looked at together when predicting


@dataclasses.dataclass(frozen=True)
class Use:
  """A detector in use.

  Attributes:
    detect: `detect(state, inputs [batch, size, size, 3]) -> families.detection.Detections`.
    test: the images to draw.
    class_names: of objects.
    config: with the sections `scene`, `detect` and `report`.
  """

  detect: Callable[[Any, Any], Any]
  test: Dataset
  class_names: Sequence[str]
  config: ml_collections.ConfigDict

  def average_precision(self, state, which: Dataset) -> dict[str, float]:
    """Of all images of a set."""
    detections: list[measures.Objects] = []
    truth: list[measures.Objects] = []
    for step in range(which.num_batches):
      batch = jax.device_get(jax.jit(which.assemble)(dict(which.resident), which.feed(step)))
      candidates = jax.device_get(self.detect(state, batch["inputs"]))
      rows = np.flatnonzero(batch["mask"])
      detections += [above(candidates, i, 0.0) for i in rows]
      truth += [present(batch, i) for i in rows]
    return measures.summary(measures.average_precision(detections, truth, len(self.class_names)))

  def report(self, state) -> Report:
    """Test images with the boxes that are there, and with those that are detected."""
    least, test = self.config.detect.score, self.test
    batch = jax.device_get(jax.jit(test.assemble)(dict(test.resident), test.feed(0)))
    candidates = jax.device_get(self.detect(state, batch["inputs"]))
    rows = range(min(self.config.report.samples, len(batch["inputs"])))
    objects = [present(batch, i) for i in rows], [above(candidates, i, least) for i in rows]
    pictures = [measures.with_boxes(batch["inputs"][i], of[i], self.class_names) for of in objects for i in rows]
    title = f"what is there; what is detected with a score above {least:g}"
    return Report(figures={"boxes": figures.image_grid(np.stack(pictures), columns=len(rows), title=title)})

  def predictions(self, state, path: str) -> dict[str, np.ndarray | bytes]:
    """The boxes in each image at `path`, in its own pixels: as arrays, as COCO's results, and drawn.

    Raises:
      UserError: there is no image.
    """
    files, size, least = (
      masks.listed(Path(path).expanduser(), "--input"),
      self.config.scene.size,
      self.config.detect.score,
    )
    outputs: dict[str, np.ndarray | bytes] = {}
    kept: list[measures.Objects] = []
    for start in range(0, len(files), ROWS):
      pixels = [images.decode(file, 3, None, str(file)) for file in files[start : start + ROWS]]
      canvases, scales = zip(*(coco.fitted(image, size) for image in pixels))
      padding = np.zeros((ROWS - len(canvases), size, size, 3), np.uint8)
      inputs = np.concatenate([canvases, padding]).astype(np.float32) / 255
      candidates = jax.device_get(self.detect(state, inputs))
      for i, (image, scale) in enumerate(zip(pixels, scales)):
        kept.append(within(above(candidates, i, least), scale, image.shape[:2]))
        painted = measures.with_boxes(image / 255, kept[-1], self.class_names, max(1, 400 // max(image.shape)))
        outputs[f"{start + i:04d}_{files[start + i].stem}.png"] = segments.png((255 * painted).astype(np.uint8))
    names = [str(file) for file in files]
    joined = {name: np.concatenate([getattr(o, name) for o in kept]) for name in ("boxes", "label", "score")}
    which = np.repeat(np.arange(len(kept)), [len(o.label) for o in kept])
    text = coco.results(names, *zip(*((o.boxes, o.label, o.score) for o in kept)), self.class_names)
    told = {"name": np.asarray(names), "class_names": np.asarray(self.class_names), "image": which}
    return {**outputs, "detections.json": text, **joined, **told}


def present(batch, row: int) -> measures.Objects:
  """The objects of an image of a batch."""
  there = batch["present"][row] > 0
  return measures.Objects(batch["boxes"][row][there], batch["label"][row][there])


def above(candidates: Any, row: int, least: float) -> measures.Objects:
  """An image's detections whose score is more than `least`."""
  boxes, label, score = (np.asarray(array[row]) for array in candidates)
  sure = score > least
  return measures.Objects(boxes[sure], label[sure], score[sure])


def within(objects: measures.Objects, scale: float, sides: tuple[int, int]) -> measures.Objects:
  """What has its centre in an image rather than in its padding, in the image's own pixels, and cut to it."""
  boxes = objects.boxes / scale
  inside = ((boxes[:, :2] + boxes[:, 2:]) / 2 < sides).all(-1)
  assert objects.score is not None
  return measures.Objects(np.clip(boxes, 0, [*sides, *sides])[inside], objects.label[inside], objects.score[inside])
