"""The processes: their marginals against the simulated equation, their inverses, the parameterisations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from research.errors import UserError
from research.families.diffusion import parameterisation
from research.families.diffusion import process as process_lib

PROCESSES = {name: process_lib.fixed(name) for name in process_lib.FIXED}
SCHEDULE = jax.tree.map(lambda x: x + 0.3, process_lib.init_schedule(jax.random.key(3)))
PROCESSES["learned"] = process_lib.learned(SCHEDULE)


def inside(process, count=9):
  """Times between start and end, both left out."""
  return np.linspace(process.start, process.end, count + 2, dtype=np.float32)[1:-1]


@pytest.mark.parametrize("name", PROCESSES)
def test_simulating_the_forward_equation_gives_the_marginals(name):
  """Euler-Maruyama of dx = f x dt + g dw from x(s) = 1 against the closed form of mean and standard deviation."""
  process = PROCESSES[name]
  # Where f and g are tame: the flow's are infinite at its end.  EDM's times are spread over five decades.
  first, last = {"edm": (0.1, 3.0), "rectified_flow": (0.1, 0.7)}.get(name, (0.05, 0.7))
  steps, particles = 800, 20_000
  times, rng = np.linspace(first, last, steps + 1), np.random.default_rng(0)
  middle = jnp.asarray((times[1:] + times[:-1]) / 2, jnp.float32)
  drift, squared = jax.device_get(jax.jit(lambda t: (process.drift(t), process.squared_diffusion(t)))(middle))
  diffusion = np.sqrt(squared)
  width = (last - first) / steps
  x = np.ones(particles)
  for i in range(steps):
    x += drift[i] * x * width + diffusion[i] * np.sqrt(width) * rng.normal(size=particles)
  early, late = np.float32(first), np.float32(last)
  mean, variance = jax.device_get(jax.jit(process.transition)(early, late))
  std = np.sqrt(variance)
  np.testing.assert_allclose(x.mean(), mean, atol=4 * std / np.sqrt(particles) + 2e-3)
  np.testing.assert_allclose(x.std(), std, rtol=0.025)
  # What has happened until s and from s to t is what happens until t.
  alpha, sigma = jax.device_get(jax.jit(lambda t: (process.alpha(t), process.sigma(t)))(np.stack([early, late])))
  np.testing.assert_allclose(mean * alpha[0], alpha[1], rtol=1e-4)
  np.testing.assert_allclose(np.sqrt(mean**2 * sigma[0] ** 2 + variance), sigma[1], rtol=1e-4)


@pytest.mark.parametrize("name", PROCESSES)
def test_time_inverts_the_signal_to_noise_ratio(name):
  process = PROCESSES[name]
  t = inside(process)
  of = jax.jit(lambda t: (process.alpha(t), process.sigma(t), process.log_snr(t), process.time(process.log_snr(t))))
  alpha, sigma, log_snr, again = jax.device_get(of(t))
  np.testing.assert_allclose(again, t, rtol=2e-3, atol=1e-5)
  np.testing.assert_allclose(log_snr, 2 * (np.log(alpha) - np.log(sigma)), rtol=1e-3, atol=1e-3)
  assert (np.diff(log_snr) < 0).all()


@pytest.mark.parametrize("name", PROCESSES)
def test_rates_are_slopes(name):
  process = PROCESSES[name]
  with jax.enable_x64(True):
    if name == "learned":
      process = process_lib.learned(jax.tree.map(lambda x: jnp.asarray(np.asarray(x), jnp.float64), SCHEDULE))
    t, h = np.asarray(inside(process), np.float64), 1e-5
    values = jax.jit(lambda t: (process.alpha(t), process.sigma(t), process.log_snr(t)))
    rates = jax.jit(lambda t: (*process.rates(t), process.log_snr_rate(t)))(t)
    for rate, after, before in zip(rates, values(t + h), values(t - h), strict=True):
      np.testing.assert_allclose(rate, (after - before) / (2 * h), rtol=1e-4, atol=1e-7)


def test_linear_schedule_is_the_integral_of_beta():
  """α² = exp(-∫β), by quadrature; 1,000 steps of Ho's discrete β come near it."""
  process = PROCESSES["linear"]
  for t in (0.01, 0.3, 1.0):
    area = integrate.quad(lambda u: 0.1 + 19.9 * u, 0, t)[0]
    np.testing.assert_allclose(process.alpha(jnp.float32(t)), np.exp(-area / 2), rtol=1e-4)
  discrete = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))
  t = np.arange(1, 1001) / 1000
  np.testing.assert_allclose(np.asarray(process.alpha(jnp.asarray(t, jnp.float32))) ** 2, discrete, atol=5e-3)


