"""Kernels against densities that are known: moments, distributions, detailed balance, conservation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from research.errors import UserError
from research.inference import kernels, model, supports
from research.inference.nuts import nuts
from research.training import chains

# Of every test of a distribution here the chance of a false alarm is below 1e-4 (two-sided), for the one seed tried.
ALARM = 1e-4
Z = scipy.stats.norm.isf(ALARM / 2)
MEAN, COVARIANCE = np.array([1.0, -2.0]), np.array([[1.0, 0.9], [0.9, 2.0]])
BATCH = {"mask": jnp.ones(64)}


@pytest.fixture(autouse=True)
def wide():
  with jax.enable_x64(True):
    yield


def density(log_density, size):
  """A target of plain vectors, begun at 0.1."""
  same = lambda z: {"x": z}
  start = lambda key: 0.1 * jax.random.normal(key, (size,))
  return model.Target(size, log_density, same, lambda values: values["x"], start, ("x",) * size)


def gaussian():
  precision = np.linalg.inv(COVARIANCE)
  return density(lambda z: -0.5 * (z - MEAN) @ precision @ (z - MEAN), 2)


def funnel():
  """Neal's funnel, reparameterised: x = exp(v / 2) ε, v ~ N(0, 3), whose neck a chain of x would not get into."""
  values = {"v": model.Parameter(), "noise": model.Parameter((3,))}
  prior = lambda p: -0.5 * (p["v"] / 3) ** 2 - 0.5 * (p["noise"] ** 2).sum()
  derived = lambda p: {"x": jnp.exp(p["v"] / 2) * p["noise"]}
  return model.target(model.Model(values, prior, derived))


KERNELS = {
  "metropolis": (kernels.metropolis, 1600, 40, False),
  "hmc": (kernels.hmc, 60, 1, False),
  "nuts": (nuts, 60, 1, False),
  "nuts_dense": (nuts, 60, 1, True),
}


def sample(target, kernel, draws, thin, dense=False, step_size=0.5, warmup=200):
  """Draws [chain, draw, size] of 64 chains, and the state."""
  settings = chains.Settings(64, warmup, warmup + draws, thin, step_size, dense)
  learner = chains.chain_learner(target, kernel, settings)

  @jax.jit
  def run(key):
    state = learner.init(key, BATCH)
    return jax.lax.fori_loop(0, settings.transitions, lambda _, state: learner.update(state, BATCH)[0], state)

  state = run(jax.random.key(0))
  return np.asarray(state.draws), state


def assert_mean(draws, mean):
  """Means of draws [chain, draw] within Z standard errors, those of the chains' means: chains are independent."""
  means = draws.mean(1)
  error = means.std(ddof=1) / np.sqrt(len(means))
  assert abs(means.mean() - mean) < scipy.stats.t.isf(ALARM / 2, len(means) - 1) * error


def assert_distribution(draws, cumulative):
  """Kolmogorov's test of the last draw of every chain, which are independent."""
  assert scipy.stats.kstest(draws[:, -1], cumulative).pvalue > ALARM


@pytest.mark.parametrize("name", KERNELS)
def test_leaves_a_gaussian_invariant(name):
  make, draws, thin, dense = KERNELS[name]
  target = gaussian()
  found, state = sample(target, make(target), draws, thin, dense)
  for i in range(2):
    deviation = np.sqrt(COVARIANCE[i, i])
    assert_mean(found[..., i], MEAN[i])
    assert_mean((found[..., i] - MEAN[i]) ** 2, COVARIANCE[i, i])
    assert_distribution(found[..., i], scipy.stats.norm(MEAN[i], deviation).cdf)
  assert_mean((found - MEAN).prod(-1), COVARIANCE[0, 1])
  accepted = np.asarray(state.record["acceptance"]).mean()
  assert abs(accepted - make(target).acceptance) < 0.12, "warm-up reaches the acceptance that it is asked for"
  if dense:
    np.testing.assert_allclose(state.adaptation.inverse_mass, COVARIANCE, rtol=0.2)


