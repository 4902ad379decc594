"""Tables of typed columns as examples: numbers as they are, words one-hot, one column to tell where it is asked for."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from research.data import cells
from research.data.cells import Cells
from research.data.examples import UNLABELLED, Examples, checked, choose, held_out, part
from research.errors import UserError

_MOST_WORDS = 100  # of a column: more are names, not kinds
_FEW_WORDS = 10  # of a column that has numbers too, such as 0, 1, 2, 3+: of more, what is no number is a mistake


@dataclasses.dataclass(frozen=True)
class Column:
  """A column that is looked at.

  Attributes:
    name: its name.
    words: what its cells may hold, one-hot; () where they are numbers.
    fill: what stands for a missing cell; "" where none may be.
  """

  name: str
  words: tuple[str, ...] = ()
  fill: str = ""

  @property
  def features(self) -> tuple[str, ...]:
    """What its inputs are called."""
    return tuple(f"{self.name}={word}" for word in self.words) or (self.name,)

  def encode(self, given: Cells, names: Sequence[str]) -> Float[np.ndarray, "row feature"]:
    """The column's cells as inputs; `names` are those of the table's columns.

    Raises:
      UserError: a missing cell, a word that is not known, or what is no number; by its line.
    """
    values = np.zeros((len(given.rows), len(self.features)), np.float32)
    place, at = {word: i for i, word in enumerate(self.words)}, names.index(self.name)
    for row, (line, texts) in enumerate(given.rows):
      where, cell = given.place(line, self.name), texts[at]
      if cell in cells.MISSING and cell not in place:
        if not self.fill:
          remedy = "the cell is missing: remove the row, or train with --config.data.impute=True, which fills it in."
          raise UserError(where, cell, remedy)
        cell = self.fill
      if not self.words and cells.is_number(cell):
        values[row, 0] = cells.as_float32(cell, where)
      elif cell in place:
        values[row, place[cell]] = 1
      else:
        remedy = f"it is none of {', '.join(self.words[:12])}." if self.words else "the column is of numbers."
        raise UserError(where, cell, remedy)
    return values


@dataclasses.dataclass(frozen=True)
class Columns:
  """The columns that are inputs, in order, and the one that tells the class; "" where there is none."""

  inputs: tuple[Column, ...]
  target: str = ""

  @property
  def features(self) -> tuple[str, ...]:
    """What the inputs are called, one a value."""
    return tuple(feature for column in self.inputs for feature in column.features)

  def encode(self, given: Cells) -> Float[np.ndarray, "row feature"]:
    """Rows of a table as inputs: columns by their names, others left aside; without a header, by their places.

    Raises:
      UserError: a column that is not there, and as `Column.encode`.
    """
    names = given.header or tuple(column.name for column in self.inputs)
    if len(names) != len(given.columns):
      remedy = f"without a line of names, give the {len(names)} columns {', '.join(names)}."
      raise UserError(f"{given.name}: columns", len(given.columns), remedy)
    absent = [column.name for column in self.inputs if column.name not in names]
    if absent:
      raise UserError(f"{given.name}: column", absent[0], f"the model looks at it: give it. There are {_few(names)}.")
    return np.concatenate([column.encode(given, names) for column in self.inputs], 1)


def load(path: str, split: str, target: str = "", impute: bool = False) -> Examples:
  """A split of the rows of a table: a stratified fifth, drawn with seed 0, is the test split.

  Args:
    path: of a `.csv`, `.tsv` or `.parquet` (`cells.read`).
    split: 'train', 'test' or 'all', or part of one; the training split is shuffled with seed 0.
    target: the column whose values are the classes, in the order of numbers or names; "": there is none.
    impute: a missing cell counts as the training rows' mean, or most frequent word, of its column.

  Raises:
    UserError: as `cells.read`; no such column; numbers with fractions as classes; a column of too many words; a missing
      cell, by its line.
  """
  given = cells.read(path)
  if target and target not in given.columns:
    raise UserError("config.data.target", target, f"{path} has no such column: choose one of {_few(given.columns)}.")
  label, names = _classes(given, target) if target else (np.zeros(len(given.rows), np.int32), UNLABELLED)
  if len(label) < 5:
    raise UserError(f"{path}: rows", len(label), "give five at least, of which one is to test.")
  index = held_out(label)
  columns = Columns(
    tuple(_typed(given, name, index["train"] if impute else None) for name in given.columns if name != target),
    target,
  )
  if not columns.inputs:
    raise UserError("config.data.path", path, "it has no column to look at beside the target: give one.")
  # Of the whole table, so that what is wrong in any split is told at once.
  whole = checked(f"{path} {split}", columns.encode(given), label, names)
  chosen = choose(index, split)
  return dataclasses.replace(whole.select(chosen[part(split, len(chosen))]), columns=columns)


def _classes(given: Cells, target: str) -> tuple[np.ndarray, tuple[str, ...]]:
  place = given.columns.index(target)
  for line, row in given.rows:
    if row[place] in cells.MISSING:
      remedy = "the class is missing, which nothing can stand for: remove the row."
      raise UserError(given.place(line, target), row[place], remedy)
  names = cells.in_order([row[place] for _, row in given.rows])
  fractions = [name for name in names if cells.is_number(name) and not float(name).is_integer()]
  if fractions:
    remedy = f"a class is a word or a whole number, and the column has {fractions[0]}: choose another column."
    raise UserError("config.data.target", target, remedy)
  number = {name: i for i, name in enumerate(names)}
  return np.array([number[row[place]] for _, row in given.rows], np.int32), names


def _typed(given: Cells, name: str, training: np.ndarray | None) -> Column:
  """Of numbers where all that is not missing is one, else of words.

  Args:
    given: the table.
    name: of the column.
    training: the rows by which missing cells are filled in; None where they are not.
  """
  place = given.columns.index(name)
  texts = [row[place] for _, row in given.rows]
  known = [text for text in texts if text not in cells.MISSING]
  seen = [] if training is None else [texts[i] for i in training if texts[i] not in cells.MISSING]
  if not known or (training is not None and not seen):
    raise UserError(f"{given.name}: column", name, "all its cells are missing: remove it.")
  if all(map(cells.is_number, known)):
    return Column(name, fill=repr(float(np.mean([float(text) for text in seen]))) if seen else "")
  words, numbers = cells.in_order(known), sum(map(cells.is_number, known))
  if len(words) > _FEW_WORDS and numbers > len(known) / 2:
    others = {word for word in words if not cells.is_number(word)}
    line, cell = next((line, row[place]) for line, row in given.rows if row[place] in others)
    remedy = f"{numbers} of the column's {len(known)} cells are numbers, and this is none: mend it, or leave it empty."
    raise UserError(given.place(line, name), cell, remedy)
  if len(words) > _MOST_WORDS:
    remedy = f"it has {len(words)} words, and {_MOST_WORDS} at most are told apart: remove it, or make it numbers."
    raise UserError(f"{given.name}: column", name, remedy)
  counts = collections.Counter(seen)
  return Column(name, words, max(words, key=lambda word: counts[word]) if seen else "")


def _few(names: Sequence[str]) -> str:
  return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
