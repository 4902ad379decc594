"""The environment of a name: own, Gymnax's, Gymnasium's, or one of the user's in a file."""

import importlib.util
import pathlib

from research.environments import cart_pole, from_gymnasium, from_gymnax, grid
from research.environments.protocol import Environment
from research.errors import UserError


def load(name: str, path: str = "", bins: int = 0) -> Environment:
  """`cart_pole` and `grid` are own; `own` is the `Environment` that the function `environment()` in the file at `path`
  returns; `gymnasium:ID` is Gymnasium's, its continuous actions, if any, in so many `bins`; the rest are Gymnax's.

  Raises:
    UserError: there is no such environment, or no such file, or it holds none; or what is set it does not read.
  """
  if name.startswith(from_gymnasium.PREFIX) and not path:
    return from_gymnasium.load(name, bins)
  if bins:
    raise UserError("config.environment.bins", bins, f"{name} has actions to choose from: leave it at 0.")
  if name == "own":
    return _from_file(path)
  if path:
    raise UserError("config.environment.path", path, f"{name} reads no file: set config.environment.name=own.")
  match name:
    case "cart_pole":
      return cart_pole.cart_pole()
    case "grid":
      return grid.grid()
  return from_gymnax.load(name)


def _from_file(path: str) -> Environment:
  file = pathlib.Path(path)
  if not path or not file.is_file():
    raise UserError("config.environment.path", path, "name the Python file that defines environment().")
  spec = importlib.util.spec_from_file_location("own_environment", file)
  if spec is None or spec.loader is None:
    raise UserError("config.environment.path", path, "it is no Python file.")
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
    environment = module.environment()
  except Exception as error:  # the user's own code, whatever it raises
    remedy = f"it must define environment(), without arguments: {type(error).__name__}: {error}."
    raise UserError("config.environment.path", path, remedy) from error
  if not isinstance(environment, Environment):
    remedy = (
      f"environment() must return a research.environments.protocol.Environment, not {type(environment).__name__}."
    )
    raise UserError("config.environment.path", path, remedy)
  return environment
