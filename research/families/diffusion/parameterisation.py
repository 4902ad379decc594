"""What the network predicts: the noise, the data, v, a velocity, or EDM's preconditioned residual.

Each is a fixed mixture a(t) x + b(t) ε of data and noise.  With x_t = α x + σ ε it makes two equations in two unknowns,
so from any of them x and ε are found, and from those any other: one solution serves all, for every process.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from research.errors import UserError
from research.families.diffusion.process import Process, Time, along

NAMES = ("noise", "data", "v", "velocity", "edm")


class Prediction(NamedTuple):
  """The data and the noise that x_t is believed to be made of: α `data` + σ `noise` = x_t."""

  data: Float[Array, "batch ..."]
  noise: Float[Array, "batch ..."]


def check(name: str) -> None:
  """Raises UserError where there is no such parameterisation."""
  if name not in NAMES:
    raise UserError("config.model.predicts", name, f"choose one of {', '.join(NAMES)}.")


def mixture(name: str, process: Process, t: Time, data_std: float = 1.0) -> tuple[Time, Time]:
  """a and b of the target a x + b ε.

  * noise: ε (Ho et al. 2020, eq. 12); says nothing of the data where α = 0.
  * data: x; says nothing of the noise where σ = 0.
  * v: α ε - σ x (Salimans & Ho 2022, section 4).
  * velocity: dx_t/dt = α' x + σ' ε (Lipman et al. 2023, eq. 8 with the path's derivative).
  * edm: F of Karras et al. 2022, eq. 8 and table 1, of unit variance at every time, for any α:
    (σ x / s - α s ε) / sqrt(α² s² + σ²) with s the data's standard deviation.
  """
  alpha, sigma = process.alpha(t), process.sigma(t)
  if name == "noise":
    return jnp.zeros_like(t), jnp.ones_like(t)
  if name == "data":
    return jnp.ones_like(t), jnp.zeros_like(t)
  if name == "v":
    return -sigma, alpha
  if name == "velocity":
    return process.rates(t)
  total = jnp.sqrt(jnp.square(alpha * data_std) + jnp.square(sigma))
  return sigma / data_std / total, -alpha * data_std / total


def determinant(name: str, process: Process, t: Time, data_std: float = 1.0) -> Time:
  """α b - σ a.  An error e of the output is one of -σ e / det in the data and of α e / det in the noise."""
  a, b = mixture(name, process, t, data_std)
  return process.alpha(t) * b - process.sigma(t) * a


def target(name: str, process: Process, t: Time, data: Array, noise: Array, data_std: float = 1.0) -> Array:
  """What the network is to put out [batch, ...]; t as `Process.diffuse`."""
  a, b = mixture(name, process, t, data_std)
  return along(a, data) * data + along(b, data) * noise


def solve(name: str, process: Process, t: Time, x: Array, output: Array, data_std: float = 1.0) -> Prediction:
  """Data and noise [batch, ...] from x_t and the network's output, by Cramer's rule."""
  a, b = mixture(name, process, t, data_std)
  det = determinant(name, process, t, data_std)
  data = along(b / det, x) * x - along(process.sigma(t) / det, x) * output
  noise = along(process.alpha(t) / det, x) * output - along(a / det, x) * x
  return Prediction(data, noise)


def velocity(process: Process, t: Time, prediction: Prediction) -> Array:
  """dx_t/dt of the probability flow (Song et al. 2021, eq. 13): α' x + σ' ε with their expectations for x and ε."""
  alpha_rate, sigma_rate = process.rates(t)
  return along(alpha_rate, prediction.data) * prediction.data + along(sigma_rate, prediction.noise) * prediction.noise


def score(process: Process, t: Time, prediction: Prediction) -> Array:
  """∇ log p(x_t) = -ε / σ (Song et al. 2021, eq. 7 and Vincent 2011)."""
  return -prediction.noise / along(process.sigma(t), prediction.noise)
