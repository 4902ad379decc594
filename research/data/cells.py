"""Cells of a table as text: `.csv`, `.tsv` and `.parquet`, for whatever reads tables."""

import csv
import importlib
import pathlib
from collections.abc import Mapping, Sequence
from types import MappingProxyType
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
    unit: what the numbers count: lines or rows.
  """

  name: str
  header: tuple[str, ...]
  rows: list[tuple[int, list[str]]]
  unit: str = "line"

  @property
  def columns(self) -> tuple[str, ...]:
    """Their names, or '1', '2', ..."""
    return self.header or tuple(str(i + 1) for i in range(len(self.rows[0][1]) if self.rows else 0))

  def place(self, number: int, column: str) -> str:
    """Of a cell, for messages."""
    return f"{self.name}, {self.unit} {number}, column {column}"

  def named(self, required: Sequence[str], called: Mapping[str, str] = MappingProxyType({})) -> dict[str, list[str]]:
    """The cells of every column, by its name.

    Args:
      required: columns that there must be.
      called: other names of columns, and what they are called here.

    Raises:
      UserError: there are not.
    """
    names = [called.get(name, name) for name in self.columns]
    if absent := [name for name in required if name not in names]:
      remedy = f"it has no column {absent[0]!r}: give a first line that names {', '.join(required)}."
      raise UserError(f"{self.name}: columns", list(self.columns[:12]), remedy)
    return {name: [row[i] for _, row in self.rows] for i, name in enumerate(names)}


def read(path: str | pathlib.Path, header: bool | None = None, quotes: bool = True) -> Cells:
  """The cells of a file.

  Args:
    path: see above; of another suffix, it is read as `.csv`.
    header: whether the first line has names; None: where no cell of it is a number.
    quotes: whether cells of a `.tsv` may stand in quotes; texts have quotes of their own, and tabs need none.

  Raises:
    UserError: the file cannot be read, has no rows, rows of different lengths or a name twice; no `pyarrow`.
  """
  file = pathlib.Path(path).expanduser()
  if file.suffix.lower() == ".parquet":
    return _parquet(file)
  tabs = file.suffix.lower() == ".tsv"
  quoting = csv.QUOTE_NONE if tabs and not quotes else csv.QUOTE_MINIMAL
  try:
    with file.open(newline="", encoding="utf-8-sig") as lines:
      read = csv.reader(lines, delimiter="\t" if tabs else ",", quoting=quoting)
      rows = [(read.line_num, [cell.strip() for cell in row]) for row in read if any(map(str.strip, row))]
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    remedy = f"it cannot be read ({error}): give a table, {', '.join(SUFFIXES)}."
    raise UserError("config.data.path", str(path), remedy) from error
  names: list[str] = []
  if rows and (header or (header is None and not any(map(is_number, rows[0][1])))):
    (_, names), *rows = rows
  return _checked(Cells(str(path), tuple(names), rows))


def _checked(given: Cells) -> Cells:
  if not given.rows:
    raise UserError("config.data.path", given.name, "it has no rows below the line of names: give some.")
  if twice := [name for name in given.header if given.header.count(name) > 1]:
    raise UserError(f"{given.name}: columns", twice[0], "name every column once.")
  width = len(given.columns)
  for number, row in given.rows:
    if len(row) != width:
      remedy = f"the first line has {width} cells: give every line as many."
      raise UserError(f"{given.name}, {given.unit} {number}: cells", len(row), remedy)
  return given


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
  return _checked(Cells(str(file), tuple(table.column_names), rows, "row"))


def _text(value: Any) -> str:
  """As a CSV file would have it."""
  return "" if value is None else str(value).strip()


def is_number(cell: str) -> bool:
  """Whether a cell is a finite number; one with underscores, as Python has it, is a word."""
  try:
    return "_" not in cell and bool(np.isfinite(float(cell)))
  except ValueError:
    return False


def as_float32(cell: str, where: str) -> np.float32:
  """A number; `where` is its place, for messages.

  Raises:
    UserError: it is larger than numbers of 32 bits are.
  """
  with np.errstate(over="ignore"):
    number = np.float32(float(cell))
  if not np.isfinite(number):
    raise UserError(where, cell, "it is too large: numbers are of 32 bits, 3e38 at most.")
  return number


def in_order(cells: Sequence[str]) -> tuple[str, ...]:
  """What cells hold, each once: numbers by size, then words."""
  return tuple(
    sorted(set(cells), key=lambda text: (not is_number(text), float(text) if is_number(text) else 0.0, text))
  )
