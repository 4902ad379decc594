"""Likelihoods of Gaussian data under the exact denoiser, against SciPy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.families.diffusion import likelihood, samplers
from research.families.diffusion import process as process_lib
from tests.families.diffusion import gaussian


def exact_model(name):
  process = process_lib.fixed(name)
  return lambda args: (process, gaussian.denoiser(process))


@pytest.mark.parametrize("name", ["linear", "cosine", "edm", "rectified_flow"])
def test_probability_flow_likelihood_of_a_gaussian(name):
  """The density at the start is that of the data but for the noise that is left; the prior is N(0, σ²)."""
  setup, x = exact_model(name), jnp.asarray(gaussian.draw(50))
  process = setup(())[0]
  times = samplers.grid(process, 60, "uniform" if name == "rectified_flow" else "log_snr")
  found = likelihood.log_likelihood(setup)((), x, times, jax.random.key(0))
  # The prior leaves out what is left of the data's mean at the end: 1/80 of it in EDM.
  np.testing.assert_allclose(found, gaussian.log_density(x), atol=0.05 if name == "edm" else 0.02)


def test_hutchinson_estimates_the_divergence_without_bias():
  rng = np.random.default_rng(0)
  matrix, x = rng.normal(size=(3, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
  field = lambda x: jnp.sin(x) @ matrix
  divergence = jax.jit(lambda probes: likelihood.velocity_and_divergence(field, x, probes)[1])
  exact = divergence(None)
  jacobians = np.asarray(jax.jit(jax.vmap(jax.jacfwd(field)))(x))
  np.testing.assert_allclose(exact, np.trace(jacobians, axis1=1, axis2=2), rtol=1e-5)
  estimate = divergence(rng.choice(np.float32([-1, 1]), (4000, *x.shape)))
  np.testing.assert_allclose(estimate, exact, atol=0.15)


def test_hutchinson_likelihood_is_near_the_exact_one():
  setup, x = exact_model("linear"), jnp.asarray(gaussian.draw(300))
  times = samplers.grid(setup(())[0], 30, "log_snr")
  found = likelihood.log_likelihood(setup, probes=2)((), x, times, jax.random.key(0))
  np.testing.assert_allclose(found.mean(), gaussian.log_density(x).mean(), atol=0.06)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_variational_bound_of_a_gaussian_is_its_negative_log_likelihood(name):
  """Of 8-bit data: the density times the width of a grey level.  With the exact denoiser the bound is tight."""
  process, std, levels = process_lib.fixed(name), 0.25, 256
  values = np.round((gaussian.draw(4000) * 0 + np.random.default_rng(0).normal(0, std, (4000, 2)) + 1) * 127.5)
  x = jnp.asarray(values / 127.5 - 1, jnp.float32)
  denoise = gaussian.denoiser(process, np.zeros(2, np.float32), np.float32(std**2) * np.eye(2, dtype=np.float32))
  bound = likelihood.variational_bound(lambda args: (process, denoise), nodes=200, levels=levels)
  found = bound((), x, jax.random.key(0))
  density = 0.5 * (np.asarray(x) ** 2 / std**2).sum(1) + 2 * np.log(std * np.sqrt(2 * np.pi))
  exact = density - 2 * np.log(2 / (levels - 1))
  total = np.asarray(found.total())
  assert (total - exact).mean() > -4 * (total - exact).std() / np.sqrt(len(x)), "a bound"
  np.testing.assert_allclose(total.mean(), exact.mean(), atol=0.06)
  np.testing.assert_allclose(likelihood.bits_per_dimension(total, 2).mean(), exact.mean() / 2 / np.log(2), atol=0.05)


def test_prior_divergence_is_that_of_gaussians():
  """KL of N(αx, σ²) from N(0, σ²), by Monte Carlo of the log ratio."""
  process, x = process_lib.fixed("linear"), jnp.asarray([[3.0, -2.0]])
  alpha, sigma = float(process.alpha(jnp.float32(1.0))), float(process.sigma(jnp.float32(1.0)))
  z = alpha * np.asarray(x) + sigma * np.random.default_rng(0).normal(size=(400_000, 2))
  ratio = ((z**2 - (z - alpha * np.asarray(x)) ** 2) / (2 * sigma**2)).sum(1)
  np.testing.assert_allclose(likelihood.prior_divergence(process, x)[0], ratio.mean(), atol=2e-4)


def test_the_schedule_changes_the_bound_only_through_its_ends():
  """The diffusion part of two learned schedules with the same ends, for a denoiser that knows λ alone."""
  found = []
  for shift in (0.0, 1.5):
    schedule = jax.jit(process_lib.init_schedule)(jax.random.key(1))
    schedule = {**schedule, "output": schedule["output"] + 4 * shift}
    process = process_lib.learned(schedule, 8.0, -8.0)
    denoise = gaussian.denoiser(process, np.zeros(2, np.float32), np.eye(2, dtype=np.float32) * 0.09)
    x = jnp.asarray(np.random.default_rng(0).normal(0, 0.3, (3000, 2)), jnp.float32)
    run = likelihood.variational_bound(lambda args, p=process, d=denoise: (p, d), nodes=60)
    found.append((jax.jit(process.log_snr)(np.float32(0.2)), run((), x, jax.random.key(0)).diffusion.mean()))
  middle = [float(log_snr) for log_snr, _ in found]
  assert abs(middle[0] - middle[1]) > 0.3, "they are two schedules"
  np.testing.assert_allclose(found[0][1], found[1][1], rtol=2e-3)
