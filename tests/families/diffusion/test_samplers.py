"""Every sampler, given the exact score of Gaussian data, draws from those data."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import randomness
from research.errors import UserError
from research.families.diffusion import generation, samplers
from research.families.diffusion import process as process_lib
from research.networks import layers
from tests.families.diffusion import gaussian

COUNT = 10_000
SAMPLERS = {
  "ancestral": (samplers.ancestral(), 300),
  "ddim": (samplers.ddim(), 200),
  "ddim_half": (samplers.ddim(0.5), 300),
  "euler": (samplers.euler(), 200),
  "heun": (samplers.heun(), 40),
  "heun_churn": (samplers.heun(churn=0.05), 60),
  "dpm_solver": (samplers.dpm_solver(), 40),
  "sde_dpm_solver": (samplers.dpm_solver(stochastic=True), 40),
}


def draw(process, sampler, steps, spacing="log_snr", key=0, denoise=None, count=COUNT):
  denoise = denoise or gaussian.denoiser(process)
  noise = np.random.default_rng(key).normal(size=(count, 2)).astype(np.float32)

  def step(args, carry, t, s, key):
    return sampler.step(process, denoise, *carry, t, s, key)

  x, times = jax.jit(lambda: (process.prior_std() * noise, samplers.grid(process, steps, spacing)))()
  return np.asarray(samplers.chain(step)((), (x, sampler.init(x)), times, jax.random.key(key))[0])


@pytest.mark.parametrize("name", ["linear", "cosine", "edm", "rectified_flow"])
@pytest.mark.parametrize("kind", SAMPLERS)
def test_sampler_recovers_mean_and_covariance(name, kind):
  sampler, steps = SAMPLERS[kind]
  x = draw(process_lib.fixed(name), sampler, steps)
  # Four standard errors, and what a finite step leaves.
  np.testing.assert_allclose(x.mean(0), gaussian.MEAN, atol=0.035 + 0.01)
  np.testing.assert_allclose(np.cov(x.T), gaussian.COVARIANCE, atol=0.045 + 0.015)


def test_ddim_with_eta_one_is_ancestral_sampling():
  process = process_lib.fixed("cosine")
  one, other = (draw(process, sampler, 20, key=5, count=50) for sampler in (samplers.ddim(1.0), samplers.ancestral()))
  np.testing.assert_allclose(one, other, atol=1e-3)


@pytest.mark.parametrize("name", ["linear", "cosine", "edm"])
def test_first_step_of_the_stochastic_solver_is_ancestral_sampling(name):
  """With no step before it, it is of first order; the one after is not."""
  process = process_lib.fixed(name)
  denoise, key = gaussian.denoiser(process), jax.random.key(3)
  x = process.prior_std() * jax.random.normal(jax.random.key(0), (50, 2))
  solver, ancestral = samplers.dpm_solver(stochastic=True), samplers.ancestral()
  first, second, third = samplers.grid(process, 20, "log_snr")[8:11]
  found, memory = solver.step(process, denoise, x, solver.init(x), first, second, key)
  np.testing.assert_allclose(
    found, ancestral.step(process, denoise, x, (), first, second, key)[0], rtol=1e-3, atol=1e-3
  )
  later, _ = solver.step(process, denoise, found, memory, second, third, key)
  plain, _ = ancestral.step(process, denoise, found, (), second, third, key)
  assert np.abs(later - plain).max() > 1e-2


def exact(process, x, time):
  """The probability flow from `time` to the start, in closed form: along each axis of C a scaling."""
  values, axes = np.linalg.eigh(gaussian.COVARIANCE.astype(np.float64))
  spread = lambda t: np.sqrt(float(process.alpha(t)) ** 2 * values + float(process.sigma(t)) ** 2)
  late, early = jnp.float32(time), jnp.float32(process.start)
  centred = (x - float(process.alpha(late)) * gaussian.MEAN) @ axes
  moved = centred * spread(early) / spread(late)
  return moved @ axes.T + float(process.alpha(early)) * gaussian.MEAN


@pytest.mark.parametrize(
  ("sampler", "order"), [(samplers.ddim(), 1), (samplers.dpm_solver(), 2), (samplers.heun(), 2), (samplers.euler(), 1)]
)
def test_order_of_accuracy(sampler, order):
  """The distance from the closed form of the probability flow falls as steps^-order."""
  with jax.enable_x64(True):
    process = process_lib.fixed("linear")
    x = process.prior_std() * jax.random.normal(jax.random.key(0), (20, 2))
    denoise = gaussian.denoiser(process, gaussian.MEAN.astype(np.float64), gaussian.COVARIANCE.astype(np.float64))
    errors = []
    for steps in (80, 160):
      run = samplers.chain(lambda args, carry, t, s, key: sampler.step(process, denoise, *carry, t, s, key))
      times = jax.jit(lambda steps=steps: samplers.grid(process, steps, "log_snr"))()
      found, _ = run((), (x, sampler.init(x)), times, jax.random.key(0))
      errors.append(np.abs(found - exact(process, np.asarray(x), process.end)).mean())
  assert 0.8 * 2**order < errors[0] / errors[1] < 1.3 * 2**order


@pytest.mark.parametrize("spacing", ["uniform", "log_snr", "karras"])
@pytest.mark.parametrize("name", process_lib.FIXED)
def test_grids_fall_from_end_to_start(name, spacing):
  process = process_lib.fixed(name)
  times = np.asarray(jax.jit(lambda: samplers.grid(process, 12, spacing))())
  assert times.shape == (13,)
  np.testing.assert_allclose(times[[0, -1]], [process.end, process.start], rtol=1e-6)
  assert (np.diff(times) < 0).all()


def test_karras_grid_is_that_of_the_paper():
  """EDM's σ_i for 18 steps (Karras et al. 2022, eq. 5) without its last one, which is 0."""
  i = np.arange(18) / 17
  expected = (80 ** (1 / 7) + i * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
  np.testing.assert_allclose(samplers.grid(process_lib.edm(), 17, "karras"), expected, rtol=1e-3)


def test_host_and_device_loops_are_the_same():
  process, sampler = process_lib.fixed("cosine"), samplers.ancestral()

  def step(args, carry, t, s, key):
    return sampler.step(process, gaussian.denoiser(process), *carry, t, s, key)

  x = jax.random.normal(jax.random.key(0), (7, 2))
  times = samplers.grid(process, 10)
  one, other = (samplers.chain(step, loop)((), (x, ()), times, jax.random.key(1))[0] for loop in ("host", "device"))
  np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_convolutions_are_seen_and_products_are_not():
  x, conv = jnp.ones((2, 8, 8, 4)), layers.Conv(4)
  variables = conv.init(jax.random.key(0), x)
  assert samplers.convolves_on_cpu(lambda x: conv.apply(variables, x), x)
  assert not samplers.convolves_on_cpu(lambda x: x @ jnp.ones((4, 4)), x)


@pytest.mark.parametrize("differentiates", [False, True])
def test_only_gradients_of_convolutions_leave_the_device_loop(differentiates):
  x, conv, times, key = jnp.ones((2, 8, 8, 4)), layers.Conv(4), jnp.linspace(1, 0, 4), jax.random.key(0)
  variables = conv.init(key, x)
  run = samplers.chain(lambda args, carry, t, s, key: conv.apply(variables, carry), differentiates=differentiates)
  run((), x, times, key)  # chooses
  looped = "scan" in str(jax.make_jaxpr(run)((), x, times, key))
  assert looped != differentiates


def test_inpainting_draws_from_the_conditional():
  """Given its second coordinate, the first of a Gaussian has a known distribution; resampling is needed for it."""
  process, value = process_lib.fixed("linear"), 0.7
  known, mask = jnp.asarray([0.0, value]), jnp.asarray([0.0, 1.0])
  (m0, m1), c = gaussian.MEAN, gaussian.COVARIANCE
  mean, variance = m0 + c[0, 1] / c[1, 1] * (value - m1), c[0, 0] - c[0, 1] ** 2 / c[1, 1]
  found = {}
  for repeats in (1, 5):
    sampler = samplers.constrained(samplers.ancestral(), samplers.keep(known, mask), repeats)
    found[repeats] = draw(process, sampler, 60, count=5_000)
    np.testing.assert_allclose(found[repeats][:, 1], value, atol=0.05)
  assert abs(found[5][:, 0].mean() - mean) < 0.06
  assert abs(found[5][:, 0].var() - variance) < 0.06
  assert abs(found[5][:, 0].mean() - mean) < abs(found[1][:, 0].mean() - mean)


def test_super_resolution_keeps_the_low_frequencies():
  process, shape = process_lib.fixed("rectified_flow"), (3, 4, 4, 1)
  reference = jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)
  constrain = samplers.match_low_pass(reference, 2)
  x = constrain(process, jnp.zeros(shape), jnp.float32(0.0), jax.random.key(0))
  np.testing.assert_allclose(samplers.low_pass(x, 2), samplers.low_pass(reference, 2), atol=1e-5)
  blocks = np.asarray(reference)[:, :2, :2].mean((1, 2, 3))
  np.testing.assert_allclose(samplers.low_pass(reference, 2)[:, 1, 1, 0], blocks, rtol=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 20])
