"""Diffusion of text: its bounds against enumeration of the chains of two tokens, and what its sampler draws."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate

from research import randomness
from research.families.diffusion import absorbing
from research.generation import choosing

VALUES = 3  # tokens 1 to 3
TABLE = np.random.default_rng(0).normal(size=(VALUES + 1, VALUES + 1, 2, VALUES + 1)).astype(np.float32)
X = (2, 3)


class Table(nn.Module):
  """Logits of two tokens, any function of both."""

  table: tuple

  @nn.compact
  def __call__(self, tokens, train):
    self.param("unused", nn.initializers.zeros, ())
    return jnp.asarray(np.asarray(self.table))[tokens[:, 0], tokens[:, 1]]

  def logits(self, x):
    return x


def network(table=TABLE):
  return Table(tuple(map(lambda part: tuple(map(lambda z: tuple(map(tuple, z)), part)), table.tolist())))


def told(state, place):
  """p(x_place | state) over 1 to `VALUES`, from the table, in float64."""
  logits = TABLE[state[0], state[1], place, 1:].astype(np.float64)
  return np.exp(logits) / np.exp(logits).sum()


def reverse(state, after, keep):
  """p(after | state) of the model's chain: a hidden token stays hidden with probability `keep`."""
  total = 1.0
  for place, (z, s) in enumerate(zip(state, after)):
    if z:
      total *= float(s == z)
    else:
      total *= keep if s == 0 else (1 - keep) * told(state, place)[s - 1]
  return total


def posterior(state, after, keep):
  """q(after | state, X): the same, but what is told is X."""
  total = 1.0
  for z, s, x in zip(state, after, X):
    if z:
      total *= float(s == z)
    else:
      total *= keep if s == 0 else (1 - keep) * (s == x)
  return total


def chain_bound(steps):
  """-E_q log p(z_0 ... z_T) / q(z_1 ... z_T | X): all Kullback-Leibler divergences of the chain, state by state."""
  states = list(itertools.product(range(VALUES + 1), repeat=2))
  bound = 0.0
  for i in range(1, steps + 1):
    t, keep = i / steps, (i - 1) / i
    for state in states:
      if any(z not in (0, x) for z, x in zip(state, X)):
        continue
      probability = np.prod([t if z == 0 else 1 - t for z in state])
      for after in states:
        true = posterior(state, after, keep)
        if true > 0:
          bound += probability * true * np.log(true / reverse(state, after, keep))
  return bound


def continuous_bound():
  """The integral over t of 1 / t times the expected loss of what is hidden, by quadrature."""

  def at(t):
    value = 0.0
    for state in itertools.product(*((0, x) for x in X)):
      probability = np.prod([t if z == 0 else 1 - t for z in state])
      value -= probability * sum(np.log(told(state, l)[X[l] - 1]) for l in range(2) if state[l] == 0)
    return value / t

  return integrate.quad(at, 0, 1)[0]


@pytest.mark.parametrize("steps", [1, 3, 200])
def test_bounds_are_those_of_the_enumerated_chain(steps):
  """`weights` times the losses, over every set of hidden tokens with its probability."""
  exact, discrete = 0.0, 0.0
  for hidden in ((True, False), (False, True), (True, True)):
    state = tuple(0 if h else x for h, x in zip(hidden, X))
    nll = -sum(np.log(told(state, l)[X[l] - 1]) for l in range(2) if hidden[l])
    probability = 0.5 if all(hidden) else 0.25  # of a number, and of a set of that number
    free, chosen = jnp.ones((1, 2), bool), jnp.asarray([hidden])
    exact += probability * nll * float(absorbing.weights(free, chosen)[0])
    discrete += probability * nll * float(absorbing.weights(free, chosen, steps)[0])
  assert exact == pytest.approx(continuous_bound(), rel=1e-5)
  assert discrete == pytest.approx(chain_bound(steps), rel=1e-4)


