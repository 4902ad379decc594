"""Cells of a table as text: `.csv`, `.tsv` and `.parquet`, for whatever reads tables."""

import csv
import importlib
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from research.errors import UserError

SUFFIXES = (".csv", ".tsv", ".parquet")
MISSING = ("", "?", "NA", "nan", "NaN")  # what a cell that is not known may hold


class Cells(NamedTuple):
  """What a table holds, as it is written, without the spaces around.

  Attributes:
    name: of the file, for messages.
    header: the columns' names; empty where the first line has a number in it.
    rows: number of the line (of Parquet, of the row, from 1), and as many cells as the first line has.
  """

  name: str
  header: tuple[str, ...]
  rows: list[tuple[int, list[str]]]

  @property
  def columns(self) -> tuple[str, ...]:
    """Their names, or '1', '2', ..."""
    return self.header or tuple(str(i + 1) for i in range(len(self.rows[0][1]) if self.rows else 0))


def read(path: str | pathlib.Path, header: bool | None = None) -> Cells:
  """The cells of a file.

  Args:
    path: see above; of another suffix, it is read as `.csv`.
    header: whether the first line has names; None: where no cell of it is a number.

  Raises:
    UserError: the file cannot be read, has no rows, rows of different lengths or a name twice; no `pyarrow`.
  """
  file = pathlib.Path(path).expanduser()
  if file.suffix.lower() == ".parquet":
    return _parquet(file)
  try:
    with file.open(newline="", encoding="utf-8-sig") as lines:
      read = csv.reader(lines, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
      rows = [
        (number, [cell.strip() for cell in row]) for number, row in enumerate(read, 1) if any(map(str.strip, row))
      ]
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    remedy = f"it cannot be read ({error}): give a table, {', '.join(SUFFIXES)}."
    raise UserError("config.data.path", str(path), remedy) from error
  names: list[str] = []
  if rows and (header or (header is None and not any(map(is_number, rows[0][1])))):
    (_, names), *rows = rows
  _check(str(path), names, rows)
  return Cells(str(path), tuple(names), rows)


def _check(path: str, names: Sequence[str], rows: Sequence[tuple[int, list[str]]]) -> None:
  if not rows:
    raise UserError("config.data.path", path, "it has no rows below the line of names: give some.")
  if twice := [name for name in names if names.count(name) > 1]:
    raise UserError(f"{path}, line 1", twice[0], "name every column once.")
  width = len(names or rows[0][1])
  for number, row in rows:
    if len(row) != width:
      raise UserError(f"{path}, line {number}", len(row), f"the first line has {width} cells: give every line as many.")


def _parquet(file: pathlib.Path) -> Cells:
  try:
    parquet = importlib.import_module("pyarrow.parquet")
  except ImportError as error:
    remedy = "Parquet is read by the extra `tables`: pip install pyarrow; or give a .csv."
    raise UserError("config.data.path", str(file), remedy) from error
  try:
    table = parquet.read_table(file)
  except Exception as error:  # Arrow has many kinds of its own
    raise UserError("config.data.path", str(file), f"it cannot be read as Parquet ({error}).") from error
  columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
  rows = [(number, list(row)) for number, row in enumerate(zip(*columns), 1)]
  _check(str(file), table.column_names, rows)
  return Cells(str(file), tuple(table.column_names), rows)


def _text(value: Any) -> str:
  """As a CSV file would have it."""
  return "" if value is None else str(value).strip()


def is_number(cell: str) -> bool:
  """Whether a cell is a finite number."""
  try:
    return bool(np.isfinite(float(cell)))
  except ValueError:
    return False


def in_order(cells: Sequence[str]) -> tuple[str, ...]:
  """What cells hold, each once: numbers by size, then words."""
  return tuple(
    sorted(set(cells), key=lambda text: (not is_number(text), float(text) if is_number(text) else 0.0, text))
  )