def test_blocks_at_the_edge_have_the_mean_of_what_they_have(factor):
  x = np.random.default_rng(0).normal(size=(2, 13, 17, 3)).astype(np.float32)
  expected = np.empty_like(x)
  for top in range(0, 13, factor):
    for left in range(0, 17, factor):
      block = (slice(None), slice(top, top + factor), slice(left, left + factor))
      expected[block] = x[block].mean((1, 2), keepdims=True)
  np.testing.assert_allclose(jax.jit(samplers.low_pass, static_argnums=1)(x, factor), expected, atol=1e-5)


@pytest.mark.parametrize("name", ["ancestral", "sde_dpm_solver", "heun"])
def test_a_sample_of_a_key_of_its_own_does_not_depend_on_the_batch(name):
  """Drawn in a batch of six and in batches of two: the same, where every example has a key."""
  process = process_lib.fixed("cosine")
  fake = types.SimpleNamespace(
    process=lambda variables: process,
    denoiser=lambda variables, label=None, guidance=1.0: gaussian.denoiser(process),
  )
  made = generation.generator(fake, samplers.by_name(name, churn=0.2), 4)
  keys = randomness.place_keys(jax.random.key(0), np.arange(6))
  whole = np.asarray(made.draw(None, (6, 2), keys))
  parts = [np.asarray(made.draw(None, (2, 2), keys[start : start + 2])) for start in (0, 2, 4)]
  np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-5, atol=1e-6)
  assert len(np.unique(whole)) == whole.size


@pytest.mark.parametrize(
  "call",
  [
    lambda: samplers.by_name("dpm"),
    lambda: samplers.grid(process_lib.edm(), 0),
    lambda: samplers.grid(process_lib.edm(), 3, "even"),
    lambda: samplers.chain(lambda: None, "gpu"),
  ],
)
def test_what_does_not_exist_is_refused(call):
  with pytest.raises(UserError, match=r"choose one of|at least one"):
    call()
