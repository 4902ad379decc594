"""Gaussian diffusion processes in continuous time: x_t = α(t) x + σ(t) ε, from data at `start` to noise at `end`.

One object for all of them.  Loss, sampler and likelihood ask it for α, σ, the log signal-to-noise ratio λ = log(α²/σ²),
their derivatives and the time at which λ has a value, and never for its name.  Times are arrays of any shape.

Song et al. 2021 (score SDE), Kingma et al. 2021 (VDM), Karras et al. 2022 (EDM), Lipman et al. 2023 (flow matching).
"""

import dataclasses
import math
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from research.errors import UserError

Time = Float[Array, "*times"]
Function = Callable[[Time], Time]


@dataclasses.dataclass(frozen=True)
class Process:
  """The marginals x_t | x ~ N(α(t) x, σ(t)² I) of a diffusion, or of a straight flow between data and noise.

  Attributes:
    alpha: what is left of the data at a time; at `end` nothing to speak of, or little beside the noise.
    sigma: standard deviation of the noise.
    log_snr: λ(t) = log(α²/σ²), strictly decreasing; infinite where α or σ is 0.
    time: its inverse.
    start, end: times of data and of noise; at `start` the noise that is left is below a grey level of 8 bits.
  """

  alpha: Function
  sigma: Function
  log_snr: Function
  time: Function
  start: float
  end: float

  def rates(self, t: Time) -> tuple[Time, Time]:
    """dα/dt and dσ/dt."""
    return _derivative(self.alpha, t), _derivative(self.sigma, t)

  def log_snr_rate(self, t: Time) -> Time:
    """dλ/dt, negative."""
    return _derivative(self.log_snr, t)

  def drift(self, t: Time) -> Time:
    """f of the forward equation dx = f(t) x dt + g(t) dw: f = d log α/dt (Kingma et al. 2021, appendix B)."""
    return self.rates(t)[0] / self.alpha(t)

  def squared_diffusion(self, t: Time) -> Time:
    """g² of the forward equation: g² = dσ²/dt - 2 f σ² = -σ² dλ/dt."""
    return -jnp.square(self.sigma(t)) * self.log_snr_rate(t)

  def diffuse(self, x: Float[Array, "batch ..."], t: Time, noise: Float[Array, "batch ..."]) -> Array:
    """x_t of the data `x`, at one time or one time an example."""
    return along(self.alpha(t), x) * x + along(self.sigma(t), x) * noise

  def transition(self, s: Time, t: Time) -> tuple[Time, Time]:
    """α and σ² of x_t | x_s for s < t (Kingma et al. 2021, eq. 3 and appendix A.1)."""
    ratio = self.alpha(t) / self.alpha(s)
    # σ_t² - ratio² σ_s², as a product: the difference of two numbers near 1 has no digits left.
    return ratio, -jnp.square(self.sigma(t)) * jnp.expm1(self.log_snr(t) - self.log_snr(s))

  def prior_std(self) -> Array:
    """Standard deviation of the noise that sampling starts from."""
    return self.sigma(jnp.asarray(self.end, float))


def along(values: Time, x: Float[Array, "batch ..."]) -> Array:
  """A scalar, or one number an example, shaped to multiply `x`."""
  return values.reshape(values.shape + (1,) * (x.ndim - values.ndim)) if values.ndim else values


def _derivative(function: Function, t: Time) -> Time:
  """Of an elementwise function."""
  return jax.jvp(function, (t,), (jnp.ones_like(t),))[1]


def variance_preserving(log_snr: Function, time: Function, start: float, end: float) -> Process:
  """The process of a schedule λ with α² + σ² = 1: α² = sigmoid(λ), exact at both ends."""
  alpha = lambda t: jnp.exp(0.5 * jax.nn.log_sigmoid(log_snr(t)))
  sigma = lambda t: jnp.exp(0.5 * jax.nn.log_sigmoid(-log_snr(t)))
  return Process(alpha, sigma, log_snr, time, start, end)


def linear(first: float = 0.1, last: float = 20.0) -> Process:
  """β(t) from `first` to `last`, linear in t: Ho et al. 2020, made continuous (Song et al. 2021, eq. 32).

  With B(t) = ∫₀ᵗ β, α² = exp(-B), so λ = -log(exp(B) - 1).  It starts at t = 0.001, the first of Ho's 1,000 steps.
  """
  slope = last - first

  def log_snr(t):
    area = first * t + 0.5 * slope * jnp.square(t)
    return -area - jnp.log(-jnp.expm1(-area))  # exp(B) overflows no sooner than this does

  def time(value):
    area = jax.nn.softplus(-value)
    return 2 * area / (first + jnp.sqrt(first**2 + 2 * slope * area))

  return variance_preserving(log_snr, time, 1e-3, 1.0)


