"""Where a parameter lives: bijections from unconstrained numbers, each with its Jacobian's log-determinant.

The transforms are those of Stan's reference manual, "Constraint transforms".
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

Numbers = Float[Array, "*shape"]


class Support(NamedTuple):
  """A set of values, and a bijection onto it.

  Attributes:
    name: for messages.
    free: `free(shape) -> shape` of the unconstrained numbers that a value of a shape takes.
    forward: `forward(z) -> x, log |det dx/dz|`, a scalar, summed over all numbers.
    inverse: `inverse(x) -> z`.
    contains: `contains(x) -> bool`, whether all of a host array lies in the set.
  """

  name: str
  free: Callable[[tuple[int, ...]], tuple[int, ...]]
  forward: Callable[[Numbers], tuple[Numbers, Float[Array, ""]]]
  inverse: Callable[[Numbers], Numbers]
  contains: Callable[[np.ndarray], bool]


def real() -> Support:
  """Every number."""
  return Support("real", lambda s: s, lambda z: (z, jnp.zeros(())), lambda x: x, lambda x: bool(np.isfinite(x).all()))


def positive() -> Support:
  """x = exp z."""
  return Support("positive", lambda s: s, lambda z: (jnp.exp(z), z.sum()), jnp.log, lambda x: bool((x > 0).all()))


def interval(low: float = 0.0, high: float = 1.0) -> Support:
  """x = low + (high - low) σ(z)."""
  width = high - low

  def forward(z):
    slope = np.log(width) + jax.nn.log_sigmoid(z) + jax.nn.log_sigmoid(-z)
    return low + width * jax.nn.sigmoid(z), slope.sum()

  def inverse(x):
    return jnp.log(x - low) - jnp.log(high - x)

  contains = lambda x: bool(((x > low) & (x < high)).all())
  return Support(f"interval({low:g}, {high:g})", lambda s: s, forward, inverse, contains)


def ordered() -> Support:
  """Increasing along the last axis: x_1 = z_1, x_k = x_{k-1} + exp z_k."""

  def forward(z):
    steps = jnp.concatenate([z[..., :1], jnp.exp(z[..., 1:])], -1)
    return jnp.cumsum(steps, -1), z[..., 1:].sum()

  def inverse(x):
    return jnp.concatenate([x[..., :1], jnp.log(jnp.diff(x, axis=-1))], -1)

  return Support("ordered", lambda s: s, forward, inverse, lambda x: bool((np.diff(x, axis=-1) > 0).all()))


def simplex() -> Support:
  """Positive numbers whose sum over the last axis is 1, by breaking a stick; z = 0 is the centre.

  The determinant is that of all but the last of the numbers.
  """

  def offsets(count):
    return jnp.log(jnp.arange(count, 0, -1))  # what makes every piece 1 / K at z = 0

  def forward(z):
    shifted = z - offsets(z.shape[-1])
    log_left = jnp.cumsum(jax.nn.log_sigmoid(-shifted), -1)  # of the stick, after each break
    log_before = jnp.concatenate([jnp.zeros_like(z[..., :1]), log_left[..., :-1]], -1)
    log_piece = log_before + jax.nn.log_sigmoid(shifted)
    x = jnp.exp(jnp.concatenate([log_piece, log_left[..., -1:]], -1))
    return x, (log_piece + jax.nn.log_sigmoid(-shifted)).sum()

  def inverse(x):
    left = 1 - jnp.cumsum(x, -1)[..., :-1]
    return jnp.log(x[..., :-1]) - jnp.log(left) + offsets(x.shape[-1] - 1)

  contains = lambda x: bool((x > 0).all() and np.allclose(x.sum(-1), 1, atol=1e-6))
  return Support("simplex", lambda shape: (*shape[:-1], shape[-1] - 1), forward, inverse, contains)
