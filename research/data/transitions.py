"""A file of transitions of some agent: what it saw and did, and what came of it."""

import numpy as np

from research.data import raw
from research.environments.protocol import Environment
from research.errors import UserError

FIELDS = ("observation", "action", "reward", "next_observation", "terminated")


def load(path: str, environment: Environment) -> dict[str, np.ndarray]:
  """The arrays [transition, ...] of an `.npz` archive, by the names of `FIELDS`.

  `--mode=predict` of an agent writes such a file, beside other arrays, which are passed over.  A transition that a
  limit of time cut off is not terminated.

  Args:
    path: of the archive; by default `$GENERA_DATA_DIR/transitions/<environment>.npz`.
    environment: that the transitions are of.

  Raises:
    UserError: no such archive, arrays that are missing, of unequal length, or do not fit the environment.
  """
  known = f"{environment.name}.npz"
  if raw.is_own(environment.name, path, known):
    kinds = f"an .npz archive with {', '.join(FIELDS)}, as --mode=predict of an agent writes one"
    file = raw.own(path, kinds, (".npz",))
  else:
    file = raw.locate("transitions", known, path)
  arrays = raw.arrays(file, FIELDS)
  _check(str(file), arrays, environment)
  seen = environment.observation.dtype
  types = {"observation": seen, "action": np.int32, "next_observation": seen}
  return {field: np.asarray(array, types.get(field, np.float32)) for field, array in arrays.items()}


def _check(path: str, arrays: dict[str, np.ndarray], environment: Environment) -> None:
  lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
  if len(set(lengths.values())) > 1 or not lengths["action"]:
    raise UserError(f"{path}: lengths", lengths, "give one row a transition in every array, and one at least.")
  for name in ("observation", "next_observation"):
    if arrays[name].shape[1:] != environment.observation.shape:
      remedy = f"{environment.name} shows {environment.observation.shape}."
      raise UserError(f"{path}: shape of one {name}", arrays[name].shape[1:], remedy)
  for name, array in arrays.items():
    if array.dtype.kind not in "biuf":
      raise UserError(f"{path}: type of {name}", str(array.dtype), "give numbers.")
  for name in ("action", "reward", "terminated"):
    if arrays[name].ndim != 1:
      raise UserError(f"{path}: shape of {name}", arrays[name].shape, "give one number a transition.")
  action = arrays["action"]
  if action.dtype.kind not in "iu" or not 0 <= action.min() <= action.max() < environment.num_actions:
    remedy = f"{environment.name} has the actions 0 to {environment.num_actions - 1}, as integers."
    raise UserError(f"{path}: action", f"{action.min()} to {action.max()} ({action.dtype})", remedy)
  for name in ("observation", "reward", "next_observation"):
    with np.errstate(over="ignore"):  # what float32 does not hold is infinite in it, and refused
      finite = np.isfinite(arrays[name].astype(np.float32)).reshape(len(action), -1).all(1)
    if not finite.all():
      remedy = "leave such rows out, or scale what float32 does not hold."
      raise UserError(f"{path}: {name}", f"not finite in row {int(np.argmin(finite))}", remedy)
  ended = np.isin(arrays["terminated"], (0, 1))
  if not ended.all():
    row = int(np.argmin(ended))
    raise UserError(f"{path}: terminated", f"{arrays['terminated'][row]} in row {row}", "give 0 or 1, or booleans.")
