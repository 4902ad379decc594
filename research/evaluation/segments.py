"""Images of any size by a network for tiles of one, and classes of pixels to look at."""

import colorsys
import io
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image


def stitched(
  function: Callable[[np.ndarray], np.ndarray], image: Float[np.ndarray, "height width channel"], tile: int, batch: int
) -> Float[np.ndarray, "height width class"]:
  """`function` of an image of any size: of tiles that overlap by half, each weighted towards its centre.

  Args:
    function: `function(tiles [batch, tile, tile, channel]) -> [batch, tile, tile, class]`.
    image: padded by its edge to whole tiles.
    tile: side.
    batch: tiles that are given at a time, the last ones repeated.
  """
  height, width = image.shape[:2]
  step = max(1, tile // 2)
  rows, columns = (range(0, max(length - tile, 0) + step, step) for length in (height, width))
  padding = [(0, max(0, starts[-1] + tile - length)) for starts, length in ((rows, height), (columns, width))]
  padded = np.pad(image, (*padding, (0, 0)), mode="edge")
  places = [(top, left) for top in rows for left in columns]
  # A pyramid: its weights add up evenly where tiles overlap by half, and are nowhere 0.
  line = np.minimum(np.arange(1, tile + 1), np.arange(tile, 0, -1)).astype(np.float64)
  weight = np.outer(line, line)[..., None]
  total, weights = np.zeros((*padded.shape[:2], 1)), np.zeros((*padded.shape[:2], 1))
  for start in range(0, len(places), batch):
    chosen = places[start : start + batch]
    tiles = np.stack([padded[top : top + tile, left : left + tile] for top, left in chosen])
    values = function(np.concatenate([tiles, tiles[-1:].repeat(batch - len(tiles), 0)]))[: len(tiles)]
    total = np.broadcast_to(total, (*padded.shape[:2], values.shape[-1])).copy() if not start else total
    for (top, left), value in zip(chosen, values):
      total[top : top + tile, left : left + tile] += weight * value
      weights[top : top + tile, left : left + tile] += weight
  return (total / weights)[:height, :width].astype(np.float32)


def overlay(
  image: Float[np.ndarray, "height width 3"], classes: Int[np.ndarray, "height width"], num_classes: int
) -> Float[np.ndarray, "height width 3"]:
  """The image in grey, and each class but 0 in a colour of its own; what is not known, as it was."""
  grey = image.mean(-1, keepdims=True).repeat(3, -1)
  on = ((classes > 0) & (classes < num_classes))[..., None]
  paint = palette(num_classes)[np.where(classes < num_classes, classes, 0)]
  return np.where(on, 0.35 * grey + 0.65 * paint, 0.8 * grey).astype(np.float32)


def palette(num_classes: int) -> Float[np.ndarray, "class 3"]:
  """Black for class 0, and hues as far apart as can be for the others."""
  hues = [colorsys.hsv_to_rgb(k / max(1, num_classes - 1), 0.9, 1.0) for k in range(num_classes - 1)]
  return np.asarray([(0.0, 0.0, 0.0), *hues], np.float32)


def png(pixels: UInt8[np.ndarray, "..."]) -> bytes:
  """A PNG of bytes [height, width] or [height, width, 3]."""
  buffer = io.BytesIO()
  Image.fromarray(pixels).save(buffer, "PNG")
  return buffer.getvalue()
