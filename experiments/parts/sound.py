"""Recordings, of spoken digits or of one's own, and sound as files."""

import io
import wave
from collections.abc import Sequence
from typing import NamedTuple

import ml_collections
import numpy as np
from jaxtyping import Float, Int

from experiments.parts import fields, splits
from research.data import raw, remembered, spoken_digits, wavs
from research.data.examples import Examples
from research.errors import UserError


class Recordings(NamedTuple):
  """Recordings of one length, followed by zeros, and their samples a second."""

  parts: splits.Splits[Examples]
  rate: int


def recordings(data: ml_collections.ConfigDict, *, labels: bool = True) -> Recordings:
  """The recordings that `config.data` names, of `seconds` each or of `length` samples, whichever field there is.

  Args:
    data: the section.
    labels: whether one's own need a folder a class.

  Raises:
    UserError: no such set, no length, and as its source.
  """
  fields.refuse_unread(data, {"path", "validation"})
  field = "seconds" if "seconds" in data else "length"
  if data[field] <= 0:
    raise UserError(f"config.data.{field}", data[field], "give more than 0.")
  length = lambda rate: round(data.seconds * rate) if field == "seconds" else data.length

  def read() -> Recordings:
    if raw.is_own(data.name, data.path, spoken_digits.FILE):
      (train, rate), (test, _) = (wavs.load(data.path, split, length, labels) for split in ("train", "test"))
    elif data.name == spoken_digits.NAME:
      rate = spoken_digits.RATE
      train, test = (spoken_digits.load(split, data.path or None, length(rate)) for split in ("train", "test"))
    else:
      remedy = f"choose {spoken_digits.NAME}, or give recordings by config.data.path."
      raise UserError("config.data.name", data.name, remedy)
    if train.inputs.shape[1] < 1:
      raise UserError(f"config.data.{field}", data[field], f"it is no sample, of {rate} a second: give more.")
    return Recordings(splits.of(train, test, data.validation), rate)

  return remembered.data("recordings", read)


def files(
  sounds: Float[np.ndarray, "sound time"], labels: Int[np.ndarray, " sound"], class_names: Sequence[str], rate: int
) -> dict[str, bytes]:
  """WAV files by name: the class, and which sound it is."""
  return {f"{class_names[label]}_{i}.wav": wav(one, rate) for i, (label, one) in enumerate(zip(labels, sounds))}


def of_classes(examples: Examples, labels: Int[np.ndarray, " some"]) -> Int[np.ndarray, " some"]:
  """The place of the first example of each class; of a class that has none, of the first of all."""
  return np.array([int((examples.label == label).argmax()) for label in labels])


def wav(sound: Float[np.ndarray, " time"], rate: int) -> bytes:
  """A mono WAV file of 16 bits, of samples from -1 to 1."""
  file = io.BytesIO()
  with wave.open(file, "wb") as out:
    out.setnchannels(1)
    out.setsampwidth(2)
    out.setframerate(rate)
    out.writeframes((32767 * np.clip(sound, -1, 1)).astype("<i2").tobytes())
  return file.getvalue()
