"""Encoded images to arrays of a fixed shape."""

import io
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from research.errors import UserError

Pixels = UInt8[np.ndarray, "height width channel"]
Box = tuple[float, float, float, float]  # left, top, right, bottom

DECODING = 2  # part of the keys of caches: rises where `decode` makes other pixels of a file than before
_MODES = {1: "L", 3: "RGB"}
_ORIENTATION = 0x0112  # EXIF's tag
_SIXTEEN = ("I;16", "I;16L", "I;16B", "I;16N")
_GREY = ("1", "L", "LA", "La", "I", "F", *_SIXTEEN)


def decode(encoded: bytes | Path, channels: int, size: int | None, where: str, box=None) -> Pixels:
  """The pixels of an image file, in 8 bits by value and upright as its EXIF says; what is transparent, over white.

  Args:
    encoded: the file's bytes, or its path.
    channels: 1 (grey) or 3; converted where the file has others.
    size: height and width to bring `box` to, with antialiasing; None leaves the image as it is.
    where: names the image in errors.
    box: `box(width, height)` -> the part to take; by default the largest centred square.

  Raises:
    UserError: not an image, a damaged one, or one whose values have no known range (floats, 32-bit integers).
  """
  if channels not in _MODES:
    raise UserError("channels", channels, "give 1 (grey) or 3 (colour).")
  try:
    with Image.open(io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded) as image:
      image = _upright(image)
      if size is None:
        image = _converted(image, channels)
      else:
        image = _resized(image, channels, size, (box or centre())(*image.size))
      pixels = np.asarray(image)
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow raises all of these
    raise UserError("image", where, f"replace or remove this file, which cannot be decoded ({error}).") from error
  return pixels[..., None] if pixels.ndim == 2 else pixels


def beside(folder: Path, name: str) -> Path | None:
  """The file of that name below a folder; None where there is none, or can be none."""
  try:
    return folder / name if (folder / name).is_file() else None
  except (OSError, ValueError):  # a name that is too long, or has a zero byte
    return None


def _resized(image: Image.Image, channels: int, size: int, box: Box) -> Image.Image:
  width, height = image.size
  left, top, right, bottom = box
  if (width, height) == (size, size) and box == (0, 0, width, height):
    return _converted(image, channels)
  # JPEG decodes at 1/2, 1/4 or 1/8 of its size for a fraction of the time, where that is still fine enough.
  image.draft(_MODES[channels], (math.ceil(width * size / (right - left)), math.ceil(height * size / (bottom - top))))
  across, down = image.size[0] / width, image.size[1] / height
  box = (left * across, top * down, right * across, bottom * down)
  return _converted(image, channels).resize((size, size), Image.Resampling.BILINEAR, box=box)


def upright_size(image: Image.Image) -> tuple[int, int]:
  """Width and height as `decode` has them."""
  width, height = image.size
  return (height, width) if image.getexif().get(_ORIENTATION, 1) >= 5 else (width, height)


def channels_of(image: Image.Image) -> int:
  """1 of a grey image, else 3, by its mode: the pixels are not read."""
  return 1 if image.mode in _GREY else 3


def fitted(images: UInt8[np.ndarray, "..."], size: int | None, channels: int | None, name: str) -> np.ndarray:
  """Bytes [image, height, width] or [image, height, width, channel], brought to a size and to channels as files are.

  Args:
    images: see above; whatever they are, they stay so where nothing is asked for, or is so already.
    size: height and width to bring the largest centred square to; None leaves them.
    channels: 1 (grey) or 3 (colour); None leaves them.
    name: of the array, in errors.

  Raises:
    UserError: something is asked for, and they are no images of bytes in grey or colour.
  """
  if size is None and channels is None:
    return images
  whole = images[..., None] if images.ndim == 3 else images
  size_now, channels_now = whole.shape[1:3], whole.shape[-1] if whole.ndim == 4 else 0
  if (size is None or size_now == (size, size)) and channels in (None, channels_now):
    return images
  if images.dtype != np.uint8 or whole.ndim != 4 or channels_now not in _MODES:
    remedy = "only images of bytes, [N, height, width] or [N, height, width, 1 or 3], can be changed: set it to 0"
    field, value = ("channels", channels) if size is None else ("image_size", size)
    raise UserError(field, value, f"{name} has {images.dtype} {images.shape}, and {remedy}.")
  if channels is not None and channels not in _MODES:
    raise UserError("channels", channels, "give 1 (grey) or 3 (colour).")

  def one(pixels: np.ndarray) -> np.ndarray:
    image = Image.fromarray(pixels[..., 0] if channels_now == 1 else pixels)
    channel_count = channels or channels_now
    image = (
      _converted(image, channel_count) if size is None else _resized(image, channel_count, size, centre()(*image.size))
    )
    return np.asarray(image).reshape(image.size[1], image.size[0], channel_count)

  return np.stack([one(pixels) for pixels in whole])


def _upright(image: Image.Image) -> Image.Image:
  """Turned as EXIF says; one that stands as it is stays unread."""
  return image if image.getexif().get(_ORIENTATION, 1) == 1 else ImageOps.exif_transpose(image)


def _converted(image: Image.Image, channels: int) -> Image.Image:
  """8 bits a channel, grey or colour.

  Raises:
    ValueError: a mode without a known range of values.
  """
  if image.mode in _SIXTEEN or (image.mode == "I" and image.format in ("PNG", "PPM")):  # these have 16 bits
    # Pillow's own conversion clips at 255.
    values = np.asarray(image).astype(np.int64)
    image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
  elif image.mode in ("I", "F"):
    raise ValueError(f"mode {image.mode}, whose values have no range that is known: save it with 8 or 16 bits")
  if image.has_transparency_data:
    image = image.convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
  return image if image.mode == _MODES[channels] else image.convert(_MODES[channels])


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
