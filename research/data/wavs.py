"""A user's own recordings: `.wav` files, in a folder for each class, or without classes."""

import pathlib
import wave
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from research.data import raw
from research.data.examples import UNLABELLED, Examples, choose, held_out
from research.errors import UserError

KINDS = "a folder of folders, a class each, of .wav files"


def load(path: str, split: str, length: Callable[[int], int], labels: bool = True) -> tuple[Examples, int]:
  """A split, 'train' or 'test', of a folder of folders of recordings, and their rate, samples a second.

  A stratified fifth, drawn with seed 0, is 'test'; the others come in an order drawn with seed 0.

  Args:
    path: of the folder; the names of the folders in it are those of the classes.
    split: see above.
    length: `length(rate)`, samples of a recording: what is longer is cut, what is shorter is followed by silence.
    labels: whether there must be classes; without, recordings may lie in the folder itself.

  Raises:
    UserError: no such folder, fewer than two classes or recordings, a file that cannot be read, or one of another rate.
  """
  root = raw.own(path, KINDS if labels else f"{KINDS}, or all in one", folder="*.wav")
  folders = sorted(folder for folder in root.iterdir() if folder.is_dir())
  by_class = {folder.name: sounds for folder in folders if (sounds := sorted(folder.glob("*.wav")))}
  if not labels and (sounds := sorted(root.glob("*.wav"))):
    by_class = {UNLABELLED[0]: sounds}
  elif len(by_class) < 2:
    raise UserError("config.data.path", path, f"give {KINDS}; two at least.")
  files = [file for sounds in by_class.values() for file in sounds]
  if len(files) < 2:
    raise UserError("config.data.path", path, "give two recordings at least, of which one is to test.")
  label = np.repeat(np.arange(len(by_class), dtype=np.int32), [len(sounds) for sounds in by_class.values()])
  sounds, rate = read(files)
  whole = Examples(f"{path} {split}", framed(sounds, length(rate)), label, tuple(by_class))
  chosen = whole.select(choose(held_out(label), split))
  order = np.random.default_rng(0).permutation(len(chosen)) if split == "train" else np.arange(len(chosen))
  return chosen.select(order), rate


def read(files: Sequence[pathlib.Path]) -> tuple[list[Float[np.ndarray, " time"]], int]:
  """Sounds, float32, channels averaged and each scaled to a peak of 1, and the rate that all have.

  Raises:
    UserError: a file that is no WAV of 8, 16, 24 or 32 bits, or has another rate than the first.
  """
  sounds, rates = zip(*map(_read, files))
  for file, rate in zip(files, rates):
    if rate != rates[0]:
      raise UserError(f"{file}: samples a second", rate, f"others have {rates[0]}: resample it.")
  return list(sounds), rates[0]


def _read(file: pathlib.Path) -> tuple[Float[np.ndarray, " time"], int]:
  try:
    with wave.open(str(file), "rb") as source:
      width, channels, rate = source.getsampwidth(), source.getnchannels(), source.getframerate()
      octets = np.frombuffer(source.readframes(source.getnframes()), np.uint8)
  except Exception as error:  # `wave` raises many kinds for damaged files
    raise UserError("recording", str(file), f"it cannot be read as a WAV file of whole numbers ({error}).") from error
  if width > 4:
    raise UserError("recording", str(file), f"its samples have {8 * width} bits: give 8, 16, 24 or 32.")
  if width == 1:
    samples = octets.astype(np.float32) - 128  # 8 bits have no sign
  else:
    wide = np.zeros((len(octets) // width, 4), np.uint8)
    wide[:, 4 - width :] = octets[: len(wide) * width].reshape(-1, width)
    samples = wide.view("<i4")[:, 0].astype(np.float32)
  samples = samples[: len(samples) // channels * channels].reshape(-1, channels).mean(1)
  peak = np.abs(samples).max(initial=0)
  if not peak:
    raise UserError("recording", str(file), "it is silent: remove it.")
  return samples / peak, rate


def framed(sounds: Sequence[Float[np.ndarray, " time"]], length: int) -> Float[np.ndarray, "sound time 1"]:
  """Cut to `length` samples, or followed by zeros."""
  frames = np.zeros((len(sounds), length, 1), np.float32)
  for frame, sound in zip(frames, sounds):
    frame[: min(length, len(sound)), 0] = sound[:length]
  return frames
