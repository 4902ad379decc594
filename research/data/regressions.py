"""Tables with one column to explain: a user's own CSV file, or small ones that come with scikit-learn.

| name | rows | what is explained |
|---|---|---|
| breast_cancer | 569 x 30 | whether a tumour is benign, by features of its cells |
| diabetes | 442 x 10 | disease progression after a year, standardised |
| linnerud | 20 x 3 | chin-ups of twenty men, by weight, waist and pulse: counts |
| petals | 150 x 1 | length of iris petals, standardised, for a mixture |
| waves | 100 x 1 | sin 2x + x / 2 with noise of 0.3, on two intervals with a gap, made here by seed 0 |
"""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from research.data import cells, raw, table
from research.errors import UserError

EMBEDDED = ("breast_cancer", "diabetes", "linnerud", "petals", "waves")


class Part(NamedTuple):
  """Rows: what explains, standardised by the training rows, and what is explained."""

  inputs: Float[np.ndarray, "row feature"]
  outcome: Float[np.ndarray, " row"]

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    return {"inputs": self.inputs, "outcome": self.outcome}


class Regression(NamedTuple):
  """Training rows, test rows (a fifth, drawn with seed 0), what the inputs are called, and how they were scaled."""

  train: Part
  test: Part
  columns: tuple[str, ...]
  mean: Float[np.ndarray, " feature"]
  std: Float[np.ndarray, " feature"]

  def scaled(self, inputs: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row feature"]:
    """Other rows' inputs, as those of the training rows are."""
    return (inputs - self.mean) / self.std


def load(name: str, path: str = "", target: str = "", whole: bool = False) -> Regression:
  """A table in two parts.

  Args:
    name: embedded; unused with a path.
    path: of a table of numbers (`table.read`).
    target: its column that is explained by the others; by default the last.
    whole: train on all rows, those of the test set among them.

  Raises:
    UserError: no such table or column, a target of an embedded one, fewer than two columns or five rows, or a column
      that is constant.
  """
  if target and not path:
    raise UserError("config.data.target", target, f"{name} has one of its own: leave it out.")
  inputs, outcome, columns = _own(path, target) if path or name == "table" else _embedded(name)
  if len(outcome) < 5:
    raise UserError(f"{path}: rows", len(outcome), "give five at least, of which one is to test.")
  order = np.random.default_rng(0).permutation(len(outcome))
  held = len(outcome) // 5
  train = np.sort(order if whole else order[held:])
  mean, std = inputs[train].mean(0), inputs[train].std(0)
  if (std == 0).any():
    column = columns[int(np.flatnonzero(std == 0)[0])]
    raise UserError(f"{path or name}: column", column, "it is constant in the training rows: remove it.")
  if name == "waves" and not path:  # made with a scale of its own
    mean, std = np.zeros(1), np.ones(1)
  part = lambda index: Part((inputs[index] - mean) / std, outcome[index])
  return Regression(part(train), part(np.sort(order[:held])), columns, mean, std)


def _own(path: str, target: str):
  kinds = "a table of numbers (.csv, .tsv, .parquet), of which config.data.target, or the last column, is explained"
  rows = table.read(raw.own(path, kinds, cells.SUFFIXES))
  if len(rows.columns) < 2:
    raise UserError("config.data.path", path, "give two columns at least: one is explained by the others.")
  if target and target not in rows.columns:
    remedy = f"{path} has no such column: choose one of {', '.join(rows.columns[:12])}."
    raise UserError("config.data.target", target, remedy)
  place = rows.columns.index(target) if target else len(rows.columns) - 1
  others = [i for i in range(len(rows.columns)) if i != place]
  return rows.values[:, others], rows.values[:, place], tuple(rows.columns[i] for i in others)


def _embedded(name: str):
  from sklearn import datasets

  bunch: Any
  standardised = lambda x: (x - x.mean()) / x.std()
  match name:
    case "breast_cancer":
      bunch = datasets.load_breast_cancer()
      return bunch.data, bunch.target.astype(float), tuple(map(str, bunch.feature_names))
    case "diabetes":
      bunch = datasets.load_diabetes()
      return bunch.data, standardised(bunch.target), tuple(map(str, bunch.feature_names))
    case "linnerud":
      bunch = datasets.load_linnerud()
      return bunch.target, bunch.data[:, 0], tuple(map(str, bunch.target_names))
    case "petals":
      bunch = datasets.load_iris()
      return bunch.data[:, :1], standardised(bunch.data[:, 2]), ("sepal length",)
    case "waves":
      return _waves()
  remedy = f"choose {', '.join(EMBEDDED)}, or give a table by config.data.path."
  raise UserError("config.data.name", name, remedy)


def waves(x: np.ndarray) -> np.ndarray:
  """The function without noise."""
  return np.sin(2 * x) + 0.5 * x


def _waves():
  rng = np.random.default_rng(0)
  x = np.sort(np.concatenate([rng.uniform(-3, -0.5, 50), rng.uniform(0.7, 3, 50)]))
  return x[:, None], waves(x) + 0.3 * rng.normal(size=len(x)), ("x",)
