"""Parameters of a model as attributes: what a fit learns, and what may be set in its place."""

from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Float

from research.errors import UserError
from research.estimators import base
from research.families.hmm import emissions


class Parameter:
  """A parameter, seen as what it is and kept as the family has it, by its path among the parameters.

  Args:
    letter: that stands for it in `params` and `init_params`.
    path: where the family has it.
    write: `write(model, name, value) -> stored`; raises UserError for what is none.
    read: `read(model, stored) -> value`.
  """

  def __init__(self, letter: str, path: tuple[str, ...], write: Callable, read: Callable):
    self.letter, self.path, self.write, self._read = letter, path, write, read
    self.name = ""

  def __set_name__(self, owner, name: str):
    self.name = name

  def __get__(self, model, owner=None) -> Any:
    if model is None:
      return self
    if self.path not in model.known:
      raise AttributeError(f"{type(model).__name__} has no {self.name} before a fit, unless it is set")
    return self._read(model, model.known[self.path])

  def __set__(self, model, value) -> None:
    model.give(self, self.write(model, self.name, value))


def logits(name: str, value, shape: tuple[int | None, ...]) -> Float[np.ndarray, "..."]:
  """Logarithms of distributions over the last axis, as the family keeps them.

  Raises:
    UserError: as `base.shaped`; a negative number, or a sum that is not 1.
  """
  array = base.shaped(name, value, shape)
  if (array < 0).any() or not np.allclose(array.sum(-1), 1):
    raise UserError(name, array.tolist(), "give probabilities, 0 or more, that sum to 1 over the last axis.")
  return log(array)


def log(probabilities) -> Float[np.ndarray, "..."]:
  """Of probabilities, finite."""
  with np.errstate(divide="ignore"):
    return np.maximum(np.log(np.asarray(probabilities, np.float64)), emissions.LOG_ZERO)