def test_cosine_schedule_is_that_of_the_paper():
  t = np.linspace(0.05, 0.95, 7)
  f = lambda t: np.cos((t + 0.008) / 1.008 * np.pi / 2) ** 2
  np.testing.assert_allclose(
    np.asarray(PROCESSES["cosine"].alpha(jnp.asarray(t, jnp.float32))) ** 2, f(t) / f(0), rtol=1e-4
  )


def test_unknown_names_are_refused():
  with pytest.raises(UserError, match="rectified_flow"):
    process_lib.fixed("cosin")
  with pytest.raises(UserError, match="velocity"):
    parameterisation.check("epsilon")


@pytest.mark.parametrize("name", PROCESSES)
@pytest.mark.parametrize("predicts", parameterisation.NAMES)
def test_parameterisations_agree(name, predicts):
  """From what the network is asked for, data and noise are found again; and from them the velocity along the path."""
  process, rng = PROCESSES[name], np.random.default_rng(0)
  data, noise = (rng.normal(size=(6, 3)).astype(np.float32) for _ in range(2))

  @jax.jit
  def found_again(t):
    path = lambda t: process.diffuse(data, t, noise)
    x, along_path = jax.jvp(path, (t,), (jnp.ones_like(t),))
    output = parameterisation.target(predicts, process, t, data, noise, data_std=0.5)
    found = parameterisation.solve(predicts, process, t, x, output, data_std=0.5)
    return found, process.log_snr(t), parameterisation.velocity(process, t, found), along_path

  found, log_snr, velocity, along_path = jax.device_get(found_again(inside(process, 6)))
  # An error of rounding in x counts σ / α times in the data, α / σ times in the noise.
  odds = np.exp(-0.5 * log_snr)[:, None]
  assert (np.abs(found.data - data) < 2e-5 * (1 + odds)).all()
  assert (np.abs(found.noise - noise) < 2e-5 * (1 + 1 / odds)).all()
  np.testing.assert_allclose(velocity, along_path, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("predicts", parameterisation.NAMES)
def test_output_errors_scale_as_the_determinant_says(predicts):
  process, rng = PROCESSES["cosine"], np.random.default_rng(1)
  t = inside(process, 5)
  x, output, error = (rng.normal(size=(5, 2)).astype(np.float32) for _ in range(3))
  solve = jax.jit(lambda output: parameterisation.solve(predicts, process, t, x, output).data)
  scales = jax.jit(lambda t: (parameterisation.determinant(predicts, process, t), process.sigma(t)))
  det, sigma = (np.asarray(x)[:, None] for x in scales(t))
  np.testing.assert_allclose(solve(output + error) - solve(output), -sigma / det * error, rtol=1e-2, atol=1e-4)


def test_edm_preconditioning_is_that_of_the_paper():
  """D = c_skip x + c_out F with the constants of Karras et al. 2022, table 1."""
  process, s = PROCESSES["edm"], 0.5
  rng, t = np.random.default_rng(2), jnp.asarray([0.01, 0.5, 20.0])
  x, output = (jnp.asarray(rng.normal(size=(3, 2)), jnp.float32) for _ in range(2))
  skip, out = (s**2 / (t**2 + s**2))[:, None], (t * s / jnp.sqrt(t**2 + s**2))[:, None]
  found = parameterisation.solve("edm", process, t, x, output, data_std=s)
  np.testing.assert_allclose(found.data, skip * x + out * output, rtol=1e-4, atol=1e-5)


def test_score_is_the_gradient_of_the_log_density():
  """Of N(α x, σ²) about one data point, by automatic differentiation."""
  process, t, data = PROCESSES["linear"], jnp.float32(0.4), jnp.asarray([[0.3, -1.0]])
  x = jnp.asarray([[1.0, 0.2]])
  density = lambda x: -0.5 * jnp.square((x - process.alpha(t) * data) / process.sigma(t)).sum()
  prediction = parameterisation.Prediction(data, (x - process.alpha(t) * data) / process.sigma(t))
  np.testing.assert_allclose(parameterisation.score(process, t, prediction), jax.grad(density)(x), rtol=1e-5)
