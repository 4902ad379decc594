"""Any duration, in steps, epochs, examples or percent: `500`, `'10 epochs'`, `'50000 examples'`, `'5 %'`."""

import math
import re
from fractions import Fraction

from research.errors import UserError

FORMS = "write a number of steps (500), '500 steps', '10 epochs', '50000 examples' or '5 %' (of the whole run)"
_DURATION = re.compile(r"\s*(\d+(?:_\d+)*(?:\.\d+)?|\.\d+)\s*(steps?|epochs?|examples?|percent|%)?\s*")


def steps(
  duration: int | float | str,
  *,
  batch_size: int,
  num_examples: int,
  total_steps: int | None = None,
  field: str = "duration",
) -> int:
  """The number of optimizer steps that a duration comes to.

  Epochs and examples are rounded up: as many steps as it takes to see them all.  A percentage is rounded to the nearest
  step.  Arithmetic is exact (fractions), so `'0.1 epochs'` never gains a step from rounding.

  Args:
    duration: a number (of steps) or a string in one of the forms above.
    batch_size: examples in a step, over all devices.
    num_examples: examples in an epoch.
    total_steps: steps of the whole run, of which a percentage is taken; None where the whole run is what is asked for.
    field: the config field, for messages.

  Raises:
    UserError: no such form, a negative or fractional number of steps, or a percentage of an unknown total.
  """
  if batch_size < 1 or num_examples < 1:
    raise UserError("batch_size, num_examples", (batch_size, num_examples), "both must be at least 1")
  amount, unit = _parse(duration, field)
  if unit.startswith("epoch"):
    return math.ceil(amount * num_examples / batch_size)
  if unit.startswith("example"):
    return math.ceil(amount / batch_size)
  if unit in ("%", "percent"):
    if total_steps is None:
      raise UserError(field, duration, "a percentage of what? Give the length of the run in steps, epochs or examples")
    return math.floor(amount * total_steps / 100 + Fraction(1, 2))
  if amount.denominator != 1:
    raise UserError(field, duration, f"steps come whole; {FORMS}")
  return int(amount)


def _parse(duration: int | float | str, field: str) -> tuple[Fraction, str]:
  if isinstance(duration, bool) or not isinstance(duration, int | float | str):
    raise UserError(field, duration, FORMS)
  match = _DURATION.fullmatch(str(duration))
  if match is None:
    raise UserError(field, duration, FORMS)
  return Fraction(match[1].replace("_", "")), match[2] or "steps"
