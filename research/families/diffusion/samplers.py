"""Samplers, each written once against the process object: from noise at `end` to data at `start`.

A sampler's step goes from time t to an earlier time s.  What calls it in turn is `chain`, which chooses between a loop
on the device and one on the host.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research import randomness, target
from research.errors import UserError
from research.families.diffusion import parameterisation
from research.families.diffusion.parameterisation import Prediction
from research.families.diffusion.process import Process, Time

Denoise = Callable[[Array, Time], Prediction]
LOG_SNR_RANGE = 13.0  # what a grid that is even in λ spans of a process whose λ is infinite at its ends


class Sampler(NamedTuple):
  """How to go from x_t to x_s.

  Attributes:
    init: `init(x) -> memory`: what a step leaves to the next one.
    step: `step(process, denoise, x, memory, t, s, key) -> x, memory`, with `denoise(x, t) -> Prediction`; one key, or
      one an example, whose samples then do not depend on the batch.
    evaluations: of the network, a step.
  """

  init: Callable[[Array], Any]
  step: Callable[..., tuple[Array, Any]]
  evaluations: int = 1


def _nothing(x):
  del x
  return ()


def ddim(eta: float = 0.0) -> Sampler:
  """DDIM (Song, Meng & Ermon 2021, eq. 12 and 16): deterministic with `eta` 0, ancestral sampling with 1.

  The variance that is added is η² times that of q(x_s | x_t, x), so it holds for any process.
  """

  def step(process, denoise, x, memory, t, s, key):
    data, noise = denoise(x, t)
    _, variance = process.transition(s, t)
    added = jnp.square(eta * process.sigma(s) / process.sigma(t)) * variance
    kept = jnp.sqrt(jnp.maximum(jnp.square(process.sigma(s)) - added, 0))
    fresh = randomness.normal(key, x.shape, x.dtype) if eta else 0.0
    return process.alpha(s) * data + kept * noise + jnp.sqrt(added) * fresh, memory

  return Sampler(_nothing, step)


def ancestral() -> Sampler:
  """DDPM's sampler (Ho et al. 2020, algorithm 2): q(x_s | x_t, x) with the predicted x (VDM, eq. 26)."""

  def step(process, denoise, x, memory, t, s, key):
    prediction = denoise(x, t)
    ratio, variance = process.transition(s, t)
    share = jnp.square(process.sigma(s) / process.sigma(t))
    mean = ratio * share * x + process.alpha(s) * variance / jnp.square(process.sigma(t)) * prediction.data
    return mean + jnp.sqrt(variance * share) * randomness.normal(key, x.shape, x.dtype), memory

  return Sampler(_nothing, step)


def euler() -> Sampler:
  """One Euler step of the probability flow in t: the usual sampler of flow matching."""

  def step(process, denoise, x, memory, t, s, key):
    del key
    return x + (s - t) * parameterisation.velocity(process, t, denoise(x, t)), memory

  return Sampler(_nothing, step)


def heun(churn: float = 0.0, noise_scale: float = 1.0) -> Sampler:
  """Heun's second-order step of the probability flow, with optional churn (Karras et al. 2022, algorithms 1 and 2).

  Args:
    churn: γ: at every step the noise σ/α is first raised by the factor 1 + γ, by fresh noise; 0 is deterministic.
    noise_scale: S_noise: of the fresh noise.

  A step into time 0 of a process that ends there without noise is Euler's, as in the paper.
  """

  def step(process, denoise, x, memory, t, s, key):
    if churn:
      higher = jnp.minimum(process.time(process.log_snr(t) - 2 * jnp.log1p(churn)), process.end)
      ratio, variance = process.transition(t, higher)
      fresh = noise_scale * randomness.normal(key, x.shape, x.dtype)
      # At the very end there is no later time.
      x = jnp.where(higher > t, ratio * x + jnp.sqrt(variance) * fresh, x)
      t = higher
    first = parameterisation.velocity(process, t, denoise(x, t))
    guess = x + (s - t) * first
    second = parameterisation.velocity(process, s, denoise(guess, s))
    second = jnp.where(process.sigma(s) > 0, second, first)
    return x + 0.5 * (s - t) * (first + second), memory

  return Sampler(_nothing, step, evaluations=2)


