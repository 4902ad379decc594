"""Discrete Bayesian networks with scikit-learn's interface, in float64: fit, score, predict what is missing, sample.

  DiscreteBayesianNetwork([("smoke", "lung"), ("smoke", "bronc")]).fit(table).query({"smoke": "yes"})
  DiscreteBayesianNetwork("chow_liu").fit(X).predict(X_with_holes)

Inference is exact, by variable elimination; where cells are missing, tables are fitted by EM.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from sklearn.base import BaseEstimator, DensityMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from research.data import bayesian_network as network_lib
from research.data.bayesian_network import BayesianNetwork, Variable
from research.errors import UserError
from research.estimators import base
from research.families.graphical_model import learning, structure
from research.training import statistics
from research.training.learner import Learner

CHOW_LIU = "chow_liu"
_ROWS = 64  # of one call of inference


class _Program(NamedTuple):
  """What is compiled once for all networks of these cards and arrows.

  Attributes:
    learner: of the tables.
    marginals: `marginals(params, states [_ROWS, variable])`.
  """

  learner: Learner
  marginals: Callable


@functools.lru_cache(maxsize=64)
def _program(cards: tuple[int, ...], parents: tuple[tuple[int, ...], ...], prior: float, complete: bool) -> _Program:
  family = learning.bayesian_network(cards, parents, prior=prior, complete=complete)
  learner = statistics.statistics_learner(
    init=family.init, expect=family.expect, maximise=family.maximise, evaluate=family.evaluate
  )
  return _Program(base.negated(learner, "nll"), jax.jit(jax.vmap(family.marginals, (None, 0))))


class DiscreteBayesianNetwork(DensityMixin, BaseEstimator):
  """p(x) = ∏ p(x_i | parents of i), over columns of categories of any kind that can be sorted; NaN or None is missing.

  Args:
    edges: arrows (parent, child), by the columns' names, or places where they have none; or `chow_liu`, the best tree.
    alpha: pseudo-counts of each cell of each table; 0 is maximum likelihood.
    tol: of EM, where cells are missing: stop when an update adds less to the mean log-likelihood, nats.
    max_iter: of EM, at most.
    random_state: of its start.

  Attributes:
    categories_: of each column, [category].
    edges_: arrows by places.
    network_: `research.data.bayesian_network.BayesianNetwork`: names, parents, tables.
    n_iter_: updates done.
    n_features_in_, feature_names_in_: columns, and their names where X has some.
  """

  n_features_in_: int
  feature_names_in_: np.ndarray

  def __init__(self, edges: Any = CHOW_LIU, *, alpha=1.0, tol=1e-6, max_iter=200, random_state=None):
    self.edges = edges
    self.alpha = alpha
    self.tol = tol
    self.max_iter = max_iter
    self.random_state = random_state

  def fit(self, X, y=None):
    """Fits the arrows, where they are not given, and the tables.

    Args:
      X: [row, column].
      y: not used.

    Raises:
      UserError: no such column, arrows in a circle, a column without a category, or a hyper-parameter out of its range.
    """
    del y
    if self.max_iter < 1:
      raise UserError("max_iter", self.max_iter, "give 1 or more.")
    with base.unchanged_where_it_fails(self):
      cells = self._cells(X, reset=True)
      self.categories_ = [_categories(column, name) for column, name in zip(cells.T, self._names)]
      states = self._states(cells)
      parents = self._parents(states)
      self.edges_ = [(parent, child) for child, each in enumerate(parents) for parent in each]
      program = _program(self._cards, parents, self.alpha, bool((states >= 0).all()))
      batch = {"states": states, "mask": np.ones(len(states))}
      with base.float64():
        key = base.key_of(self.random_state)
        options = {"max_iterations": self.max_iter, "tolerance": self.tol, "metric": "gain"}
        fitted: tuple[Any, Any] = base.fit(program.learner, batch, key=key, **options)
        state = jax.device_get(fitted[0])
      variables = [Variable(name, tuple(map(str, each))) for name, each in zip(self._names, self.categories_)]
      tables = tuple(np.exp(table) for table in state.params)
      self.network_ = BayesianNetwork(type(self).__name__, tuple(variables), parents, tables)
      self.n_iter_ = int(state.step)
    return self

  def score_samples(self, X) -> Float[np.ndarray, " row"]:
    """Log-probability of each row's cells that are known, nats."""
    return self._infer(self._states(self._fitted_cells(X)))[0]

  def score(self, X, y=None) -> float:
    """The mean of `score_samples`."""
    del y
    return float(self.score_samples(X).mean())

  def predict_proba(self, X) -> list[Float[np.ndarray, "row category"]]:
    """Of each column, its categories' probabilities given the row's cells that are known, which are certain."""
    marginals = self._infer(self._states(self._fitted_cells(X)))[1]
    return [marginals[:, i, :size] for i, size in enumerate(self._cards)]

  def predict(self, X) -> np.ndarray:
    """The rows, what is missing filled by its most probable category given what is known: each cell by itself."""
    cells = self._fitted_cells(X)
    columns = zip(self.predict_proba(X), self.categories_, cells.T)
    filled = [np.where(_missing(cells), categories[p.argmax(1)], cells) for p, categories, cells in columns]
    return np.stack(filled, axis=1)

  def query(self, evidence: Mapping[Any, Any]) -> dict[Any, dict[Any, float]]:
    """Probabilities of every other column's categories, by column and category, where some columns are known.

    Args:
      evidence: column -> its category.

    Raises:
      UserError: no such column or category.
    """
    check_is_fitted(self, "network_")
    row = np.full((1, len(self._cards)), -1, np.int32)
    for column, category in evidence.items():
      place = self._place(column)
      row[0, place] = self._state(place, category)
    marginals = self._infer(row)[1][0]
    keys = getattr(self, "feature_names_in_", range(len(self._cards)))
    return {
      key: dict(zip(categories.tolist(), p.tolist()))
      for key, categories, p, known in zip(keys, self.categories_, marginals, row[0] >= 0)
      if not known
    }

  def sample(self, n_samples: int = 1, random_state=None) -> np.ndarray:
    """Rows drawn from the network, [n_samples, column]."""
    check_is_fitted(self, "network_")
    rows = self.network_.sample(n_samples, int(check_random_state(random_state).randint(2**31)))
    return np.stack([categories[column] for categories, column in zip(self.categories_, rows.T)], axis=1)

  @property
  def _cards(self) -> tuple[int, ...]:
    return tuple(map(len, self.categories_))

  @property
  def _names(self) -> list[str]:
    return list(map(str, getattr(self, "feature_names_in_", range(self.n_features_in_))))

  def _cells(self, X, reset: bool) -> np.ndarray:
    X = X if hasattr(X, "shape") else np.array(X, dtype=object)  # else NaN among words becomes a word
    return validate_data(self, X, dtype=None, ensure_all_finite=False, reset=reset)

  def _fitted_cells(self, X) -> np.ndarray:
    check_is_fitted(self, "network_")
    return self._cells(X, reset=False)

  def _states(self, cells) -> Int[np.ndarray, "row column"]:
    """Places of categories, -1 where missing."""
    states = np.full(cells.shape, -1, np.int32)
    for place, column in enumerate(cells.T):
      known = ~_missing(column)
      distinct, inverse = np.unique(column[known], return_inverse=True)
      states[known, place] = np.array([self._state(place, category) for category in distinct], np.int32)[inverse]
    return states

  def _state(self, place: int, category) -> int:
    at = np.flatnonzero(self.categories_[place] == category)
    if not len(at):
      known = ", ".join(map(str, self.categories_[place][:12]))
      raise UserError(f"X, column {self._names[place]}", category, f"it was not there when fitted, which had {known}.")
    return int(at[0])

  def _place(self, column) -> int:
    if isinstance(column, (int, np.integer)) and 0 <= column < self.n_features_in_:
      return int(column)
    return network_lib.index_of([Variable(name, ()) for name in self._names], str(column), "X")

  def _parents(self, states) -> tuple[tuple[int, ...], ...]:
    if isinstance(self.edges, str):
      if self.edges != CHOW_LIU:
        raise UserError("edges", self.edges, f"give arrows (parent, child), or {CHOW_LIU}.")
      return tuple(map(tuple, structure.chow_liu(states, self._cards)))
    parents: list[tuple[int, ...]] = [()] * self.n_features_in_
    for parent, child in self.edges:
      parents[self._place(child)] += (self._place(parent),)
    network_lib.topological_order(parents, self._names)
    return tuple(parents)

  def _infer(self, states) -> tuple[Float[np.ndarray, " row"], Float[np.ndarray, "row column category"]]:
    """Log-probabilities of what is known, and marginals; by blocks of one size, the last one's rest dropped."""
    program = _program(self._cards, self.network_.parents, self.alpha, False)
    likelihoods, marginals = [], []
    with base.float64(), np.errstate(divide="ignore"):
      params = tuple(np.log(table) for table in self.network_.tables)
      for first in range(0, len(states), _ROWS):
        block = np.full((_ROWS, states.shape[1]), -1, np.int32)
        part = states[first : first + _ROWS]
        block[: len(part)] = part
        result = jax.device_get(program.marginals(params, block))
        likelihoods.append(result.log_partition[: len(part)])
        marginals.append(result.variables[: len(part)])
    return np.concatenate(likelihoods), np.concatenate(marginals)


def _missing(column) -> np.ndarray:
  """Which cells are NaN, the one thing that is not itself, or None."""
  return np.array([cell is None or cell != cell for cell in column.tolist()], bool)


def _categories(column, name: str) -> np.ndarray:
  known = column[~_missing(column)]
  if not len(known):
    raise UserError(f"X, column {name}", "", "all its cells are missing: remove it.")
  try:
    return np.unique(known)
  except TypeError as error:
    kinds = sorted({type(cell).__name__ for cell in known.tolist()})
    raise UserError(
      f"X, column {name}", ", ".join(kinds), "its cells cannot be sorted: give those of one kind."
    ) from error
