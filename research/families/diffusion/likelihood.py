"""Likelihoods of a diffusion model: exact along the probability flow, and the variational bound."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from research import randomness
from research.families.diffusion import parameterisation, samplers
from research.families.diffusion.process import Process
from research.families.diffusion.samplers import Denoise


def velocity_and_divergence(
  field: Callable, x: Float[Array, "batch ..."], probes: Float[Array, "probe batch ..."] | None
):
  """v(x) [batch, ...] and div v [batch].

  Args:
    field: `field(x) -> v`, each example on its own.
    x: where.
    probes: of Hutchinson's estimate, the mean of e' J e (Song et al. 2021, eq. 40); None: exactly, by one backward pass
      a dimension.

  Reverse mode throughout: `networks.convolution` has no other.
  """
  value, pull_back = jax.vjp(field, x)
  if probes is None:
    size = x[0].size
    basis = jnp.eye(size, dtype=x.dtype).reshape(size, 1, *x.shape[1:])
    probes = jnp.broadcast_to(basis, (size, *x.shape))
    share = 1.0
  else:
    share = 1.0 / len(probes)
  products = jax.lax.map(lambda probe: (probe * pull_back(probe)[0]).reshape(len(x), -1).sum(-1), probes)
  return value, share * products.sum(0)


def flow_step(process: Process, denoise: Denoise, carry, t, s, probes=None):
  """One Runge-Kutta step of fourth order from time t to time s of (x, ∫ div v dt)."""

  def rates(carry, time):
    field = lambda x: parameterisation.velocity(process, time, denoise(x, time))
    return velocity_and_divergence(field, carry[0], probes)

  return runge_kutta(rates, carry, t, s)


def runge_kutta(rates: Callable[[Any, Any], Any], carry: Any, t, s) -> Any:
  """One step of fourth order of d carry / dt = `rates(carry, t)` from time t to time s, of a tree of arrays."""
  width = s - t
  moved = lambda amount, rate: jax.tree.map(lambda a, b: a + amount * width * b, carry, rate)
  first = rates(carry, t)
  second = rates(moved(0.5, first), t + 0.5 * width)
  third = rates(moved(0.5, second), t + 0.5 * width)
  fourth = rates(moved(1.0, third), s)
  total = jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, first, second, third, fourth)
  return moved(1.0, total)


def log_prior(process: Process, x: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
  """log N(x; 0, σ(end)² I), nats."""
  flat = (x / process.prior_std()).reshape(len(x), -1)
  constant = flat.shape[-1] * (0.5 * math.log(2 * math.pi) + jnp.log(process.prior_std()))
  return -0.5 * jnp.square(flat).sum(-1) - constant


Setup = Callable[[Any], tuple[Process, Denoise]]


def log_likelihood(setup: Setup, probes: int = 0, loop: str = "auto") -> Callable[..., Float[Array, " batch"]]:
  """`run(args, x, times, key) -> log p(x)` in nats: log p(x_end) + ∫ div v dt (Song et al. 2021, eq. 39).

  Of the density at `times[-1]`, the process's start; of discrete data, add uniform noise first.

  Args:
    setup: `setup(args) -> (process, denoise)`: the model, of its variables.
    probes: number of Rademacher vectors of Hutchinson's estimate of the divergence; 0: exactly.
    loop: as `samplers.chain`.

  `times` go from the process's end to its start, as `samplers.grid` gives them; integrated from start to end.
  """

  def step(args, carry, t, s, key):
    del key
    inner, vectors = args
    return flow_step(*setup(inner), carry, t, s, vectors)

  integrate = samplers.chain(step, loop, differentiates=True)

  def run(args, x, times, key):
    vectors = jax.random.rademacher(key, (probes, *x.shape), x.dtype) if probes else None
    noise, divergence = integrate((args, vectors), (x, jnp.zeros(len(x), x.dtype)), times[::-1], key)
    return log_prior(setup(args)[0], noise) + divergence

  return run


def prior_divergence(process: Process, x: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
  """KL of q(x_end | x) from the prior N(0, σ(end)² I), nats: |α x|² / (2 σ²)."""
  ratio = process.alpha(jnp.asarray(process.end, x.dtype)) / process.prior_std()
  return 0.5 * jnp.square(ratio * x).reshape(len(x), -1).sum(-1)


def grey_levels(levels: int) -> Float[Array, " level"]:
  """The values of pixels of so many levels, from -1 to 1."""
  return jnp.linspace(-1.0, 1.0, levels)


def reconstruction(process: Process, x: Array, key: Key[Array, "*batch"], levels: int = 256) -> Float[Array, " batch"]:
  """-log p(x | x_start) in nats, of pixels with so many grey levels between -1 and 1 (Kingma et al. 2021, eq. 9).

  Each pixel is one of the levels, with probabilities proportional to the likelihood of the noisy value.
  """
  start = jnp.asarray(process.start, x.dtype)
  spread = process.sigma(start) / process.alpha(start)
  noisy = x + spread * randomness.normal(key, x.shape, x.dtype)
  values = grey_levels(levels)
  logits = -0.5 * jnp.square((noisy[..., None] - values) / spread)
  index = jnp.round((x + 1) * (levels - 1) / 2).astype(jnp.int32)
  logs = jnp.take_along_axis(jax.nn.log_softmax(logits), index[..., None], axis=-1)
  return -logs.reshape(len(x), -1).sum(-1)


class Bound(NamedTuple):
  """The three parts of a bound on -log p(x), in nats, one an example [batch] (Kingma et al. 2021, eq. 11)."""

  prior: Array
  reconstruction: Array
  diffusion: Array

  def total(self) -> Array:
    """The bound itself."""
    return self.prior + self.reconstruction + self.diffusion


def variational_bound(setup: Setup, nodes: int, levels: int = 256, loop: str = "auto") -> Callable[..., Bound]:
  """`run(args, x, key) -> Bound` for pixels x of so many grey levels, scaled to -1 to 1: the continuous-time bound.

  `key` is one, or one an example, whose bound then does not depend on the batch.

  Its diffusion part is ½ ∫ E|ε - ε̂|² dλ (Kingma et al. 2021, eq. 18), by the midpoint rule: `nodes` values of λ, the
  same for all examples.  It depends on the schedule through the ends of λ alone.

  Args:
    setup, loop: as `log_likelihood`.
    nodes: of the quadrature.
    levels: of a pixel.
  """

  def add(args, total, log_snr, next_log_snr, key):
    inner, x = args
    process, denoise = setup(inner)
    t = process.time(0.5 * (log_snr + next_log_snr))
    noise = randomness.normal(key, x.shape, x.dtype)
    error = noise - denoise(process.diffuse(x, t, noise), t).noise
    return total + 0.5 * (next_log_snr - log_snr) * jnp.square(error).reshape(len(x), -1).sum(-1)

  integrate = samplers.chain(add, loop)

  @jax.jit
  def rest(args, x, key):
    process = setup(args)[0]
    return prior_divergence(process, x), reconstruction(process, x, key, levels)

  def run(args, x, key):
    process = setup(args)[0]
    ends = process.log_snr(jnp.asarray([process.end, process.start], float))
    diffusion = integrate((args, x), jnp.zeros(len(x), x.dtype), jnp.linspace(*ends, nodes + 1), key)
    return Bound(*rest(args, x, randomness.stream_key(key, "reconstruction")), diffusion)

  return run


def bits_per_dimension(nats: Float[Array, " batch"], size: int) -> Float[Array, " batch"]:
  """Nats of an example of `size` dimensions as bits of one."""
  return nats / (size * math.log(2))
