"""Targets and losses of Q-learning against loops in NumPy, written from the papers' equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.families import dqn

RNG = np.random.default_rng(0)


def test_double_q_learning_by_hand():
  """The trained network chooses action 1, whose value the target network says is 5, not its own best, 9."""
  target, online = jnp.array([[9.0], [5.0]]), jnp.array([[1.0], [2.0]])
  head = dqn.Expected()
  assert float(dqn.bootstrap(head, target, online)[0]) == 5
  assert float(dqn.bootstrap(head, target, target)[0]) == 9
  loss, error = head.loss(jnp.array([2.0]), jnp.array([5.0]), jnp.float32(1), jnp.float32(0.5))
  assert (float(loss), float(error)) == (1.0, 1.5)  # Huber: |1.5| - 0.5


def projected(probabilities, reward, discount, low, high):
  """Bellemare et al. 2017, algorithm 1, as it is printed."""
  atoms = len(probabilities)
  spacing, m = (high - low) / (atoms - 1), np.zeros(atoms)
  for j, p in enumerate(probabilities):
    z = min(max(reward + discount * (low + j * spacing), low), high)
    b = (z - low) / spacing
    lower, upper = int(np.floor(b)), int(np.ceil(b))
    if lower == upper:
      m[lower] += p
    else:
      m[lower] += p * (upper - b)
      m[upper] += p * (b - lower)
  return m


@pytest.mark.parametrize("discount", [0.0, 0.9, 1.0])
def test_projection_of_distributions(discount):
  head = dqn.Categorical(-2.0, 3.0, 11)
  project = jax.jit(head.project)
  for reward in (-9.0, -0.3, 0.5, 1.234, 9.0):
    probabilities = RNG.dirichlet(np.ones(11))
    result = project(jnp.asarray(probabilities, jnp.float32), reward, discount)
    np.testing.assert_allclose(result, projected(probabilities, reward, discount, -2.0, 3.0), atol=1e-6)
    np.testing.assert_allclose(result.sum(), 1, rtol=1e-5)


def test_categorical_loss_is_a_cross_entropy():
  head, outputs, target = dqn.Categorical(-2.0, 3.0, 11), RNG.normal(size=11), RNG.normal(size=11)
  softmax = lambda x: np.exp(x) / np.exp(x).sum()
  wanted = projected(softmax(target), 0.4, 0.9, -2.0, 3.0)
  loss, _ = jax.jit(head.loss)(jnp.asarray(outputs), jnp.asarray(target), 0.4, 0.9)
  np.testing.assert_allclose(loss, -(wanted * np.log(softmax(outputs))).sum(), rtol=1e-5)
  np.testing.assert_allclose(head.values(jnp.asarray(outputs)), softmax(outputs) @ np.linspace(-2, 3, 11), rtol=1e-5)


def test_quantile_loss_by_a_loop():
  head, outputs, target = dqn.Quantile(5), RNG.normal(size=5), RNG.normal(size=5)
  total = 0.0
  for i in range(5):
    for j in range(5):
      u = 0.3 + 0.9 * target[j] - outputs[i]
      huber = 0.5 * u * u if abs(u) <= 1 else abs(u) - 0.5
      total += abs((2 * i + 1) / 10 - (u < 0)) * huber / 5
  loss, _ = jax.jit(head.loss)(jnp.asarray(outputs), jnp.asarray(target), 0.3, 0.9)
  np.testing.assert_allclose(loss, total, rtol=1e-5)


def test_quantiles_of_a_known_distribution_minimise_the_loss():
  """With a terminal reward drawn from a set, gradient descent finds the set's quantiles (kappa near 0)."""
  head, rewards = dqn.Quantile(4, kappa=1e-3), jnp.asarray(np.sort(RNG.normal(size=1000)), jnp.float32)
  loss = lambda outputs: jax.vmap(lambda r: head.loss(outputs, jnp.zeros(4), r, 0.0)[0])(rewards).mean()
  step = jax.jit(lambda i, x: x - 0.05 * jax.grad(loss)(x))
  outputs = jax.jit(lambda x: jax.lax.fori_loop(0, 2000, step, x))(jnp.zeros(4))
  np.testing.assert_allclose(outputs, np.quantile(rewards, [1 / 8, 3 / 8, 5 / 8, 7 / 8]), atol=0.05)


def test_lambda_returns_by_a_loop():
  time, discount, decay = 7, 0.9, 0.6
  reward, after = RNG.normal(size=(time, 2)), RNG.normal(size=(time, 2))
  terminated = np.zeros((time, 2), bool)
  truncated = np.zeros((time, 2), bool)
  terminated[2, 0], truncated[4, 1] = True, True
  expected = np.zeros((time, 2))
  for row in range(2):
    for start in range(time):
      # Mixture over n of n-step returns with weights (1 - λ) λ^(n-1), the last of all the rest.
      total, weight, mixed = 0.0, 1.0, 1.0
      for t in range(start, time):
        total += mixed * weight * reward[t, row]
        weight *= discount
        if terminated[t, row]:
          break
        last = truncated[t, row] or t == time - 1
        total += mixed * weight * after[t, row] * (1 if last else 1 - decay)
        if last:
          break
        mixed *= decay
      expected[start, row] = total
  arguments = [jnp.asarray(x, jnp.float32) for x in (reward, terminated, truncated, after)]
  np.testing.assert_allclose(
    jax.jit(dqn.lambda_returns, static_argnums=(4, 5))(*arguments, discount, decay), expected, rtol=1e-4, atol=1e-5
  )


def test_exploration():
  np.testing.assert_allclose(dqn.epsilon(jnp.array([0, 50, 100, 999]), 1.0, 0.1, 100), [1.0, 0.55, 0.1, 0.1], rtol=1e-6)
  keys = jax.random.split(jax.random.key(0), 4000)
  actions = jax.jit(jax.vmap(lambda k: dqn.greedy_or_random(k, jnp.array([0.0, 2.0, 1.0, -1.0]), 0.4)))(keys)
  counts = np.bincount(actions, minlength=4)
  np.testing.assert_allclose(counts / 4000, [0.1, 0.7, 0.1, 0.1], atol=0.03)