def test_what_is_evaluated_and_trained_is_the_bound():
  family = absorbing.absorbing_diffusion(network(), steps=3, draws=512)
  rows = jnp.asarray([X])
  batch = {"targets": rows, "mask": jnp.ones((1, 2))}
  variables = family.init(jax.random.key(0), batch)
  metrics = jax.jit(family.evaluate)(variables, batch)
  assert metrics["loss"].count == 2
  assert metrics["loss"].value() == pytest.approx(continuous_bound() / 2, rel=0.05)
  assert metrics["loss_in_steps"].value() == pytest.approx(chain_bound(3) / 2, rel=0.05)
  many = {"targets": jnp.tile(rows, (4096, 1)), "mask": jnp.ones((4096, 2))}
  loss = jax.jit(family.loss)(variables, many, jax.random.key(1))[0]
  assert loss.value() == pytest.approx(continuous_bound() / 2, rel=0.02)


def test_what_is_given_is_not_hidden_and_counts_nothing():
  family = absorbing.absorbing_diffusion(network(), steps=2, draws=3)
  batch = {"targets": jnp.asarray([X, X]), "mask": jnp.asarray([[0.0, 1.0], [0.0, 0.0]])}
  variables = family.init(jax.random.key(0), batch)
  metrics = jax.jit(family.evaluate)(variables, batch)
  expected = -np.log(told((X[0], 0), 1)[X[1] - 1])  # one token is free: its likelihood itself, whatever the time
  assert metrics["loss"].count == metrics["loss_in_steps"].count == 1
  assert metrics["loss"].value() == pytest.approx(expected, rel=1e-5)
  assert metrics["loss_in_steps"].value() == pytest.approx(expected, rel=1e-5)


def test_every_number_and_every_place_is_hidden_as_often():
  keys = randomness.place_keys(jax.random.key(0), np.arange(6000))
  free = jnp.asarray(np.tile([True, True, False, True], (6000, 1)))
  count = absorbing.counts(free, jnp.arange(6000) / 6000)
  hidden = np.asarray(jax.jit(absorbing.choose)(free, count, keys))
  np.testing.assert_array_equal(hidden.sum(1), np.asarray(count))
  np.testing.assert_array_equal(np.bincount(hidden.sum(1)), [0, 2000, 2000, 2000])
  np.testing.assert_allclose(hidden.mean(0), [2 / 3, 2 / 3, 0, 2 / 3], atol=0.02)


JOINT = np.random.default_rng(1).dirichlet(np.full(VALUES**2, 0.5)).reshape(VALUES, VALUES)


def exact_network():
  """Which tells the conditional distributions of `JOINT`."""
  table = np.zeros((VALUES + 1, VALUES + 1, 2, VALUES + 1))
  for a, b in itertools.product(range(VALUES + 1), repeat=2):
    first = JOINT[:, b - 1] if b else JOINT.sum(1)
    second = JOINT[a - 1] if a else JOINT.sum(0)
    table[a, b, 0, 1:], table[a, b, 1, 1:] = np.log(first), np.log(second)
  return network(table)


def drawn_pairs(tokens, steps):
  family = absorbing.absorbing_diffusion(exact_network(), steps=steps)
  variables = family.init(jax.random.key(0), {"targets": jnp.asarray(tokens[:1])})
  fill = jax.jit(absorbing.sampler(family.logits, choosing.sample(), steps))
  return np.asarray(
    fill(variables, jnp.asarray(tokens), randomness.place_keys(jax.random.key(2), np.arange(len(tokens))))
  )


@pytest.mark.parametrize("steps", [1, 4])
def test_the_sampler_draws_the_joint_but_for_what_is_told_at_once(steps):
  """Both tokens are told in the same of T steps with probability 1 / T, and then independently."""
  pairs = drawn_pairs(np.zeros((40_000, 2), np.int32), steps)
  assert pairs.min() >= 1
  shares = np.zeros((VALUES, VALUES))
  np.add.at(shares, tuple(pairs.T - 1), 1 / len(pairs))
  independent = np.outer(JOINT.sum(1), JOINT.sum(0))
  np.testing.assert_allclose(shares, JOINT + (independent - JOINT) / steps, atol=0.012)


def test_what_is_given_stays_and_is_heeded():
  given = np.zeros((20_000, 2), np.int32)
  given[:, 1] = 2
  pairs = drawn_pairs(given, 3)
  assert (pairs[:, 1] == 2).all()
  shares = np.bincount(pairs[:, 0], minlength=VALUES + 1)[1:] / len(pairs)
  np.testing.assert_allclose(shares, JOINT[:, 1] / JOINT[:, 1].sum(), atol=0.015)
