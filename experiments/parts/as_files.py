"""What a caller in Python has at hand, as the file that `--input` of a family reads: lines, a table, sounds."""

import csv
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from experiments.parts import sound
from research.errors import UserError


def lines(texts: Sequence[str], folder: pathlib.Path) -> pathlib.Path:
  """A `.txt` file, a text a line."""
  if not all(isinstance(text, str) for text in texts) or any("\n" in text for text in texts):
    raise UserError("predict", type(texts).__name__, "give a list of texts, none of which has a line's end.")
  file = folder / "inputs.txt"
  file.write_text("\n".join(texts) + "\n", encoding="utf-8")
  return file


def table(columns: Sequence[str]) -> Callable[[Any, pathlib.Path], pathlib.Path]:
  """`write(rows, folder)`: numbers [row, column] as a `.csv` file."""

  def write(rows: Any, folder: pathlib.Path) -> pathlib.Path:
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.shape[1] != len(columns):
      raise UserError("predict", list(rows.shape), f"give numbers [row, {len(columns)}]: {', '.join(columns)}.")
    file = folder / "inputs.csv"
    with file.open("w", newline="") as opened:
      csv.writer(opened).writerows([columns, *rows.tolist()])
    return file

  return write


def sounds(rate: int) -> Callable[[Any, pathlib.Path], pathlib.Path]:
  """`write(sounds, folder)`: arrays [sample] from -1 to 1, of `rate` samples a second, as `.wav` files."""

  def write(arrays: Any, folder: pathlib.Path) -> pathlib.Path:
    for number, samples in enumerate(arrays):
      if np.ndim(samples) != 1:
        raise UserError("predict", list(np.shape(samples)), f"give a list of arrays [sample], {rate} a second.")
      (folder / f"{number:06d}.wav").write_bytes(sound.wav(np.asarray(samples, np.float32), rate))
    return folder

  return write
