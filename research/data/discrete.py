"""Tables of discrete columns: a user's own file, with cells that are missing."""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from research.data import cells, raw
from research.data.bayesian_network import Variable, index_of
from research.data.cells import MISSING
from research.errors import UserError


@dataclasses.dataclass(frozen=True)
class DiscreteTable:
  """Rows of states.

  Attributes:
    name: for messages, such as 'asia train'.
    values: int32 [row, column], places in the column's states; -1 where the cell is missing.
    variables: the columns' names and states.
  """

  name: str
  values: Int[np.ndarray, "row column"]
  variables: tuple[Variable, ...]

  def __len__(self) -> int:
    return len(self.values)

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """The fields as `pipeline.passes` and `pipeline.sequential` take them."""
    return {"states": self.values}

  @property
  def complete(self) -> bool:
    """Whether no cell is missing."""
    return bool((self.values >= 0).all())

  def select(self, index: Int[np.ndarray, " some"] | slice) -> "DiscreteTable":
    """The rows at `index`."""
    return dataclasses.replace(self, values=self.values[index])

  def without(self, columns: Sequence[str], share: float, seed: int) -> "DiscreteTable":
    """The table with whole columns hidden, and a share of the other cells, at random.

    Raises:
      UserError: no such column, or no share of 0 to below 1.
    """
    if not 0 <= share < 1:
      raise UserError("config.data.missing", share, "give the share of cells to hide, 0 to below 1.")
    hidden = np.random.Generator(np.random.Philox(key=seed)).random(self.values.shape) < share
    hidden[:, [index_of(self.variables, column, self.name) for column in columns]] = True
    return dataclasses.replace(self, values=np.where(hidden, -1, self.values).astype(np.int32))

  def split(self) -> dict[str, "DiscreteTable"]:
    """'train' and 'test': a fifth of the rows, drawn with seed 0, are held out.

    Raises:
      UserError: fewer than five rows.
    """
    if len(self) < 5:
      raise UserError(f"{self.name}: rows", len(self), "give five at least, of which one is to test.")
    order, held = np.random.default_rng(0).permutation(len(self)), len(self) // 5
    parts = {"train": order[held:], "test": order[:held]}
    return {name: dataclasses.replace(self.select(index), name=f"{self.name} {name}") for name, index in parts.items()}


def at(path: str) -> str:
  """What a path is: `bif`, a network from which rows can be drawn, or `table`.

  Raises:
    UserError: there is neither.
  """
  kinds = "a .bif file, of whose network rows are drawn; a table of discrete columns (.csv, .tsv, .parquet)"
  return "bif" if raw.own(path, kinds, (".bif", *cells.SUFFIXES)).suffix.lower() == ".bif" else "table"


def read(path: str | pathlib.Path, variables: Sequence[Variable] = ()) -> DiscreteTable:
  """A table with a line of names and then states as text (`cells.read`); empty cells, `?`, `NA` and `nan` are missing.

  Args:
    path: of the file.
    variables: the columns that the table is to have, and their states: those that the file lacks are missing in every
      row.  None: the file's, and the states that it holds, numbers in their order and then words in theirs.

  Raises:
    UserError: as `cells.read`; a column that `variables` lacks or a state that its variable lacks (by its line), or a
      column without a state.
  """
  given = cells.read(path, header=True)
  header, rows = given.header, given.rows
  if variables:
    places = [index_of(variables, name, str(path)) for name in header]
  else:
    columns = ([row[i] for _, row in rows if row[i] not in MISSING] for i in range(len(header)))
    variables = [Variable(name, cells.in_order(column)) for name, column in zip(header, columns)]
    places = list(range(len(header)))
    for variable in variables:
      if not variable.states:
        raise UserError(f"{path}, column {variable.name}", "", "all its cells are missing: remove it.")
  values = np.full((len(rows), len(variables)), -1, np.int32)
  lookup = [{state: i for i, state in enumerate(variables[place].states)} for place in places]
  for i, (line, row) in enumerate(rows):
    for place, states, cell in zip(places, lookup, row):
      if cell in MISSING and cell not in states:
        continue
      if cell not in states:
        remedy = f"there is no such state: it has {', '.join(variables[place].states[:12])}."
        raise UserError(given.place(line, variables[place].name), cell, remedy)
      values[i, place] = states[cell]
  return DiscreteTable(pathlib.Path(path).stem, values, tuple(variables))
