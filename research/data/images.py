"""Encoded images to arrays of a fixed shape."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from research.errors import UserError

Pixels = UInt8[np.ndarray, "height width channel"]
Box = tuple[float, float, float, float]  # left, top, right, bottom

_MODES = {1: "L", 3: "RGB"}


def decode(encoded: bytes | Path, channels: int, size: int | None, where: str, box=None) -> Pixels:
  """The pixels of an image file.

  Args:
    encoded: the file's bytes, or its path.
    channels: 1 (grey) or 3; converted where the file has others.
    size: height and width to bring `box` to, with antialiasing; None leaves the image as it is.
    where: names the image in errors.
    box: `box(width, height)` -> the part to take; by default the largest centred square.

  Raises:
    UserError: not an image, or a damaged one.
  """
  if channels not in _MODES:
    raise UserError("channels", channels, "give 1 (grey) or 3 (colour).")
  try:
    with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
      if size is not None:
        image = _resized(image, channels, size, (box or centre())(*image.size))
      if image.mode != _MODES[channels]:
        image = image.convert(_MODES[channels])
      pixels = np.asarray(image)
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow raises all of these
    raise UserError("image", where, f"replace or remove this file, which cannot be decoded ({error}).") from error
  return pixels[..., None] if pixels.ndim == 2 else pixels


def _resized(image: Image.Image, channels: int, size: int, box: Box) -> Image.Image:
  width, height = image.size
  left, top, right, bottom = box
  if (width, height) == (size, size) and box == (0, 0, width, height):
    return image
  # JPEG decodes at 1/2, 1/4 or 1/8 of its size for a fraction of the time, where that is still fine enough.
  image.draft(_MODES[channels], (math.ceil(width * size / (right - left)), math.ceil(height * size / (bottom - top))))
  across, down = image.size[0] / width, image.size[1] / height
  box = (left * across, top * down, right * across, bottom * down)
  return image.convert(_MODES[channels]).resize((size, size), Image.Resampling.BILINEAR, box=box)


def centre(fraction: float = 1.0) -> Callable[[int, int], Box]:
  """The centred square whose side is `fraction` of the shorter side; 0.875 is ImageNet's 224 of 256."""

  def box(width: int, height: int) -> Box:
    side = fraction * min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    return left, top, left + side, top + side

  return box


def random_area(generator: np.random.Generator, scale: tuple[float, float]) -> Callable[[int, int], Box]:
  """A random part with `scale` of the area and an aspect ratio between 3/4 and 4/3 (Szegedy et al. 2015)."""

  def box(width: int, height: int) -> Box:
    for _ in range(10):
      area = generator.uniform(*scale) * width * height
      ratio = math.exp(generator.uniform(math.log(3 / 4), math.log(4 / 3)))
      across, down = math.sqrt(area * ratio), math.sqrt(area / ratio)
      if across <= width and down <= height:
        left, top = generator.uniform(0, width - across), generator.uniform(0, height - down)
        return left, top, left + across, top + down
    return centre()(width, height)

  return box
