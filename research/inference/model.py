"""Models as log-densities over named parameters, and what inference sees of one: a density over plain vectors."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from research.errors import UserError
from research.inference.supports import Support, real

Values = Mapping[str, Float[Array, "..."]]


class Parameter(NamedTuple):
  """A named unknown: its shape, where it lives, and a value to begin at (None begins at random)."""

  shape: tuple[int, ...] = ()
  support: Support = real()
  start: Any = None


@dataclasses.dataclass(frozen=True)
class Model:
  """A joint density of parameters and data.

  Attributes:
    parameters: by name.
    log_density: `log_density(values) -> scalar`: log p(parameters, data), up to a constant, of constrained
      values.
    derived: `derived(values) -> {name: array}`: functions of the parameters to be told beside them.
    log_prior, log_likelihood: `log_prior(values)`, and `log_likelihood(values, batch) -> [example]`, where their sum is
      the density: for mini-batches, and for scores of examples held out.
    replicate: `replicate(key, values) -> array` like `observed`: new data, for posterior predictive checks.
    observed: what `replicate` imitates.
    predict: `predict(values, inputs) -> mean, variance` of an outcome [row], where the model has outcomes for inputs.
    conditionals: `conditional(key, values) -> values`, each a draw of some parameters given the others, for Gibbs.
  """

  parameters: Mapping[str, Parameter]
  log_density: Callable[[Values], Float[Array, ""]]
  derived: Callable[[Values], Values] = lambda values: {}
  log_prior: Callable[[Values], Float[Array, ""]] | None = None
  log_likelihood: Callable[[Values, Any], Float[Array, " example"]] | None = None
  replicate: Callable[[Key[Array, ""], Values], Array] | None = None
  observed: np.ndarray | None = None
  predict: Callable[[Values, Any], tuple[Array, Array]] | None = None
  conditionals: Sequence[Callable[[Key[Array, ""], Values], Values]] = ()


class Target(NamedTuple):
  """A density over unconstrained vectors.

  Attributes:
    size: numbers of a vector.
    log_density: `log_density(z [size]) -> scalar`, with the log-determinant of the supports.
    constrain: `constrain(z) -> values`, of the parameters and what is derived from them.
    unconstrain: `unconstrain(values) -> z`.
    start: `start(key) -> z`.
    names: of the parameter that each of the numbers belongs to.
  """

  size: int
  log_density: Callable[[Float[Array, " size"]], Float[Array, ""]]
  constrain: Callable[[Float[Array, " size"]], Values]
  unconstrain: Callable[[Values], Float[Array, " size"]]
  start: Callable[[Key[Array, ""]], Float[Array, " size"]]
  names: tuple[str, ...]


def split(model: Model, z: Float[Array, " size"]) -> tuple[dict[str, Array], Float[Array, ""]]:
  """Constrained values of the parameters, and the log-determinant of all supports."""
  values, log_det, place = {}, jnp.zeros((), z.dtype), 0
  for name, parameter in model.parameters.items():
    shape = parameter.support.free(parameter.shape)
    size = math.prod(shape)
    values[name], own = parameter.support.forward(z[place : place + size].reshape(shape))
    log_det, place = log_det + own, place + size
  return values, log_det


def target(model: Model, spread: float = 2.0) -> Target:
  """What inference sees of a model.

  Args:
    model: parameters and density.
    spread: chains begin uniformly in [-spread, spread], on the unconstrained scale, where a parameter has no start.

  Raises:
    UserError: a start that lies outside its support or has another shape; no parameters.
  """
  if not model.parameters:
    raise UserError("model.parameters", {}, "there is nothing to infer: name one parameter at least.")
  check_starts(model)
  free = {name: p.support.free(p.shape) for name, p in model.parameters.items()}
  names = tuple(name for name, shape in free.items() for _ in range(math.prod(shape)))

  def log_density(z):
    values, log_det = split(model, z)
    return model.log_density(values) + log_det

  def constrain(z):
    values, _ = split(model, z)
    return {**values, **model.derived(values)}

  def unconstrain(values):
    parts = [p.support.inverse(jnp.asarray(values[name])).ravel() for name, p in model.parameters.items()]
    return jnp.concatenate(parts)

  def start(key):
    parts = []
    for i, (name, parameter) in enumerate(model.parameters.items()):
      if parameter.start is None:
        parts.append(jax.random.uniform(jax.random.fold_in(key, i), free[name], minval=-spread, maxval=spread))
      else:
        parts.append(parameter.support.inverse(jnp.asarray(parameter.start, float)))
    return jnp.concatenate([part.ravel() for part in parts])

  return Target(len(names), log_density, constrain, unconstrain, start, names)


def check_starts(model: Model) -> None:
  """Raises a UserError for a start of another shape than its parameter's, or outside its support."""
  for name, parameter in model.parameters.items():
    if parameter.start is None:
      continue
    value = np.asarray(parameter.start, float)
    if value.shape != tuple(parameter.shape):
      raise UserError(f"start of {name}", value.tolist(), f"it must have the shape {tuple(parameter.shape)}.")
    if not parameter.support.contains(value):
      raise UserError(f"start of {name}", value.tolist(), f"it lies outside the support, {parameter.support.name}.")


def check(target: Target, positions: Float[Array, "chain size"]) -> None:
  """Evaluates the density where chains begin, and far out along every axis, before compute is spent.

  Raises:
    UserError: it is not finite, or has no finite gradient, where a chain begins; it names what it does not have, or is
      no scalar; or it does not fall far out, so that it has no finite integral.
  """
  try:
    shape = jax.eval_shape(target.log_density, positions[0])
  except KeyError as error:
    remedy = f"there are {', '.join(dict.fromkeys(target.names))}: name the parameters as they are declared."
    raise UserError("log_density", f"parameter {error.args[0]!r}", remedy) from error
  if shape.shape:
    raise UserError("log_density", f"shape {shape.shape}", "it must return one number: sum over the data.")
  values, gradients = jax.device_get(jax.jit(jax.vmap(jax.value_and_grad(target.log_density)))(positions))
  if not np.isfinite(values).all():
    remedy = "start inside its support, and look for log(0) or 0/0 (Parameter(start=...) says where)."
    raise UserError("log-density where chains begin", float(values[~np.isfinite(values)][0]), remedy)
  finite = np.isfinite(gradients).all(0)
  if not finite.all():
    name = target.names[int(np.flatnonzero(~finite)[0])]
    raise UserError(f"gradient by {name} where chains begin", "not finite", "guard square roots and logarithms at 0.")
  _check_proper(target, positions[0])


def _check_proper(target: Target, centre: Float[Array, " size"]) -> None:
  """A density whose logarithm does not fall along an axis has an infinite integral; what overflows is taken to fall."""
  near, far = 30.0, 300.0
  directions = jnp.concatenate([jnp.eye(target.size), -jnp.eye(target.size)]).astype(centre.dtype)
  at = lambda distance: jax.lax.map(lambda d: target.log_density(centre + distance * d), directions)
  closer, further = jax.device_get(jax.jit(lambda: (at(near), at(far)))())
  rising = np.isfinite(further) & (further >= closer)
  if rising.any():
    index = int(np.flatnonzero(rising)[0])
    name, side = target.names[index % target.size], "+" if index < target.size else "-"
    remedy = (
      f"it does not fall as {name} goes to {side}infinity on its unconstrained scale, so it is improper: give {name} a "
      "proper prior."
    )
    raise UserError("log-density", f"{further[index]:.4g} far out, {closer[index]:.4g} nearer", remedy)
