"""Pieces of music as piano rolls: Bach's four-part chorales, a benchmark of sequence models, or a user's own.

Boulanger-Lewandowski et al. 2012 (the benchmark).
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from research.data import raw
from research.data.examples import choose, part
from research.data.sequences import Sequences, padded
from research.errors import UserError
from research.evaluation import music

NAME = "jsb_chorales"
KEYS, LOWEST = 88, 21  # of a piano: MIDI pitches 21 (A0) to 108 (C8)
RESOLUTIONS = {"quarter": 1, "16th": 4}  # time steps of a quarter note
KINDS = (
  "a folder of .mid files, in train/, valid/ and test/ or all in one; a .json of lists of pieces by split, as the "
  "chorales' is"
)
VOICES = 4


def load(split: str = "train", path: str | None = None, resolution: str = "quarter") -> Sequences:
  """A split of the set: 229 chorales to train, 76 valid, 77 test; or of the user's own.

  These are a `.json` as the chorales' is, or a folder of `.mid` files: in `train/`, `valid/` and `test/`, or all in
  one, of which a fifth, drawn with seed 0, is the test set, and a tenth valid.

  Args:
    split: 'train', 'valid' or 'test', or part of one ('train[:20]').
    path: of one's own; or the file `jsb-chorales-<resolution>.json` or its folder, by default
      `$GENERA_DATA_DIR/jsb_chorales`.
    resolution: length of a time step: a 'quarter' note, as in the literature, or a '16th'.

  Returns:
    uint8 [piece, time, 88]: 1 where the key of pitch 21 + index sounds.  Held and repeated notes are not told apart.

  Raises:
    UserError: no such file, split or resolution; a file of another form, or a pitch that no piano has.
  """
  if resolution not in RESOLUTIONS:
    raise UserError("config.data.resolution", resolution, f"choose one of {', '.join(RESOLUTIONS)}.")
  file, name = f"jsb-chorales-{resolution}.json", NAME
  if raw.is_own(NAME, path, file):
    name, place = str(path), raw.own(path, KINDS, (".json",), "*.mid", (file,))
  else:
    place = raw.locate(NAME, file, path)
  if place.is_dir():
    files = choose(_divided(place), split)
    rolls = [music.piano_roll(raw.contents(file), RESOLUTIONS[resolution], str(file)) for file in files]
  else:
    pieces = choose(_read(place), split)
    rolls = [piano_roll(piece, f"{place}: piece {number} of {split}") for number, piece in enumerate(pieces)]
  return padded(f"{name} {split}", rolls[part(split, len(rolls))])


def _divided(folder: Path) -> dict[str, list[Path]]:
  """The `.mid` files of each split."""
  splits = {split: sorted((folder / split).glob("*.mid")) for split in ("train", "valid", "test")}
  if splits["train"]:
    for split, files in splits.items():
      if not files:
        remedy = f"it has train/*.mid and no {split}/*.mid: give some, or put all files into one folder."
        raise UserError("config.data.path", str(folder), remedy)
    return splits
  files = sorted(folder.rglob("*.mid"))
  if len(files) < 3:
    raise UserError(f"{folder}: .mid files", len(files), "give three at least: to train, to choose by and to test.")
  order = np.random.Generator(np.random.Philox(key=0)).permutation(len(files))
  test, valid = max(1, len(files) // 5), max(1, len(files) // 10)
  index = {"test": order[:test], "valid": order[test : test + valid], "train": order[test + valid :]}
  return {split: [files[i] for i in places] for split, places in index.items()}


def piano_roll(piece: Any, name: str) -> np.ndarray:
  """uint8 [time, 88] of a list of time steps, each a list of MIDI pitches.

  Raises:
    UserError: it is none, or a pitch is outside 21 to 108.
  """
  if not isinstance(piece, list) or not all(isinstance(step, list) for step in piece):
    raise UserError(name, type(piece).__name__, "give a list of time steps, each a list of MIDI pitches.")
  roll = np.zeros((len(piece), KEYS), np.uint8)
  for time, step in enumerate(piece):
    for pitch in step:
      # The file of sixteenths has some pitches as 60.0.
      if not isinstance(pitch, int | float) or pitch % 1 or not 0 <= pitch - LOWEST < KEYS:
        remedy = f"give a whole number from {LOWEST} to {LOWEST + KEYS - 1}."
        raise UserError(f"{name}, step {time}: pitch", pitch, remedy)
      roll[time, int(pitch) - LOWEST] = 1
  return roll


def _read(file: Path) -> dict[str, list]:
  remedy = "give JSON of lists of pieces by split: {'train': [[[60, 64, 67], ...], ...], 'valid': ..., 'test': ...}"
  try:
    splits = json.loads(file.read_text())
  except (OSError, ValueError) as error:
    raise UserError("config.data.path", str(file), f"it cannot be read as JSON ({error}).") from error
  if not isinstance(splits, dict) or not all(isinstance(pieces, list) for pieces in splits.values()):
    raise UserError("config.data.path", str(file), f"{remedy}.")
  return splits


def voices(rolls: Sequences) -> Sequences:
  """The notes of every time step as four numbers, the highest first: index of the key + 1, then 0 where fewer sound.

  Args:
    rolls: of `load`.

  Returns:
    int32 [piece, time, 4]; `rolls_of` is the way back.

  Raises:
    UserError: a time step has more than four notes.
  """
  most = int(rolls.inputs.sum(-1).max())
  if most > VOICES:
    raise UserError(f"{rolls.name}: notes at once", most, f"of a chorale there are {VOICES} at most.")
  numbers = np.where(rolls.inputs > 0, np.arange(1, KEYS + 1), 0)
  highest = np.sort(numbers, axis=-1)[..., : -VOICES - 1 : -1]
  return dataclasses.replace(rolls, inputs=np.ascontiguousarray(highest, np.int32))


def rolls_of(tokens: Int[np.ndarray, "piece time 4"]) -> Int[np.ndarray, "piece time 88"]:
  """Piano rolls of voices; what sounds twice sounds once."""
  rolls = np.zeros((*tokens.shape[:2], KEYS + 1), np.uint8)
  np.put_along_axis(rolls, tokens, 1, -1)
  return rolls[..., 1:]
