"""Detection of objects as points: where a centre is, a heat map tells; how large the object is, a regression at it.

Zhou, Wang & Krähenbühl 2019, "Objects as Points"; the heat map's spread: Law & Deng 2018 (CornerNet), sec. 3.2.
Boxes are top, left, bottom, right, as edges of pixels.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from research.metrics import Mean

ALPHA, BETA = 2, 4  # of the focal loss, eq. 1
OVERLAP = 0.7  # that boxes keep whose corners move by `radius`
DEFINITIONS = {
  "loss": "an object's focal loss of the heat map, plus the weighted errors of its size and offset",
  "heat": "focal loss of the heat maps (eq. 1), all cells and classes, per object",
  "size": "an object's error of height plus that of width, cells",
  "offset": "an object's error of its centre, down plus right, cells",
  "ap": "average precision as COCO has it: mean over classes and over IoU of 0.5, 0.55, ... 0.95",
  "ap50": "average precision at an IoU of 0.5, mean over classes",
  "ap75": "average precision at an IoU of 0.75, mean over classes",
}


class Detector(NamedTuple):
  """The functions of a detector.

  A batch has `inputs`, `boxes` [batch, object, 4], `label` and `present` [batch, object], and `mask`.
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  detect: Callable


class Targets(NamedTuple):
  """What a network is to say of one image.

  Attributes:
    heat: 1 at the cell of an object's centre, less around it.
    row, column: that cell, of each object.
    size, offset: of each object, cells.
    present: 1 of objects that have a place on the grid, else 0.
  """

  heat: Float[Array, "*batch rows columns class"]
  row: Int[Array, "*batch object"]
  column: Int[Array, "*batch object"]
  size: Float[Array, "*batch object 2"]
  offset: Float[Array, "*batch object 2"]
  present: Float[Array, "*batch object"]


class Detections(NamedTuple):
  """Candidates, the most probable first; what is suppressed has a score of 0."""

  boxes: Float[Array, "*batch candidate 4"]
  label: Int[Array, "*batch candidate"]
  score: Float[Array, "*batch candidate"]


def detector(network: nn.Module, num_classes: int, *, size_weight: float, candidates: int, overlap: float) -> Detector:
  """A detector over any network `(inputs, train) -> maps` with the fields `heat` (logits), `size` and `offset`.

  Args:
    network: a Flax module.
    num_classes: of objects.
    size_weight: of the error of the size beside the others.
    candidates: most objects of an image.
    overlap: IoU above which, of two of one class, the less probable is suppressed.
  """

  def init(key, batch):
    return network.init(key, batch["inputs"], train=False)

  def loss(variables, batch, key):
    del key
    mutable = [name for name in variables if name != "params"]
    maps, mutated = network.apply(variables, batch["inputs"], train=True, mutable=mutable)
    total, parts = losses(maps, batch, num_classes, size_weight)
    return total, (parts, mutated)

  def evaluate(variables, batch):
    total, parts = losses(network.apply(variables, batch["inputs"], train=False), batch, num_classes, size_weight)
    return {"loss": total, **parts}

  def detect(variables, inputs) -> Detections:
    maps: Any = network.apply(variables, inputs, train=False)
    stride = inputs.shape[1] // maps.heat.shape[1]

    def of_image(heat, size, offset):
      peaks = decoded(heat, size, offset, candidates, stride)
      return peaks._replace(score=peaks.score * suppression(peaks, overlap))

    return jax.vmap(of_image)(maps.heat, maps.size, maps.offset)

  return Detector(init, loss, evaluate, detect)


def losses(maps, batch, num_classes: int, size_weight: float) -> tuple[Mean, dict[str, Mean]]:
  """The loss, as a sum over the batch's objects and their number (eq. 4), and its parts."""
  stride = batch["inputs"].shape[1] // maps.heat.shape[1]
  make = lambda boxes, label, present: targets(boxes, label, present, maps.heat.shape[1:3], num_classes, stride)
  target = jax.vmap(make)(batch["boxes"], batch["label"], batch["present"] * batch["mask"][:, None])
  at_centres = lambda x: jax.vmap(lambda grid, row, column: grid[row, column])(x, target.row, target.column)
  error = lambda x, y: (jnp.abs(at_centres(x) - y).sum(-1) * target.present).sum()
  count = target.present.sum()
  heat = jnp.where(batch["mask"] > 0, jax.vmap(focal)(maps.heat, target.heat), 0).sum()
  size, offset = error(maps.size, target.size), error(maps.offset, target.offset)
  parts = {"heat": Mean(heat, count), "size": Mean(size, count), "offset": Mean(offset, count)}
  return Mean(heat + size_weight * size + offset, count), parts


def focal(logits: Float[Array, "rows columns class"], heat: Float[Array, "rows columns class"]) -> Float[Array, ""]:
  """The focal loss whose penalty is reduced around centres (eq. 1), summed; not yet divided by the objects' number."""
  p, log_p, log_not = jax.nn.sigmoid(logits), jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
  return -jnp.where(heat == 1, (1 - p) ** ALPHA * log_p, (1 - heat) ** BETA * p**ALPHA * log_not).sum()


