"""What autoregressive models are of: levels in raster order, of images, sound, codes of a VQ-VAE, voices of music."""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Float, Int

from experiments.parts import fields, generative, quantised, sound, splits
from research.data import chorales, pipeline, remembered, spoken_digits
from research.errors import UserError
from research.families import autoregressive as family_lib

CODES = "codes"


class Elements(NamedTuple):
  """Examples of elements that have levels.

  Attributes:
    kind: images, sound, codes or voices.
    parts: the splits.
    shape: of the longest example, in raster order.
    assemble: of batches: bytes from 0 to 1, or levels as they are.
    pictures: `pictures(codes) -> images` [batch, height, width, channel] from 0 to 1, of codes.
    rate: samples a second, of sound.
  """

  kind: str
  parts: splits.Splits
  shape: tuple[int, ...]
  assemble: pipeline.Assemble
  pictures: Callable[[Int[np.ndarray, "batch row column"]], Float[np.ndarray, "batch ..."]] | None = None
  rate: int = 0

  @property
  def num_classes(self) -> int:
    """0 where there are no labels."""
    return getattr(self.parts.train, "num_classes", 0)

  def tokens(self, examples, levels: int) -> Int[np.ndarray, "example ..."]:
    """The levels of examples."""
    inputs = np.asarray(examples.inputs)
    if self.kind in ("images", "sound"):
      inputs = np.float32(inputs) / 255
    return np.asarray(family_lib.as_tokens(jnp.asarray(inputs), levels))


def load(data: ml_collections.ConfigDict, conditional: bool = False) -> Elements:
  """Grey images of bytes; sound, whose samples are levels by the mu-law; codes of a VQ-VAE; or the voices of chorales.

  Raises:
    UserError: no such set, colours, or another number of levels than the set has.
  """
  if not 2 <= data.levels <= 256:
    raise UserError("config.data.levels", data.levels, "give 2 to 256: elements are bytes.")
  if data.codes and data.name != CODES:
    raise UserError("config.data.codes", data.codes, f"{data.name} has none: set config.data.name to {CODES}.")
  match data.name:
    case spoken_digits.NAME:
      return _sound(data, conditional)
    case chorales.NAME:
      return _voices(data)
    case "codes":
      return _codes(data)
  images = generative.load_pixels(data, conditional)
  shape = images.train.inputs.shape[1:]
  if shape[-1] != 1:
    raise UserError("config.data.name", data.name, "name a set of grey images, or config.data.channels = 1.")
  return Elements("images", images, shape[:2], pipeline.normalised())


def _levels(data: ml_collections.ConfigDict, levels: int) -> None:
  if data.levels != levels:
    raise UserError("config.data.levels", data.levels, f"{data.name} has {levels}.")


def _sound(data: ml_collections.ConfigDict, conditional: bool) -> Elements:
  _levels(data, 256)  # as in the paper
  parts, rate = sound.recordings(data, labels=conditional)
  as_bytes = lambda part: dataclasses.replace(part, inputs=family_lib.mu_law(part.inputs).astype(np.uint8))
  parts = parts.map(as_bytes)
  return Elements("sound", parts, parts.train.inputs.shape[1:-1], pipeline.normalised(), rate=rate)


def _voices(data: ml_collections.ConfigDict) -> Elements:
  _levels(data, chorales.KEYS + 1)
  fields.refuse_unread(data, {"path"})
  read = lambda split: chorales.voices(chorales.load(split, data.path or None))
  parts = remembered.data("pieces", lambda: splits.with_own_validation(read, data))
  longest = max(part.inputs.shape[1] for part in parts if part is not None)
  return Elements("voices", parts, (longest, chorales.VOICES), pipeline.rows)


def _codes(data: ml_collections.ConfigDict) -> Elements:
  codec = quantised.codec(data)
  _levels(data, codec.levels)
  parts = codec.parts
  return Elements("codes", parts, parts.train.inputs.shape[1:], pipeline.rows, codec.pictures)
