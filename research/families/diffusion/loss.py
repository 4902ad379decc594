"""The training loss: the squared error of what the network predicts, at random times, weighted.

All of Ho's simple loss, the variational bound, EDM's, flow matching and min-SNR are this, with another weight and
another distribution of times (Kingma & Gao 2023).
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research import axes
from research.errors import UserError
from research.families.diffusion import parameterisation
from research.families.diffusion.process import Process, Time

WEIGHTINGS = ("output", "noise", "min_snr", "elbo")
TIMES = ("uniform", "logit_normal", "log_normal")


def check(weighting: str, times: str, process: Process) -> None:
  """Raises UserError where there is no such weighting or distribution of times, or not for this process."""
  if weighting not in WEIGHTINGS:
    raise UserError("config.train.weighting", weighting, f"choose one of {', '.join(WEIGHTINGS)}.")
  if times not in TIMES:
    raise UserError("config.train.times", times, f"choose one of {', '.join(TIMES)}.")
  if weighting == "elbo" and times != "uniform":
    raise UserError("config.train.times", times, "the bound is an integral over uniform times: choose uniform.")
  ends = process.log_snr(jnp.asarray([process.start, process.end], float))
  if weighting == "elbo" and not bool(jnp.isfinite(ends).all()):
    remedy = "the bound is infinite for a process without noise at its start: choose output, noise or min_snr."
    raise UserError("config.train.weighting", weighting, remedy)


def weight(name: str, process: Process, t: Time, predicts: str, data_std: float = 1.0, clip: float = 5.0) -> Time:
  """The factor of the squared error of the network's *output*.

  * output: 1. With noise predicted Ho's simple loss, with velocity flow matching's, with edm that of EDM.
  * noise: such that the error of the noise counts 1 (Ho et al. 2020, eq. 14), whatever is predicted.
  * min_snr: such that the error of the data counts min(α²/σ², `clip`) (Hang et al. 2023, section 3.4).
  * elbo: such that the error of the noise counts -λ'(t) / 2: the variational bound (Kingma et al. 2021, eq. 17).
  """
  if name == "output":
    return jnp.ones_like(t)
  det = parameterisation.determinant(predicts, process, t, data_std)
  of_noise, of_data = jnp.square(process.alpha(t) / det), jnp.square(process.sigma(t) / det)
  if name == "noise":
    return of_noise
  if name == "elbo":
    return -0.5 * process.log_snr_rate(t) * of_noise
  # min(α²/σ², clip) σ²/det², where α²/σ² may be infinite.
  return jnp.minimum(of_noise, clip * of_data)


def draw_times(key: Key[Array, ""], count: int, name: str, process: Process) -> Float[Array, " batch"]:
  """One time for each of this device's `count` examples, spread evenly over the global batch.

  A single uniform number is drawn and stepped through [0, 1) (Kingma et al. 2021, appendix I.1), so that the batch
  covers all times; then mapped by the distribution's quantile function:

  * uniform in t;
  * logit_normal: t = sigmoid(z) (Esser et al. 2024, section 3.1), scaled to the process's span;
  * log_normal: log(σ/α) ~ N(-1.2, 1.2²) (Karras et al. 2022, table 1).
  """
  positions = axes.index() * count + jnp.arange(count)
  # The examples' places are in random order already, as the data are.
  return quantiles((jax.random.uniform(key) + positions / (count * axes.size())) % 1.0, name, process)


def evaluation_times(places: Int[Array, " batch"], name: str, process: Process) -> Float[Array, " batch"]:
  """A time for each example by its place in the set: the same in every batch, run and on every device.

  Multiples of the golden section modulo 1, of which any stretch is spread evenly; in integers, which do not round.
  """
  steps = jnp.asarray(places).astype(jnp.uint32) * jnp.uint32(2654435769)  # 2^32 times the golden section, modulo 2^32
  return quantiles((steps >> 8).astype(jnp.float32) / 2**24, name, process)


def quantiles(uniform: Float[Array, " batch"], name: str, process: Process) -> Float[Array, " batch"]:
  """Numbers from 0 to 1 as times of the distribution `name`, see `draw_times`."""
  if name == "uniform":
    return process.start + (process.end - process.start) * uniform
  normal = jax.scipy.special.ndtri(jnp.clip(uniform, 1e-6, 1 - 1e-6))
  if name == "logit_normal":
    return process.start + (process.end - process.start) * jax.nn.sigmoid(normal)
  return jnp.clip(process.time(-2 * (1.2 * normal - 1.2)), process.start, process.end)
