"""Transitions of one chain that leave a density invariant; `jax.vmap` makes them transitions of many.

Positions are unconstrained vectors.  Step size and mass are arguments (`Tuning`), so that warm-up can adapt them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from research.inference.model import Target

Vector = Float[Array, " size"]
Scalar = Float[Array, ""]
DIVERGENCE = 1000.0  # energy error beyond which a trajectory is given up: Stan's


class Chain(NamedTuple):
  """Where a chain is: position, log-density and its gradient there."""

  position: Vector
  log_density: Scalar
  gradient: Vector


class Tuning(NamedTuple):
  """What warm-up adapts.

  Attributes:
    step_size: of an integration step or proposal, in units of the posterior's scale.
    inverse_mass: [size], or dense [size, size]: the posterior's (co)variance, as far as it is known.
    root: R of the same shape with R Rᵀ = mass, so that R times white noise is a momentum.
    time: transitions so far, for step sizes that fall.
  """

  step_size: Scalar
  inverse_mass: Float[Array, "..."]
  root: Float[Array, "..."]
  time: Int[Array, ""]


class Info(NamedTuple):
  """What a transition tells: mean acceptance probability, gradient evaluations, divergence, energy at its start."""

  acceptance: Scalar
  gradients: Int[Array, ""]
  divergent: Bool[Array, ""]
  energy: Scalar


class Kernel(NamedTuple):
  """A way to move.

  Attributes:
    init: `init(position) -> chain`.
    step: `step(key, chain, tuning) -> chain, info`.
    acceptance: the mean acceptance probability that warm-up adapts the step size to; 0 leaves it alone.
  """

  init: Callable[[Vector], Chain]
  step: Callable[[Key[Array, ""], Chain, Tuning], tuple[Chain, Info]]
  acceptance: float


def identity_tuning(step_size: float, size: int, dense: bool = False) -> Tuning:
  """A unit mass."""
  mass = jnp.eye(size) if dense else jnp.ones(size)
  return Tuning(jnp.asarray(step_size, mass.dtype), mass, mass, jnp.zeros((), jnp.int32))


def times(matrix: Float[Array, "..."], vector: Vector) -> Vector:
  """Product with a diagonal or dense matrix."""
  return matrix * vector if matrix.ndim == 1 else matrix @ vector


def scale(tuning: Tuning) -> Float[Array, "..."]:
  """L, diagonal or dense, with L Lᵀ = inverse mass: what whitens the posterior."""
  return 1 / tuning.root if tuning.root.ndim == 1 else tuning.inverse_mass @ tuning.root


def starter(target: Target) -> Callable[[Vector], Chain]:
  """`init` of a kernel: density and gradient at a position."""

  def init(position):
    return Chain(position, *jax.value_and_grad(target.log_density)(position))

  return init


def choose(condition: Bool[Array, ""], one, other):
  """`one` where the condition holds, else `other`, leaf by leaf."""
  return jax.tree.map(lambda a, b: jnp.where(condition, a, b), one, other)


def gaussian_proposal(key: Key[Array, ""], position: Vector, tuning: Tuning) -> Vector:
  """Position + step · N(0, inverse mass): symmetric."""
  noise = jax.random.normal(key, position.shape, position.dtype)
  return position + tuning.step_size * times(scale(tuning), noise)


def metropolis(target: Target, acceptance: float = 0.234, propose: Callable = gaussian_proposal) -> Kernel:
  """Random-walk Metropolis (Metropolis et al. 1953); 0.234 is the best acceptance in many dimensions (Roberts 1997).

  Args:
    target: the density; any function of any position will do where `propose` knows what to do with it.
    acceptance: to adapt to.
    propose: `propose(key, position, tuning) -> position`, symmetric.
  """

  def init(position):
    return Chain(position, target.log_density(position), jnp.zeros_like(position))

  def step(key, chain, tuning):
    proposal = init(propose(jax.random.fold_in(key, 0), chain.position, tuning))
    ratio = proposal.log_density - chain.log_density
    probability = jnp.where(jnp.isnan(ratio), 0, jnp.exp(jnp.minimum(ratio, 0)))
    accepted = jax.random.uniform(jax.random.fold_in(key, 1), dtype=probability.dtype) < probability
    info = Info(probability, jnp.int32(0), jnp.asarray(False), -chain.log_density)
    return choose(accepted, proposal, chain), info

  return Kernel(init, step, acceptance)


class Phase(NamedTuple):
  """A point of phase space, with the gradient at its position."""

  position: Vector
  momentum: Vector
  gradient: Vector


def leapfrog(target: Target, tuning: Tuning, step: Scalar, phase: Phase) -> tuple[Phase, Scalar]:
  """One step of the leapfrog (Neal 2011, equations 5.18 to 5.20), and the log-density where it ends.

  Reversible, and it keeps volume; its energy error is of the third order in the step, of a trajectory of the second.
  """
  momentum = phase.momentum + 0.5 * step * phase.gradient
  position = phase.position + step * times(tuning.inverse_mass, momentum)
  log_density, gradient = jax.value_and_grad(target.log_density)(position)
  return Phase(position, momentum + 0.5 * step * gradient, gradient), log_density


def kinetic(tuning: Tuning, momentum: Vector) -> Scalar:
  """½ pᵀ M⁻¹ p."""
  return 0.5 * jnp.vdot(momentum, times(tuning.inverse_mass, momentum))


def fresh_momentum(key: Key[Array, ""], position: Vector, tuning: Tuning) -> Vector:
  """p ~ N(0, M)."""
  return times(tuning.root, jax.random.normal(key, position.shape, position.dtype))


def hmc(target: Target, path: float = 1.5, most: int = 256, acceptance: float = 0.8) -> Kernel:
  """Hamiltonian Monte Carlo (Duane et al. 1987; Neal 2011), the length of its paths jittered lest they be periodic.

  Args:
    target: the density.
    path: mean time of a trajectory, in units in which the posterior's scale is 1; each lasts 0.5 to 1.5 of it.
    most: leapfrog steps of a trajectory at most.
    acceptance: to adapt to.
  """

  def step(key, chain, tuning):
    momentum = fresh_momentum(jax.random.fold_in(key, 0), chain.position, tuning)
    length = path * jax.random.uniform(jax.random.fold_in(key, 1), (), momentum.dtype, 0.5, 1.5)
    count = jnp.clip(jnp.ceil(length / tuning.step_size), 1, most).astype(jnp.int32)

    def one(_, carry):
      return leapfrog(target, tuning, tuning.step_size, carry[0])

    start = Phase(chain.position, momentum, chain.gradient), chain.log_density
    phase, log_density = jax.lax.fori_loop(0, count, one, start)
    energy = kinetic(tuning, momentum) - chain.log_density
    error = kinetic(tuning, phase.momentum) - log_density - energy
    error = jnp.where(jnp.isnan(error), jnp.inf, error)
    probability = jnp.exp(jnp.minimum(-error, 0))
    accepted = jax.random.uniform(jax.random.fold_in(key, 2), dtype=probability.dtype) < probability
    moved = choose(accepted, Chain(phase.position, log_density, phase.gradient), chain)
    return moved, Info(probability, count, error > DIVERGENCE, energy)

  return Kernel(starter(target), step, acceptance)


def langevin(target: Target, gradient: Callable | None = None, decay: float = 0.0, delay: float = 1.0) -> Kernel:
  """Stochastic-gradient Langevin dynamics (Welling & Teh 2011, equation 4); with a full gradient, Langevin's.

  z ← z + ½ ε² M⁻¹ ĝ + ε N(0, M⁻¹), untested, so of a bias that vanishes with ε = step · (1 + t / delay)^-decay.

  Args:
    target: the density.
    gradient: `gradient(key, position)`, an unbiased estimate of the log-density's; None is that itself.
    decay, delay: of the step size, by transitions.
  """
  estimate = gradient or (lambda key, position: jax.grad(target.log_density)(position))

  def init(position):
    return Chain(position, target.log_density(position), jnp.zeros_like(position))

  def step(key, chain, tuning):
    size = tuning.step_size * (1 + tuning.time / delay) ** -decay
    slope = estimate(jax.random.fold_in(key, 0), chain.position)
    noise = times(scale(tuning), jax.random.normal(jax.random.fold_in(key, 1), slope.shape, slope.dtype))
    position = chain.position + 0.5 * size**2 * times(tuning.inverse_mass, slope) + size * noise
    info = Info(jnp.ones(()), jnp.int32(1), jnp.asarray(False), -chain.log_density)
    return Chain(position, target.log_density(position), slope), info

  return Kernel(init, step, 0.0)


def sweep(conditionals) -> Callable:
  """`sweep(key, values) -> values`: every conditional once, in their order (Geman & Geman 1984)."""

  def through(key, values):
    for i, conditional in enumerate(conditionals):
      values = {**values, **conditional(jax.random.fold_in(key, i), values)}
    return values

  return through


def gibbs(target: Target, conditionals) -> Kernel:
  """Gibbs sampling: each transition draws every block of parameters given the rest.

  Args:
    target: the density, told and not used.
    conditionals: `conditional(key, values) -> values` of some parameters, constrained.
  """
  through = sweep(conditionals)

  def init(position):
    return Chain(position, target.log_density(position), jnp.zeros_like(position))

  def step(key, chain, tuning):
    del tuning
    moved = init(target.unconstrain(through(key, target.constrain(chain.position))))
    return moved, Info(jnp.ones(()), jnp.int32(0), jnp.asarray(False), -chain.log_density)

  return Kernel(init, step, 0.0)
