"""Any duration, in steps, epochs, examples, tokens, frames or percent: `500`, `'10 epochs'`, `'1e8 frames'`, `5 %`."""

import math
import re
from collections.abc import Mapping
from fractions import Fraction

from research.errors import UserError

FORMS = (
  "write a number of steps (500), '500 steps', '10 epochs', '50000 examples', '1e6 tokens', '1e8 frames' or '5 %' (of "
  "the whole run)"
)
UNITS = ("epochs", "examples", "tokens", "frames")
_NUMBER = r"\d+(?:_\d+)*(?:\.\d+)?(?:e\+?\d{1,2})?|\.\d+"
_DURATION = re.compile(rf"\s*({_NUMBER})\s*(steps?|epochs?|examples?|tokens?|frames?|percent|%)?\s*")


def steps(
  duration: int | float | str,
  *,
  batch_size: int = 0,
  num_examples: int = 0,
  total_steps: int | None = None,
  field: str = "duration",
  per_step: Mapping[str, int | Fraction] | None = None,
) -> int:
  """The number of optimizer steps that a duration comes to.

  Epochs, examples, tokens and frames are rounded up: as many steps as it takes to see them all.  A percentage is
  rounded to the nearest step.  Arithmetic is exact (fractions), so `'0.1 epochs'` never gains a step from rounding.

  Args:
    duration: a number (of steps) or a string in one of the forms above.
    batch_size, num_examples: rows in a step, over all devices, and in an epoch: all that a set of examples knows.
    total_steps: steps of the whole run, of which a percentage is taken; None where the whole run is what is asked for.
    field: the config field, for messages.
    per_step: in their place, `Dataset.per_step`: what a step comes to in each unit that the data know.

  Raises:
    UserError: no such form, a unit that the data do not know, a negative or fractional number of steps, or a percentage
      of an unknown total.
  """
  if per_step is None:
    if batch_size < 1 or num_examples < 1:
      raise UserError("batch_size, num_examples", (batch_size, num_examples), "both must be at least 1")
    per_step = {"epochs": Fraction(batch_size, num_examples), "examples": batch_size}
  amount, unit = _parse(duration, field)
  if unit in UNITS:
    if not per_step.get(unit):
      known = ", ".join(["steps", *(u for u in UNITS if per_step.get(u))])
      raise UserError(field, duration, f"these data do not know {unit}: give {known} or percent")
    return math.ceil(amount / per_step[unit])
  if unit == "%":
    if total_steps is None:
      raise UserError(field, duration, "a percentage of what? Give the length of the run in steps, epochs or examples")
    return math.floor(amount * total_steps / 100 + Fraction(1, 2))
  if amount.denominator != 1:
    raise UserError(field, duration, f"steps come whole; {FORMS}")
  return int(amount)


def _parse(duration: int | float | str, field: str) -> tuple[Fraction, str]:
  """The amount, and its unit in the plural."""
  if isinstance(duration, bool) or not isinstance(duration, int | float | str):
    raise UserError(field, duration, FORMS)
  match = _DURATION.fullmatch(str(duration))
  if match is None:
    raise UserError(field, duration, FORMS)
  unit = match[2] or "steps"
  unit = "%" if unit in ("%", "percent") else unit.removesuffix("s") + "s"
  return Fraction(match[1].replace("_", "")), unit
