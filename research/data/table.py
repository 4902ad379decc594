"""Tables of numbers: a user's own file, or those that come with scikit-learn, for densities."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from research.data import cells
from research.data.examples import Examples, choose, part
from research.errors import UserError

EMBEDDED = ("wine", "breast_cancer")


class Table(NamedTuple):
  """Rows of numbers, and what the columns are called."""

  values: Float[np.ndarray, "row column"]
  columns: tuple[str, ...]

  def of(self, columns: Sequence[str], name: str) -> Float[np.ndarray, "row column"]:
    """The values of those columns, by their names; of a table without names, by their places.

    Args:
      columns: names.
      name: of the table, for messages.

    Raises:
      UserError: they are not there.
    """
    if set(columns) <= set(self.columns):
      return self.values[:, [self.columns.index(column) for column in columns]]
    unnamed = self.columns == tuple(str(i + 1) for i in range(len(columns)))
    if not unnamed:
      raise UserError(
        f"{name}: columns", list(self.columns[:12]), f"give the {len(columns)} columns {', '.join(columns)}."
      )
    return self.values


_TIMES = ("date", "time", "datetime", "timestamp")


def read(path: str | pathlib.Path, times: bool = False) -> Table:
  """A table of numeric columns (`cells.read`), with a line of names above them or without.

  Args:
    path: of the file.
    times: the first column is left out where it holds times: it is called so, or its first cell is no number.

  Raises:
    UserError: as `cells.read`; no column that is left; or a cell that is no finite number (by its place).
  """
  given = cells.read(path)
  first = int(times and (not cells.is_number(given.rows[0][1][0]) or given.columns[0].lower() in _TIMES))
  columns = given.columns[first:]
  if not columns:
    raise UserError("config.data.path", str(path), "it has no rows of numbers.")
  values = np.empty((len(given.rows), len(columns)))
  for place, (number, row) in enumerate(given.rows):
    for column, cell in enumerate(row[first:]):
      if not cells.is_number(cell):
        remedy = "it is no finite number: remove the column, or the row."
        raise UserError(given.place(number, columns[column]), cell, remedy)
      values[place, column] = float(cell)
  return Table(values, columns)


def embedded(name: str) -> Table:
  """Wine (178 x 13) or breast cancer (569 x 30), as measured.

  Raises:
    UserError: neither.
  """
  from sklearn import datasets

  loaders = {"wine": datasets.load_wine, "breast_cancer": datasets.load_breast_cancer}
  if name not in loaders:
    raise UserError(
      "config.data.name", name, f"choose one of {', '.join(EMBEDDED)}, or give a table by config.data.path."
    )
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