@pytest.mark.parametrize("name", ["metropolis", "hmc", "nuts"])
def test_leaves_a_reparameterised_funnel_invariant(name):
  make, draws, thin, _ = KERNELS[name]
  target = funnel()
  found, _ = sample(target, make(target), draws, thin)
  values = jax.device_get(jax.jit(jax.vmap(jax.vmap(target.constrain)))(found))
  assert_mean(values["v"], 0)
  assert_mean(values["v"] ** 2, 9)
  assert_distribution(values["v"], scipy.stats.norm(0, 3).cdf)
  assert_mean((np.abs(values["x"][..., 0]) < 1).astype(float), probability_inside())


@functools.cache
def probability_inside():
  """P(|x| < 1) of the funnel, by quadrature over v."""
  v, weights = np.polynomial.hermite_e.hermegauss(200)
  inside = 2 * scipy.stats.norm.cdf(np.exp(-1.5 * v)) - 1
  return float((weights * inside).sum() / weights.sum())


def test_langevin_has_the_variance_of_its_step():
  """Of N(0, s²): z' = (1 - ε²/2s²) z + ε ξ has the stationary variance s² / (1 - ε²/4s²), not s²."""
  target, step, square = density(lambda z: -0.5 * (z**2).sum() / 4, 1), 1.2, 4.0
  found, _ = sample(target, kernels.langevin(target), 1200, 20, step_size=step, warmup=15)
  expected = square / (1 - step**2 / (4 * square))
  assert_mean(found[..., 0], 0)
  assert_mean(found[..., 0] ** 2, expected)
  assert_distribution(found[..., 0], scipy.stats.norm(0, np.sqrt(expected)).cdf)


def test_gibbs_leaves_a_discrete_toy_invariant():
  """Two binary variables of a known table, and independent draws of the whole: frequencies by a chi-squared test."""
  table = jnp.array([[0.1, 0.2], [0.3, 0.4]])

  def conditional(name, other, axis):
    def draw(key, values):
      row = jnp.take(table, values[other], axis=axis)
      return {name: jax.random.categorical(key, jnp.log(row))}

    return draw

  sweep = kernels.sweep([conditional("a", "b", 1), conditional("b", "a", 0)])
  start = {"a": jnp.int32(0), "b": jnp.int32(0)}

  @jax.jit
  @jax.vmap
  def run(key):
    return jax.lax.fori_loop(
      0,
      12,
      lambda i, values: jax.tree.map(
        lambda new, old: new.astype(old.dtype), sweep(jax.random.fold_in(key, i), values), start
      ),
      start,
    )

  values = run(jax.random.split(jax.random.key(0), 4000))
  counts = np.bincount(np.asarray(2 * values["a"] + values["b"]), minlength=4)
  assert scipy.stats.chisquare(counts, 4000 * np.asarray(table).ravel()).pvalue > ALARM


def test_metropolis_keeps_detailed_balance_exactly():
  """Of three states in a ring: p_i P_ij = p_j P_ji to rounding, P from the probabilities that the kernel accepts by."""
  weights = jnp.array([0.2, 0.5, 0.3])
  target = density(lambda z: jnp.log(weights[z.astype(int)[0]]), 1)
  tuning = kernels.identity_tuning(1.0, 1)

  def flow(i, shift):
    """Probability of going from state i to i + shift, which a ring proposes with probability a half."""
    kernel = kernels.metropolis(target, propose=lambda key, z, tuning: (z + shift) % 3)
    chain = kernel.init(jnp.asarray([float(i)]))
    return 0.5 * kernel.step(jax.random.key(0), chain, tuning)[1].acceptance

  flows = np.array([[weights[i] * flow(i, shift) for shift in (1, 2)] for i in range(3)])
  for i in range(3):
    np.testing.assert_allclose(flows[i, 0], flows[(i + 1) % 3, 1], rtol=1e-15)


def quartic():
  return density(lambda z: -(z**4).sum() / 4 - 0.5 * (z[0] - z[1]) ** 2, 2)


def trajectory(step, count):
  """Start, end and energies of a leapfrog trajectory."""
  target, tuning = quartic(), kernels.identity_tuning(1.0, 2)
  position = jnp.array([0.7, -0.4])
  start = kernels.Phase(position, jnp.array([0.3, 1.1]), jax.grad(target.log_density)(position))
  one = lambda phase, _: (kernels.leapfrog(target, tuning, step, phase)[0], None)
  run = jax.jit(lambda phase: jax.lax.scan(one, phase, length=count)[0])
  energy = lambda phase: kernels.kinetic(tuning, phase.momentum) - target.log_density(phase.position)
  return run, start, energy