def cosine(offset: float = 0.008) -> Process:
  """α² = cos²φ(t) / cos²φ(0), φ = (t + s) / (1 + s) · π/2 (Nichol & Dhariwal 2021, eq. 17)."""
  angle = lambda t: (t + offset) / (1 + offset) * (math.pi / 2)
  first = math.pi / 2 * offset / (1 + offset)

  def log_snr(t):
    phi = angle(t)
    # cos²φ₀ - cos²φ as a product: it has no digits left near t = 0.
    return 2 * jnp.log(jnp.cos(phi)) - jnp.log(jnp.sin(phi - first)) - jnp.log(jnp.sin(phi + first))

  def time(value):
    cosine_squared, rest = jax.nn.sigmoid(value), jax.nn.sigmoid(-value)
    sine = jnp.sqrt(math.sin(first) ** 2 + math.cos(first) ** 2 * rest)
    phi = jnp.arctan2(sine, math.cos(first) * jnp.sqrt(cosine_squared))
    return phi * (1 + offset) / (math.pi / 2) - offset

  # Beyond, λ leaves [-13, 10]: Nichol & Dhariwal's clipping of β at 0.999 does the same.
  return variance_preserving(log_snr, time, 1e-3, 0.999)


def edm(smallest: float = 0.002, largest: float = 80.0) -> Process:
  """x_t = x + t ε: α = 1, σ = t (Karras et al. 2022, table 1, right column)."""
  log_snr = lambda t: -2 * jnp.log(t)
  time = lambda value: jnp.exp(-0.5 * value)
  return Process(jnp.ones_like, lambda t: t, log_snr, time, smallest, largest)


def rectified_flow() -> Process:
  """x_t = (1 - t) x + t ε, a straight line from data to noise (Liu et al. 2023; Lipman et al. 2023, σ_min = 0)."""
  log_snr = lambda t: 2 * (jnp.log1p(-t) - jnp.log(t))
  return Process(lambda t: 1 - t, lambda t: t, log_snr, lambda value: jax.nn.sigmoid(-0.5 * value), 0.0, 1.0)


Schedule = Mapping[str, Array]


def init_schedule(key: Key[Array, ""], width: int = 64) -> Schedule:
  """Parameters of `learned`, at first nearly a straight λ(t)."""
  weight, bias = jax.random.normal(key, (2, width))
  small = jnp.full((width,), -6.0)
  return {"slope": jnp.zeros(()), "weight": 0.1 * weight + 1, "bias": 2 * bias, "output": small}


def learned(schedule: Schedule, highest: float = 10.0, lowest: float = -10.0) -> Process:
  """The monotone schedule of variational diffusion models, from λ(0) = `highest` to λ(1) = `lowest`.

  A network of one hidden layer with positive weights and a linear part (Kingma et al. 2021, appendix H), whose ends are
  pinned.  Its inverse is found by bisection, and does not carry gradients.
  """

  def rise(t):
    hidden = jax.nn.sigmoid(jnp.exp(schedule["weight"]) * (4 * t[..., None] - 2) - schedule["bias"])
    return jnp.exp(schedule["slope"]) * t + (jnp.exp(schedule["output"]) * hidden).sum(-1)

  def log_snr(t):
    bottom, top = rise(jnp.zeros(())), rise(jnp.ones(()))
    return highest - (highest - lowest) * (rise(t) - bottom) / (top - bottom)

  def time(value):
    def halve(_, bounds):
      low, high = bounds
      middle = 0.5 * (low + high)
      later = log_snr(middle) > value
      return jnp.where(later, middle, low), jnp.where(later, high, middle)

    low, high = jax.lax.fori_loop(0, 40, halve, (jnp.zeros_like(value), jnp.ones_like(value)))
    return jax.lax.stop_gradient(0.5 * (low + high))

  return variance_preserving(log_snr, time, 0.0, 1.0)


FIXED = {"linear": linear, "cosine": cosine, "edm": edm, "rectified_flow": rectified_flow}


def fixed(name: str) -> Process:
  """The process of that name, with its paper's constants.

  Raises:
    UserError: there is none.
  """
  if name not in FIXED:
    raise UserError("config.model.process", name, f"choose one of {', '.join((*FIXED, 'learned'))}.")
  return FIXED[name]()
