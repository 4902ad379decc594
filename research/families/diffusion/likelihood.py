"""Likelihoods of a diffusion model: exact along the probability flow, and the variational bound."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from research.families.diffusion import parameterisation
from research.families.diffusion.process import Process
from research.families.diffusion.samplers import Denoise

DIVERGENCES = ("exact", "hutchinson")


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
  """One Runge-Kutta step of fourth order from time t to time s of (x, ∫ div v dt): for `samplers.chain`."""

  def rates(x, time):
    field = lambda x: parameterisation.velocity(process, time, denoise(x, time))
    return velocity_and_divergence(field, x, probes)

  width = s - t
  moved = lambda amount, rate: jax.tree.map(lambda a, b: a + amount * width * b, carry, rate)
  first = rates(carry[0], t)
  second = rates(moved(0.5, first)[0], t + 0.5 * width)
  third = rates(moved(0.5, second)[0], t + 0.5 * width)
  fourth = rates(moved(1.0, third)[0], s)
  total = jax.tree.map(lambda a, b, c, d: (a + 2 * b + 2 * c + d) / 6, first, second, third, fourth)
  return moved(1.0, total)


def log_prior(process: Process, x: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
  """log N(x; 0, σ(end)² I), nats."""
  flat = (x / process.prior_std()).reshape(len(x), -1)
  constant = flat.shape[-1] * (0.5 * math.log(2 * math.pi) + jnp.log(process.prior_std()))
  return -0.5 * jnp.square(flat).sum(-1) - constant


def log_likelihood(
  process: Process,
  denoise: Denoise,
  x: Float[Array, "batch ..."],
  times: Float[Array, " steps+1"],
  probes: Float[Array, "probe batch ..."] | None = None,
) -> Float[Array, " batch"]:
  """log p(x) in nats: log p(x_end) + ∫ div v dt, instantaneous change of variables (Song et al. 2021, eq. 39).

  Of the density of x at `times[-1]`, the process's start; of discrete data add uniform noise first.

  Args:
    process, denoise: the model.
    x: continuous data.
    times: from the process's end to its start, as `samplers.grid` gives them; integrated from start to end.
    probes: as `velocity_and_divergence`.
  """
  forward = times[::-1]
  body = lambda i, carry: flow_step(process, denoise, carry, forward[i], forward[i + 1], probes)
  noise, divergence = jax.lax.fori_loop(0, len(times) - 1, body, (x, jnp.zeros(len(x), x.dtype)))
  return log_prior(process, noise) + divergence


def prior_divergence(process: Process, x: Float[Array, "batch ..."]) -> Float[Array, " batch"]:
  """KL of q(x_end | x) from the prior N(0, σ(end)² I), nats: |α x|² / (2 σ²)."""
  ratio = process.alpha(jnp.asarray(process.end, x.dtype)) / process.prior_std()
  return 0.5 * jnp.square(ratio * x).reshape(len(x), -1).sum(-1)


def grey_levels(levels: int) -> Float[Array, " level"]:
  """The values of pixels of so many levels, from -1 to 1."""
  return jnp.linspace(-1.0, 1.0, levels)


def reconstruction(process: Process, x: Array, key: Key[Array, ""], levels: int = 256) -> Float[Array, " batch"]:
  """-log p(x | x_start) in nats, of pixels with so many grey levels between -1 and 1 (Kingma et al. 2021, eq. 9).

  Each pixel is one of the levels, with probabilities proportional to the likelihood of the noisy value.
  """
  start = jnp.asarray(process.start, x.dtype)
  spread = process.sigma(start) / process.alpha(start)
  noisy = x + spread * jax.random.normal(key, x.shape, x.dtype)
  values = grey_levels(levels)
  logits = -0.5 * jnp.square((noisy[..., None] - values) / spread)
  index = jnp.round((x + 1) * (levels - 1) / 2).astype(jnp.int32)
  logs = jnp.take_along_axis(jax.nn.log_softmax(logits), index[..., None], axis=-1)
  return -logs.reshape(len(x), -1).sum(-1)


def diffusion_loss_step(process: Process, denoise: Denoise, x: Array, log_snr: Array, noise: Array) -> Array:
  """½ |ε - ε̂|² [batch] at a signal-to-noise ratio: what is integrated over λ."""
  t = process.time(log_snr)
  error = noise - denoise(process.diffuse(x, t, noise), t).noise
  return 0.5 * jnp.square(error).reshape(len(x), -1).sum(-1)


def quadrature(process: Process, nodes: int) -> tuple[Float[Array, " node"], Array]:
  """Midpoints in λ from the process's end to its start, and the width of an interval."""
  low, high = process.log_snr(jnp.asarray([process.end, process.start], float))
  return low + (high - low) * (jnp.arange(nodes) + 0.5) / nodes, (high - low) / nodes


def diffusion_loss(
  process: Process, denoise: Denoise, x: Array, key: Key[Array, ""], nodes: int
) -> Float[Array, " batch"]:
  """½ ∫ E|ε - ε̂|² dλ in nats (Kingma et al. 2021, eq. 18), by the midpoint rule in λ: the same λ for all examples.

  The integral depends on the process through the ends of λ alone.
  """
  log_snr, width = quadrature(process, nodes)

  def add(i, total):
    noise = jax.random.normal(jax.random.fold_in(key, i), x.shape, x.dtype)
    return total + diffusion_loss_step(process, denoise, x, log_snr[i], noise)

  return width * jax.lax.fori_loop(0, nodes, add, jnp.zeros(len(x), x.dtype))


def bits_per_dimension(nats: Array, x: Float[Array, "batch ..."]) -> Array:
  """Of nats an example."""
  return nats / (x[0].size * math.log(2))
