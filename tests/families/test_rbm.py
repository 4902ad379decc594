"""Boltzmann machines of ten units against the enumeration of all their states."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import norm

from research.families import rbm

RNG = np.random.default_rng(0)
STATES = np.array(list(itertools.product([0, 1], repeat=5)), np.float32)
MACHINE = rbm.Machine(
  jnp.asarray(1.5 * RNG.normal(size=(5, 5)), jnp.float32),
  jnp.asarray(RNG.normal(size=5), jnp.float32),
  jnp.asarray(RNG.normal(size=5), jnp.float32),
)
NEGATIVE = -np.array(
  [
    [
      -(v @ np.asarray(MACHINE.visible) + h @ np.asarray(MACHINE.hidden) + v @ np.asarray(MACHINE.weights) @ h)
      for h in STATES
    ]
    for v in STATES
  ]
)  # -E(v, h)
LOG_Z = logsumexp(NEGATIVE)
TRUTH = np.exp(logsumexp(NEGATIVE, 1) - LOG_Z)  # p(v)


def keys(count, seed=0):
  return jax.random.split(jax.random.key(seed), count)


def index(visible):
  """Which of STATES each row is."""
  return np.asarray(visible).astype(int) @ (2 ** np.arange(4, -1, -1))


def test_free_energy_and_log_partition_by_enumeration():
  np.testing.assert_allclose(-rbm.free_energy(MACHINE, STATES), logsumexp(NEGATIVE, 1), rtol=1e-5)
  assert float(rbm.enumerated_log_partition(MACHINE)) == pytest.approx(LOG_Z, abs=1e-4)


def test_annealing_is_within_its_error_and_its_samples_are_the_machine_s():
  found = jax.jit(rbm.anneal, static_argnums=(3, 4))(MACHINE, jnp.zeros(5), jax.random.key(0), 300, 4000)
  assert 0 < found.error < 0.03
  assert abs(found.log_partition - LOG_Z) < 3 * found.error
  assert found.low < LOG_Z < found.high
  drawn = np.bincount(index(found.samples), minlength=32) / 4000
  assert np.abs(drawn - TRUTH).max() < 0.04


def test_gaussian_units_by_enumeration_of_the_hidden_and_by_quadrature():
  machine = rbm.Machine(jnp.array([[0.8, -1.2]]), jnp.array([0.3]), jnp.array([0.2, -0.4]), rbm.GAUSSIAN)
  grid = np.linspace(-15, 15, 20001)
  density = np.exp(-np.asarray(rbm.free_energy(machine, jnp.asarray(grid[:, None]))))
  log_z = np.log(np.trapezoid(density, grid))
  assert float(rbm.enumerated_log_partition(machine)) == pytest.approx(log_z, abs=1e-4)
  found = jax.jit(rbm.anneal, static_argnums=(3, 4))(machine, jnp.array([0.3]), jax.random.key(1), 100, 2000)
  assert abs(found.log_partition - log_z) < 3 * found.error + 1e-3
  mean = np.trapezoid(grid * density, grid) / np.exp(log_z)
  assert float(found.samples.mean()) == pytest.approx(mean, abs=4 * norm.std() * float(found.samples.std()) / 2000**0.5)


@pytest.mark.parametrize("kind", ["pcd", "tempering"])
def test_chains_that_go_on_have_the_machine_s_distribution(kind):
  negative = rbm.Negative(kind, 1, 4)
  start = jnp.zeros((500, 5)) if kind == "pcd" else jnp.zeros((500, 4, 5))

  @jax.jit
  def run(chains):
    def step(carry, i):
      visible, carry = rbm.negative_phase(
        negative, MACHINE, jnp.zeros(5), carry, jax.vmap(lambda k: jax.random.fold_in(k, i))(keys(500))
      )
      return carry, visible

    return jax.lax.scan(step, chains, jnp.arange(200))[1]

  drawn = np.bincount(index(run(start)[50:]).ravel(), minlength=32) / (150 * 500)
  assert np.abs(drawn - TRUTH).max() < 0.01


def test_the_gradient_is_that_of_the_likelihood_in_the_enhanced_direction():
  """With all states as data, weighed evenly, and their exact distribution as samples; means that are not 0."""
  rows = jnp.asarray(STATES)
  counts = np.round(TRUTH * 20000).astype(int)
  samples = jnp.asarray(np.repeat(STATES, counts, axis=0))
  means = {"visible": jnp.full(5, 0.3), "hidden": jnp.full(5, 0.6), "base": jnp.zeros(5)}

  def loss(parts, data, drawn, weight):
    machine = rbm.Machine(*parts)
    return rbm._contrast(machine, data, drawn, weight, means, 0.0)[0]

  parts = (MACHINE.weights, MACHINE.visible, MACHINE.hidden)
  pick = jnp.asarray(RNG.integers(0, 32, len(samples)))
  found = jax.jit(jax.grad(loss))(parts, rows[pick], samples, jnp.ones(len(samples)))
  plain = lambda parts: (
    rbm.free_energy(rbm.Machine(*parts), rows[pick]) - rbm.free_energy(rbm.Machine(*parts), samples)
  ).sum()
  g = jax.jit(jax.grad(plain))(parts)
  # Cho, Raiko & Ilin 2011: what the plain gradient is about the means.
  centred = g[0] - jnp.outer(means["visible"], g[2]) - jnp.outer(g[1], means["hidden"])
  np.testing.assert_allclose(found[0], centred, rtol=2e-3, atol=2)
  np.testing.assert_allclose(found[1], g[1] - found[0] @ means["hidden"], rtol=2e-3, atol=2)
  np.testing.assert_allclose(found[2], g[2] - means["visible"] @ found[0], rtol=2e-3, atol=2)


def test_pseudo_likelihood_of_independent_units_is_their_likelihood_in_the_mean():
  alone = MACHINE.replace(weights=jnp.zeros((5, 5)))
  rows = jnp.asarray(np.repeat(STATES[[3, 17]], 4000, axis=0))
  found = jax.jit(rbm.pseudo_log_likelihood)(alone, rows, jnp.arange(len(rows)))
  exact = -rbm.free_energy(alone, rows) - rbm.enumerated_log_partition(alone)
  for part in (slice(4000), slice(4000, None)):
    assert float(found[part].mean()) == pytest.approx(float(exact[part].mean()), abs=0.15)


def test_each_unit_given_all_others_by_enumeration():
  other = [TRUTH[index(np.abs(STATES - flip))] for flip in np.eye(5)]
  exact = sum(np.log(TRUTH / (TRUTH + flipped)) for flipped in other)
  np.testing.assert_allclose(rbm.conditional_log_likelihood(MACHINE, jnp.asarray(STATES)), exact, rtol=1e-4)