def targets(
  boxes: Float[Array, "object 4"],
  label: Int[Array, " object"],
  present: Float[Array, " object"],
  grid: tuple[int, int],
  num_classes: int,
  stride: int,
) -> Targets:
  """What is to be told of one image; where objects of a class share a cell's neighbourhood, the larger heat counts.

  Args:
    boxes, label, present: of objects; what is absent, or has no extent, counts for nothing.
    grid: rows and columns of cells.
    num_classes: of objects.
    stride: side of a cell, pixels.
  """
  rows, columns = grid
  size = (boxes[:, 2:] - boxes[:, :2]) / stride
  present = present * (size > 0).all(-1)
  centre = (boxes[:, :2] + boxes[:, 2:]) / (2 * stride)
  cell = jnp.clip(jnp.floor(centre), 0, jnp.asarray(grid) - 1).astype(jnp.int32)
  sigma = (2 * radius(jnp.maximum(size, 1e-6)) + 1) / 6
  square = lambda count, at: (jnp.arange(count) - at[:, None]) ** 2
  distance = square(rows, cell[:, 0])[:, :, None] + square(columns, cell[:, 1])[:, None]
  gauss = jnp.exp(-distance / (2 * sigma**2)[:, None, None]) * present[:, None, None]
  heat = jnp.zeros((rows, columns, num_classes)).at[:, :, label].max(jnp.moveaxis(gauss, 0, -1))
  return Targets(heat, cell[:, 0], cell[:, 1], size, centre - cell, present)


def radius(size: Float[Array, "*object 2"], overlap: float = OVERLAP) -> Float[Array, "*object"]:
  """How far both corners of a box may move, each within a square around it, for an IoU of `overlap` with it at least.

  The least of three: both move alike, r^2 - (h + w) r + h w (1 - o) / (1 + o) = 0; both inwards,
  4 r^2 - 2 (h + w) r + (1 - o) h w = 0; both outwards, 4 o r^2 + 2 o (h + w) r - (1 - o) h w = 0.
  """
  total, area, rest = size.sum(-1), size.prod(-1), 1 - overlap
  alike = (total - jnp.sqrt(total**2 - 4 * area * rest / (1 + overlap))) / 2
  inwards = (total - jnp.sqrt(total**2 - 4 * area * rest)) / 4
  outwards = (jnp.sqrt(total**2 + 4 * area * rest / overlap) - total) / 4
  return jnp.minimum(jnp.minimum(alike, inwards), outwards)


def decoded(
  heat: Float[Array, "rows columns class"],
  size: Float[Array, "rows columns 2"],
  offset: Float[Array, "rows columns 2"],
  candidates: int,
  stride: int,
) -> Detections:
  """The most probable peaks of an image's heat map, cells that no neighbour exceeds, with the boxes told there."""
  rows, columns, classes = heat.shape
  around = lax.reduce_window(heat, -jnp.inf, lax.max, (3, 3, 1), (1, 1, 1), "SAME")
  score = jnp.where(heat == around, jax.nn.sigmoid(heat), 0).ravel()
  score, index = lax.top_k(score, min(candidates, score.size))
  row, column, label = jnp.unravel_index(index, (rows, columns, classes))
  centre = jnp.stack([row, column], -1) + offset[row, column]
  half = jnp.maximum(size[row, column], 0) / 2
  return Detections(jnp.concatenate([centre - half, centre + half], -1) * stride, label, score)


def suppression(detections: Detections, overlap: float) -> Bool[Array, " candidate"]:
  """Which of one image's detections, the most probable first, are kept: greedy non-maximum suppression, by class.

  One is dropped where one of its class that is kept and more probable has more than `overlap` in common with it.  In
  static shapes: row i of the matrix of IoUs is applied in turn i, so that the arrays never change their length.
  """
  same = detections.label[:, None] == detections.label
  covers = (iou(detections.boxes, detections.boxes) > overlap) & same
  later = jnp.arange(len(same))
  drop = lambda i, keep: keep & ~(covers[i] & keep[i] & (later > i))
  return lax.fori_loop(0, len(same), drop, jnp.ones(len(same), bool))


def iou(boxes: Float[Array, "a 4"], others: Float[Array, "b 4"]) -> Float[Array, "a b"]:
  """Intersection over union of each two boxes; 0 of two without area."""
  least, most = jnp.minimum(boxes[:, None], others), jnp.maximum(boxes[:, None], others)
  both = jnp.maximum(least[..., 2:] - most[..., :2], 0).prod(-1)
  area = lambda b: jnp.maximum(b[:, 2:] - b[:, :2], 0).prod(-1)
  return both / jnp.maximum(area(boxes)[:, None] + area(others) - both, 1e-9)
