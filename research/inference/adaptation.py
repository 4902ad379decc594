"""Warm-up inside the state: a step size by dual averaging, a mass by the draws of windows that double.

Hoffman & Gelman 2014, section 3.2 (dual averaging); windows and regularisation are Stan's.  All chains are pooled: one
step size, and a covariance of all their draws.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from research.inference.kernels import Tuning

SHRINKAGE, DELAY, FORGETTING = 0.05, 10.0, 0.75  # γ, t0 and κ


class Adaptation(NamedTuple):
  """What warm-up knows so far.

  Attributes:
    log_step, log_average: of the step size: what is tried, and the average that is kept.
    centre: what the step size is drawn to.
    error: averaged distance of the acceptance from what is asked for.
    trials: since the averaging began.
    inverse_mass, root: see `kernels.Tuning`.
    count, mean, squares: of the draws in this window: number, mean, and summed (outer) squares about it.
  """

  log_step: Float[Array, ""]
  log_average: Float[Array, ""]
  centre: Float[Array, ""]
  error: Float[Array, ""]
  trials: Int[Array, ""]
  inverse_mass: Float[Array, "..."]
  root: Float[Array, "..."]
  count: Float[Array, ""]
  mean: Float[Array, " size"]
  squares: Float[Array, "..."]


class Windows(NamedTuple):
  """By transition of the warm-up: whether its draws count for the mass, and whether a window ends with it."""

  counts: Bool[np.ndarray, " warmup"]
  ends: Bool[np.ndarray, " warmup"]


def windows(warmup: int) -> Windows:
  """Stan's: 75 transitions for the step size alone, windows of 25, 50, 100, ..., and 50 for the step size at the end.

  Of fewer than 150 transitions the parts are 15, 75 and 10 %; of fewer than 20 only the step size is adapted.
  """
  counts, ends = np.zeros(warmup, bool), np.zeros(warmup, bool)
  if warmup < 20:
    return Windows(counts, ends)
  first, size, last = (75, 25, 50) if warmup >= 150 else (int(0.15 * warmup), 0, int(0.1 * warmup))
  stop = warmup - last
  size = size or stop - first
  counts[first:stop] = True
  while first < stop:
    end = first + size
    if end + 2 * size > stop:  # another window of twice the size does not fit: this one is the last
      end = stop
    ends[end - 1] = True
    first, size = end, 2 * size
  return Windows(counts, ends)


def begin(step_size: float, size: int, dense: bool) -> Adaptation:
  """At the first transition: unit mass."""
  mass = jnp.eye(size) if dense else jnp.ones(size)
  log_step, zero = jnp.log(jnp.asarray(step_size, mass.dtype)), jnp.zeros((), mass.dtype)
  return Adaptation(
    log_step=log_step,
    log_average=jnp.array(log_step),
    centre=log_step + jnp.log(10.0),
    error=zero,
    trials=jnp.zeros((), jnp.int32),
    inverse_mass=mass,
    root=jnp.array(mass),
    count=jnp.array(zero),
    mean=jnp.zeros(size),
    squares=jnp.zeros_like(mass),
  )


def tuning(adaptation: Adaptation, time: Int[Array, ""], warmup: int) -> Tuning:
  """What the transition at `time` uses: what is tried during warm-up, its average after."""
  log_step = jnp.where(time < warmup, adaptation.log_step, adaptation.log_average)
  return Tuning(jnp.exp(log_step), adaptation.inverse_mass, adaptation.root, time)


def adapt(
  adaptation: Adaptation,
  time: Int[Array, ""],
  schedule: Windows,
  acceptance: tuple[Float[Array, ""], float],
  positions: Float[Array, "chain size"],
) -> Adaptation:
  """After one transition of all chains, at `time` of the warm-up.

  Args:
    adaptation: before.
    time: of the transition.
    schedule: of windows.
    acceptance: mean over chains, and what it is to be (0 leaves the step size alone).
    positions: where all chains are.
  """
  if not len(schedule.counts):
    return adaptation
  place = jnp.minimum(time, len(schedule.counts) - 1)

  def learn(old):
    new = _dual_averaging(old, *acceptance) if acceptance[1] else old
    new = jax.lax.cond(jnp.asarray(schedule.counts)[place], lambda a: _count(a, positions), lambda a: a, new)
    return jax.lax.cond(jnp.asarray(schedule.ends)[place], _new_mass, lambda a: a, new)

  return jax.lax.cond(time < len(schedule.counts), learn, lambda old: old, adaptation)


def _dual_averaging(old: Adaptation, accepted: Float[Array, ""], target: float) -> Adaptation:
  trials = old.trials + 1
  weight = 1 / (trials + DELAY)
  error = (1 - weight) * old.error + weight * (target - accepted)
  log_step = old.centre - jnp.sqrt(trials.astype(error.dtype)) / SHRINKAGE * error
  share = trials.astype(error.dtype) ** -FORGETTING
  log_average = share * log_step + (1 - share) * old.log_average
  return old._replace(log_step=log_step, log_average=log_average, error=error, trials=trials)


def _count(old: Adaptation, positions: Float[Array, "chain size"]) -> Adaptation:
  """Moments with these draws among them (Chan, Golub & LeVeque 1983)."""
  number = len(positions)
  own_mean = positions.mean(0)
  apart, shift = positions - own_mean, own_mean - old.mean
  count = old.count + number
  weight = old.count * number / count
  if old.squares.ndim == 1:
    squares = old.squares + (apart**2).sum(0) + weight * shift**2
  else:
    squares = old.squares + apart.T @ apart + weight * jnp.outer(shift, shift)
  return old._replace(count=count, mean=old.mean + shift * number / count, squares=squares)


def _new_mass(old: Adaptation) -> Adaptation:
  """The window's variance, drawn to 0.001 as if by five draws more; the step size is averaged anew."""
  covariance = old.squares / jnp.maximum(old.count - 1, 1)
  kept = old.count / (old.count + 5)
  if covariance.ndim == 1:
    inverse_mass = kept * covariance + 1e-3 * (1 - kept)
    root = 1 / jnp.sqrt(inverse_mass)
  else:
    eye = jnp.eye(len(covariance), dtype=covariance.dtype)
    inverse_mass = kept * covariance + 1e-3 * (1 - kept) * eye
    root = jax.scipy.linalg.solve_triangular(jnp.linalg.cholesky(inverse_mass), eye, lower=True).T
  zero = jnp.zeros_like(old.error)
  return old._replace(
    inverse_mass=inverse_mass,
    root=root,
    centre=old.log_average + jnp.log(10.0),
    log_step=old.log_average,
    error=zero,
    trials=jnp.zeros_like(old.trials),
    count=jnp.zeros_like(old.count),
    mean=jnp.zeros_like(old.mean),
    squares=jnp.zeros_like(old.squares),
  )
