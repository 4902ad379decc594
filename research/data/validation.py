"""Examples held out of a training set, to choose by, and of a user's own, to measure on: always the same ones."""

import math
from collections.abc import Sized
from fractions import Fraction
from typing import Any, Protocol, TypeVar

import numpy as np
from jaxtyping import Int

from research.errors import UserError

FIELD = "config.data.validation"


class Selectable(Sized, Protocol):
  """`Examples`, a `Stream`, `Sequences` or `Tagged` sentences."""

  def select(self, index: slice, /) -> Any: ...


Set = TypeVar("Set", bound=Selectable)


def fifth(total: int) -> tuple[Int[np.ndarray, " rest"], Int[np.ndarray, " test"]]:
  """Which of `total` examples, two or more, are to be learnt from, and which fifth of them is to be measured on.

  Both are in the order of one permutation by `Philox(key=0)`.
  """
  order = np.random.Generator(np.random.Philox(key=0)).permutation(total)
  test = max(1, round(total / 5))
  return order[test:], order[:test]


def count(share: float, total: int, field: str = FIELD) -> int:
  """How many of `total` examples a share of them is, to the nearest.

  Raises:
    UserError: no share of 0 to below 1; or one above 0 that comes to no example, or leaves none.
  """
  if not 0 <= share < 1:
    raise UserError(field, share, "give the share of the training set to hold out, 0 to below 1.")
  held = round(Fraction(repr(float(share))) * total)  # exact: 0.29 * 100 is 28.999999999999996
  if share and not 0 < held < total:
    side = "no example" if not held else "all examples"
    remedy = (
      f"give another share, say {math.ceil(100 / total) / 100}, or 0 for none." if total > 1 else "give more of them."
    )
    raise UserError(field, share, f"of {total} training examples it comes to {side}: {remedy}")
  return held


def apart(train: Set, share: float, field: str = FIELD) -> tuple[Set, Set | None]:
  """The training set without its last examples, and these, `share` of them; None where the share is 0.

  Training sets are in random order, as their sources give them: their own where it is random (TFDS's, say), else a
  shuffle with seed 0 in which any stretch has the classes in their proportions.  So the tail is a random part.

  Raises:
    UserError: as `count`.
  """
  held = count(share, len(train), field)
  if not held:
    return train, None
  kept = len(train) - held
  return train.select(slice(kept)), train.select(slice(kept, None))
