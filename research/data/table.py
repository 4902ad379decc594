"""Tables of numbers: a user's own CSV file, or those that come with scikit-learn, for densities."""

import csv
import pathlib
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from research.data.examples import Examples, choose, part
from research.errors import UserError

EMBEDDED = ("wine", "breast_cancer")


class Table(NamedTuple):
  """Rows of numbers, and what the columns are called."""

  values: Float[np.ndarray, "row column"]
  columns: tuple[str, ...]


_TIMES = ("date", "time", "datetime", "timestamp")


def read_csv(path: str | pathlib.Path, times: bool = False) -> Table:
  """A CSV file of numeric columns, with a line of names above them or without.

  Args:
    path: of the file.
    times: the first column is left out where it holds times: it is called so, or its first cell is no number.

  Raises:
    UserError: no such file, no rows, rows of different lengths, or a cell that is no finite number (by its place).
  """
  file = pathlib.Path(path).expanduser()
  try:
    with file.open(newline="", encoding="utf-8-sig") as lines:
      rows = [(number, row) for number, row in enumerate(csv.reader(lines), 1) if any(cell.strip() for cell in row)]
  except (OSError, UnicodeDecodeError, csv.Error) as error:
    raise UserError("config.data.path", str(path), f"it cannot be read ({error}): give a CSV file.") from error
  named = bool(rows) and not any(_is_number(cell) for cell in rows[0][1])
  names = tuple(cell.strip() for cell in rows[0][1]) if named else ()
  body = rows[1:] if named else rows
  if times and body and (not _is_number(body[0][1][0]) or (named and names[0].lower() in _TIMES)):
    names, rows, body = names[1:], [(n, row[1:]) for n, row in rows], [(n, row[1:]) for n, row in body]
  if not body or not rows[0][1]:
    raise UserError("config.data.path", str(path), "it has no rows of numbers.")
  width = len(rows[0][1])
  values = np.empty((len(body), width))
  for place, (number, row) in enumerate(body):
    if len(row) != width:
      raise UserError(f"{path}, line {number}", len(row), f"the first line has {width} cells: give every line as many.")
    for column, cell in enumerate(row):
      if not _is_number(cell):
        name = names[column] if names else column + 1
        remedy = "it is no finite number: remove the column, or the row."
        raise UserError(f"{path}, line {number}, column {name}", cell, remedy)
      values[place, column] = float(cell)
  return Table(values, names or tuple(str(i + 1) for i in range(width)))


def _is_number(cell: str) -> bool:
  try:
    return bool(np.isfinite(float(cell)))
  except ValueError:
    return False


def embedded(name: str) -> Table:
  """Wine (178 x 13) or breast cancer (569 x 30), as measured.

  Raises:
    UserError: neither.
  """
  from sklearn import datasets

  loaders = {"wine": datasets.load_wine, "breast_cancer": datasets.load_breast_cancer}
  if name not in loaders:
    raise UserError("config.data.name", name, f"choose one of {', '.join(EMBEDDED)}, or table with config.data.path.")
  bunch = loaders[name]()
  return Table(np.asarray(bunch.data, np.float64), tuple(str(column) for column in bunch.feature_names))


def load(table: Table, name: str, split: str) -> Examples:
  """A split of a table's rows, float32: a fifth of them, drawn with seed 0, are the test set.

  Raises:
    UserError: no such split, or fewer than five rows.
  """
  count = len(table.values)
  if count < 5:
    raise UserError("rows", count, "give five at least, of which one is to test.")
  order = np.random.default_rng(0).permutation(count)
  held = count // 5
  index = choose({"train": order[held:], "test": order[:held], "all": order}, split)
  index = index[part(split, len(index))]
  return Examples(f"{name} {split}", table.values[index].astype(np.float32), np.zeros(len(index), np.int32), ("row",))