def test_leapfrog_is_reversible_and_keeps_volume():
  run, start, _ = trajectory(0.1, 25)
  end = run(start)
  back = run(end._replace(momentum=-end.momentum))
  np.testing.assert_allclose(back.position, start.position, atol=1e-12)
  np.testing.assert_allclose(back.momentum, -start.momentum, atol=1e-12)

  def flow(point):
    grad = jax.grad(quartic().log_density)(point[:2])
    end = run(kernels.Phase(point[:2], point[2:], grad))
    return jnp.concatenate([end.position, end.momentum])

  jacobian = jax.jit(jax.jacfwd(flow))(jnp.concatenate([start.position, start.momentum]))
  np.testing.assert_allclose(np.linalg.det(jacobian), 1, rtol=1e-10)


def test_leapfrog_s_energy_error_is_of_second_order():
  errors = []
  for step, count in ((0.02, 50), (0.01, 100)):
    run, start, energy = trajectory(step, count)
    errors.append(abs(float(energy(run(start)) - energy(start))))
  assert 3.8 < errors[0] / errors[1] < 4.2


def test_a_trajectory_that_loses_its_energy_is_a_divergence():
  """A wall at 0: log z is NaN beyond, which is no step taken and no NaN kept."""
  target = density(lambda z: (jnp.log(z) - z).sum(), 1)
  kernel = nuts(target)
  chain = kernel.init(jnp.array([0.01]))
  moved, info = jax.jit(kernel.step)(jax.random.key(1), chain, kernels.identity_tuning(5.0, 1))
  assert bool(info.divergent)
  assert np.isfinite(moved.position).all()
  assert np.isfinite(info.acceptance)


def test_stops_at_the_u_turn():
  """Of a Gaussian a trajectory is about half a period long, π, whatever its step."""
  target = density(lambda z: -0.5 * (z**2).sum(), 20)
  kernel = nuts(target)
  step = jax.jit(jax.vmap(kernel.step, (0, None, None)))
  chain = kernel.init(jnp.ones(20))
  for size in (0.05, 0.2):
    _, info = step(jax.random.split(jax.random.key(0), 50), chain, kernels.identity_tuning(size, 20))
    assert 0.4 * np.pi < size * np.median(info.gradients) < 2.5 * np.pi


def test_what_no_chain_can_start_from_is_refused():
  def checked(log_density, parameters):
    target = model.target(model.Model(parameters, log_density))
    model.check(target, chains.starts(target, jax.random.key(0), 4))

  real, positive = {"mu": model.Parameter()}, model.Parameter((), supports.positive())
  with pytest.raises(UserError, match="log-density where chains begin = nan"):
    checked(lambda p: jnp.log(-1.0 - p["mu"] ** 2), real)
  with pytest.raises(UserError, match=r"improper.*mu"):
    checked(lambda p: 0.0 * p["mu"], real)
  with pytest.raises(UserError, match=r"improper.*sigma"):  # the classic: 1/σ without data to hold it
    checked(lambda p: -0.5 * p["mu"] ** 2 - jnp.log(p["sigma"]), {**real, "sigma": positive})
  with pytest.raises(UserError, match="there are mu"):
    checked(lambda p: -(p["nu"] ** 2), real)
  with pytest.raises(UserError, match="sum over the data"):
    checked(lambda p: -(p["mu"] ** 2) * jnp.ones(3), real)
  with pytest.raises(UserError, match="outside the support, positive"):
    checked(lambda p: -p["sigma"], {"sigma": positive._replace(start=-1.0)})
  with pytest.raises(UserError, match="must have the shape"):
    checked(lambda p: -p["sigma"], {"sigma": positive._replace(start=[1.0, 2.0])})
  with pytest.raises(UserError, match="nothing to infer"):
    checked(lambda p: 0.0, {})
  with pytest.raises(UserError, match="so none"):
    chains.Settings(4, 10, 10).check()