def dpm_solver(stochastic: bool = False) -> Sampler:
  """DPM-Solver++(2M), the multistep one of second order in the data prediction (Lu et al. 2022, algorithm 2).

  With `stochastic` SDE-DPM-Solver++(2M), of the reverse diffusion in place of the probability flow (Lu et al. 2022,
  appendix A): of first order it would be ancestral sampling.  Fresh noise makes up for what the network got wrong.
  """

  def step(process, denoise, x, memory, t, s, key):
    before, width_before = memory
    data = denoise(x, t).data
    width = 0.5 * (process.log_snr(s) - process.log_snr(t))
    half = 0.5 * width / width_before
    # Of first order where there is no step before, and into or out of an end without noise or without data.
    half = jnp.where(jnp.isfinite(half), half, 0.0)
    ahead = data + half * (data - before)
    kept, alpha, sigma = process.sigma(s) / process.sigma(t), process.alpha(s), process.sigma(s)
    if not stochastic:
      return kept * x - alpha * jnp.expm1(-width) * ahead, (data, width)
    renewed = -jnp.expm1(-2 * width)  # share of the noise's variance
    fresh = sigma * jnp.sqrt(renewed) * randomness.normal(key, x.shape, x.dtype)
    return kept * jnp.exp(-width) * x + alpha * renewed * ahead + fresh, (data, width)

  return Sampler(lambda x: (jnp.zeros_like(x), jnp.asarray(jnp.inf, x.dtype)), step)


def by_name(name: str, eta: float = 0.0, churn: float = 0.0) -> Sampler:
  """The sampler that a config names.

  Raises:
    UserError: there is none.
  """
  samplers = {"ancestral": ancestral, "euler": euler, "dpm_solver": dpm_solver}
  samplers |= {"ddim": lambda: ddim(eta), "heun": lambda: heun(churn), "sde_dpm_solver": lambda: dpm_solver(True)}
  if name not in samplers:
    raise UserError("config.sampler.name", name, f"choose one of {', '.join(sorted(samplers))}.")
  return samplers[name]()


def grid(process: Process, steps: int, spacing: str = "uniform", rho: float = 7.0) -> Float[Array, " steps+1"]:
  """Times from the process's end to its start.

  Args:
    process: whose span is divided.
    steps: number of steps, at least 1.
    spacing: uniform in t; log_snr, even in λ (Lu et al. 2022); karras, even in (σ/α)^(1/rho) (EDM, eq. 5).
    rho: of karras.

  Raises:
    UserError: no such spacing, or fewer than one step.
  """
  check_grid(steps, spacing)
  along = jnp.linspace(0.0, 1.0, steps + 1)
  ends = process.log_snr(jnp.asarray([process.end, process.start], float))
  low, high = jnp.clip(ends, -LOG_SNR_RANGE, LOG_SNR_RANGE)
  if spacing == "uniform":
    times = process.end + (process.start - process.end) * along
  elif spacing == "log_snr":
    times = process.time(low + (high - low) * along)
  else:
    largest, smallest = (jnp.exp(-0.5 * value / rho) for value in (low, high))
    times = process.time(-2 * rho * jnp.log(largest + (smallest - largest) * along))
  return times.at[0].set(process.end).at[-1].set(process.start)


def check_grid(steps: int, spacing: str) -> None:
  """Raises UserError where `grid` has no such spacing, or there is no step."""
  if steps < 1:
    raise UserError("config.sampler.steps", steps, "take at least one step.")
  if spacing not in ("uniform", "log_snr", "karras"):
    raise UserError("config.sampler.spacing", spacing, "choose one of uniform, log_snr, karras.")


