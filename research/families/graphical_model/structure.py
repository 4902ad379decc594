"""The structure of a tree from data: Chow & Liu 1968, and Friedman, Geiger & Goldszmidt 1997 around a class (TAN)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from research.errors import UserError


def mutual_information(
  values: Int[np.ndarray, "row variable"], cards: Sequence[int], given: int | None = None
) -> Float[np.ndarray, "variable variable"]:
  """Empirical mutual information of every pair, nats; 0 of a variable with itself.

  Args:
    values: states, -1 where missing: a pair's counts are of the rows that have both.
    cards: states of each variable.
    given: a variable; the information is then conditional on it.
  """
  count = len(cards)
  starts = np.cumsum([0, *cards])
  groups = [np.ones(len(values), bool)]
  if given is not None:
    groups = [values[:, given] == state for state in range(cards[given])]
  total = np.zeros((count, count))
  weights = np.zeros((count, count))
  for rows in groups:
    hot = np.zeros((int(rows.sum()), starts[-1]))
    part = values[rows]
    row, column = np.nonzero(part >= 0)
    hot[row, starts[column] + part[row, column]] = 1
    joint = hot.T @ hot
    blocks = lambda array: np.add.reduceat(np.add.reduceat(array, starts[:-1], 0), starts[:-1], 1)
    n = blocks(joint)
    spread = np.asarray(np.maximum(n, 1)).repeat(cards, 0).repeat(cards, 1)
    # Of the rows that have both, how many have each state of one: sums over the other's states.
    left = np.repeat(np.add.reduceat(joint, starts[:-1], 1), cards, 1)
    right = np.repeat(np.add.reduceat(joint, starts[:-1], 0), cards, 0)
    ratio = np.where(joint > 0, joint * spread / np.maximum(left * right, 1e-300), 1)
    total += blocks(joint * np.log(ratio))
    weights += n
  information = total / np.maximum(weights, 1)
  np.fill_diagonal(information, 0)
  return np.maximum((information + information.T) / 2, 0)


def maximum_spanning_tree(weights: Float[np.ndarray, "node node"], root: int = 0) -> list[int]:
  """The parent of every node in the tree of largest total weight, -1 of the root (Prim 1957)."""
  count = len(weights)
  parent, best = np.full(count, root), weights[root].copy()
  parent[root] = -1
  inside = np.zeros(count, bool)
  inside[root] = True
  for _ in range(count - 1):
    node = int(np.where(inside, -np.inf, best).argmax())
    inside[node] = True
    better = ~inside & (weights[node] > best)
    parent[better], best[better] = node, weights[node][better]
  return parent.tolist()


def chow_liu(
  values: Int[np.ndarray, "row variable"], cards: Sequence[int], root: int = 0
) -> tuple[tuple[int, ...], ...]:
  """Parents of every variable in the tree of largest likelihood.

  Args:
    values: states, -1 where missing.
    cards: states of each variable.
    root: the variable without a parent; the likelihood is the same for all.

  Raises:
    UserError: no such root, or no rows.
  """
  _check(values, cards, root)
  tree = maximum_spanning_tree(mutual_information(values, cards), root)
  return tuple(() if parent < 0 else (parent,) for parent in tree)


def tree_augmented(
  values: Int[np.ndarray, "row variable"], cards: Sequence[int], label: int
) -> tuple[tuple[int, ...], ...]:
  """Parents of every variable in the tree-augmented naive Bayes of largest likelihood: all have the label besides.

  Raises:
    UserError: no such label, or no rows.
  """
  _check(values, cards, label)
  others = [node for node in range(len(cards)) if node != label]
  weights = mutual_information(values, cards, given=label)[np.ix_(others, others)]
  parents: list[tuple[int, ...]] = [()] * len(cards)
  for node, parent in zip(others, maximum_spanning_tree(weights) if others else []):
    parents[node] = (label,) if parent < 0 else (label, others[parent])
  return tuple(parents)


def _check(values, cards, node) -> None:
  if not 0 <= node < len(cards):
    raise UserError("root", node, f"give the place of one of the {len(cards)} variables.")
  if not len(values):
    raise UserError("rows", 0, "structure is learnt from data: give some.")
