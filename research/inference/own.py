"""A user's own model: one function in a Python file."""

import importlib.util
import pathlib
from typing import Any

from research.errors import UserError
from research.inference.model import Model, Target


def load(path: str) -> Model:
  """What `model()` in the file at `path` returns.

  Raises:
    UserError: no such file, or it defines none.
  """
  returned = _call(path, "a research.inference.model.Model")
  if not isinstance(returned, Model):
    remedy = f"model() must return a research.inference.model.Model, not {type(returned).__name__}."
    raise UserError("config.model.own.path", path, remedy)
  return returned


def _call(path: str, what: str) -> Any:
  module = _module(path, what)
  try:
    return module.model()
  except Exception as error:  # the user's own code, whatever it raises
    remedy = f"model() must return {what}: {type(error).__name__}: {error}."
    raise UserError("config.model.own.path", path, remedy) from error


def _module(path: str, what: str):
  file = pathlib.Path(path).expanduser()
  if not path or not file.is_file():
    raise UserError("config.model.own.path", path, f"name the Python file whose model() returns {what}.")
  spec = importlib.util.spec_from_file_location("own_model", file)
  if spec is None or spec.loader is None:
    raise UserError("config.model.own.path", path, "it is no Python file.")
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except Exception as error:
    raise UserError("config.model.own.path", path, f"{type(error).__name__}: {error}.") from error
  if not callable(getattr(module, "model", None)):
    raise UserError("config.model.own.path", path, f"it must define model(), which returns {what}.")
  return module


def from_numpyro(path: str) -> Target:
  """The density of a NumPyro model, the function `model()`, without arguments, in the file at `path`.

  Needs the extra `inference`.  Sites of `numpyro.deterministic` are told as derived values.

  Raises:
    UserError: NumPyro is not there; no such file or function; or NumPyro refuses the model.
  """
  try:
    from numpyro.infer import util
  except ImportError as error:
    remedy = "NumPyro is not installed: pip install genera[inference]."
    raise UserError("config.model.name", "numpyro", remedy) from error
  import jax
  from jax.flatten_util import ravel_pytree

  model = _module(path, "nothing, but samples, as NumPyro's models do").model
  try:
    info, potential, constrain, _ = util.initialize_model(jax.random.key(0), model)
  except Exception as error:
    raise UserError("config.model.own.path", path, f"NumPyro: {type(error).__name__}: {error}.") from error
  flat, unravel = ravel_pytree(info.z)
  names = tuple(name for name, value in sorted(info.z.items()) for _ in range(max(value.size, 1)))

  def unconstrain(values):
    from numpyro.infer.util import unconstrain_fn

    return ravel_pytree(unconstrain_fn(model, (), {}, {name: values[name] for name in info.z}))[0]

  return Target(
    size=flat.size,
    log_density=lambda z: -potential(unravel(z)),
    constrain=lambda z: constrain(unravel(z)),
    unconstrain=unconstrain,
    start=lambda key: jax.random.uniform(key, flat.shape, flat.dtype, -2.0, 2.0),
    names=names,
  )