def constrained(sampler: Sampler, constrain: Callable, repeats: int = 1) -> Sampler:
  """A sampler that is told something about the result.

  Args:
    sampler: what goes from t to s.
    constrain: `constrain(process, x, s, key) -> x`: corrects x_s, as `keep` and `match_low_pass` do.
    repeats: RePaint's resampling (Lugmayr et al. 2022, algorithm 1): so many times a step is taken; in between x_s is
      diffused back to t, so that what was corrected and what was not come to fit.
  """

  def step(process, denoise, x, memory, t, s, key):
    for i in range(repeats):
      again = randomness.fold_in(key, i)
      step_key, constrain_key, back_key = (randomness.fold_in(again, use) for use in range(3))
      if i:
        ratio, variance = process.transition(s, t)
        x = ratio * x + jnp.sqrt(variance) * randomness.normal(back_key, x.shape, x.dtype)
      x, new_memory = sampler.step(process, denoise, x, memory, t, s, step_key)
      x = constrain(process, x, s, constrain_key)
    return x, new_memory

  return sampler._replace(step=step, evaluations=sampler.evaluations * repeats)


def keep(known: Array, mask: Array) -> Callable:
  """The constraint of inpainting: where `mask` is 1, x_s is the diffused `known` (Song et al. 2021, appendix I.2)."""

  def constrain(process, x, s, key):
    noisy = process.diffuse(known, s, randomness.normal(key, x.shape, x.dtype))
    return jnp.where(mask > 0, noisy, x)

  return constrain


def low_pass(x: Float[Array, "batch height width channel"], factor: int) -> Array:
  """Every block of factor x factor pixels replaced by its mean; of sides that `factor` does not divide, the last blocks
  are smaller."""
  height, width = x.shape[1:3]
  add = lambda size: jax.nn.one_hot(jnp.arange(size) // factor, -(-size // factor), dtype=x.dtype)  # [place, block]
  mean = lambda size: add(size) / add(size).sum(0)
  return jnp.einsum(
    "yr,xs,bijc,ir,js->byxc", add(height), add(width), x, mean(height), mean(width), precision="highest"
  )


def match_low_pass(reference: Array, factor: int) -> Callable:
  """The constraint of super-resolution: x_s has the low frequencies of the diffused reference (ILVR: Choi et al. 2021,
  algorithm 1)."""

  def constrain(process, x, s, key):
    noisy = process.diffuse(reference, s, randomness.normal(key, x.shape, x.dtype))
    return x + low_pass(noisy - x, factor)

  return constrain


LOOPS = ("auto", "host", "device")


def chain(step: Callable, loop: str = "auto", differentiates: bool = False) -> Callable:
  """`run(args, carry, times, key) -> carry`: `step(args, carry, t, s, key) -> carry` between consecutive times.

  Args:
    step: pure.
    loop: device: one compiled program with the loop inside; host: a compiled step, called for every interval.  auto is
      `device`, but `host` for gradients of convolutions on CPU, which XLA runs several times slower inside a loop.  Of
      forward passes a U-Net's 50 steps of DDIM took 4 to 15 % less inside.
    differentiates: whether the step takes gradients, as the exact likelihood does.

  `run` compiles once for equal shapes.
  """
  if loop not in LOOPS:
    raise UserError("config.sampler.loop", loop, f"choose one of {', '.join(LOOPS)}.")
  one = jax.jit(step)

  @jax.jit
  def all_of_them(args, carry, times, key):
    body = lambda i, carry: step(args, carry, times[i], times[i + 1], randomness.fold_in(key, i))
    return jax.lax.fori_loop(0, len(times) - 1, body, carry)

  chosen = []  # once: to look for a convolution is to trace the step again

  def run(args, carry, times, key):
    if not chosen:
      slow = loop == "auto" and differentiates and convolves_on_cpu(one, args, carry, times[0], times[1], key)
      chosen.append("host" if slow or loop == "host" else "device")
    if chosen == ["device"]:
      return all_of_them(args, carry, times, key)
    for i in range(len(times) - 1):
      carry = one(args, carry, times[i], times[i + 1], randomness.fold_in(key, i))
    return carry

  return run


def convolves_on_cpu(step: Callable, *args) -> bool:
  """Whether the function runs on CPU and has a convolution."""
  return target.platform() == "cpu" and "stablehlo.convolution" in jax.jit(step).lower(*args).as_text()
