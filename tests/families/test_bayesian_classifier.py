"""Posteriors of weights against closed forms, sampling and the exact posterior of a linear model."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from research.families import bayesian_classifier, classifier
from research.networks.mlp import MLP

INPUTS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
BATCH = {"inputs": INPUTS, "label": (INPUTS[:, 0] > 0).astype(np.int32), "mask": np.ones(40, np.float32)}


def test_divergence_is_an_integral():
  """Of one weight, by SciPy's quadrature; of two leaves, the sum."""

  def one(mean, deviation):
    q, p = stats.norm(mean, deviation), stats.norm(0, 0.7)
    return q.expect(lambda w: q.logpdf(w) - p.logpdf(w))

  found = bayesian_classifier.normal_divergence({"a": jnp.array(0.4), "b": jnp.array(-1.0)}, {"a": 0.3, "b": 1.1}, 0.7)
  assert float(found) == pytest.approx(one(0.4, 0.3) + one(-1.0, 1.1), rel=1e-5)


def test_a_narrow_posterior_is_the_plain_network():
  network = MLP((5,), 2)
  family = bayesian_classifier.by_backprop(network, 40, prior=1.0, start=1e-6, draws=3)
  variables = family.init(jax.random.key(0), BATCH)
  plain = classifier.classifier(network).log_probabilities({"params": variables["params"]["mean"]}, INPUTS)
  np.testing.assert_allclose(family.log_probabilities(variables, INPUTS), plain, atol=1e-4)
  loss, _ = family.loss(variables, BATCH, jax.random.key(1))
  divergence = bayesian_classifier.normal_divergence(
    variables["params"]["mean"], jax.tree.map(jax.nn.softplus, variables["params"]["rho"]), 1.0
  )
  nll = -np.take_along_axis(np.asarray(plain), BATCH["label"][:, None], 1).mean()
  assert float(loss.value()) == pytest.approx(nll + float(divergence) / 40, rel=1e-4)
  cold = bayesian_classifier.by_backprop(network, 40, prior=1.0, start=1e-6, draws=3, temperature=0.25)
  loss, _ = cold.loss(variables, BATCH, jax.random.key(1))
  assert float(loss.value()) == pytest.approx(nll + 0.25 * float(divergence) / 40, rel=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_langevin_leaves_the_posterior_of_a_normal_mean(temperature):
  """Of y ~ N(w, 1) with a prior N(0, 0.5²): mean and variance in closed form, of 20,000 draws' correlated error."""
  y, prior = 1.3, 0.5
  count = 10
  variance = 1 / (count + 1 / prior**2)
  keep = (1000, 1, 20_000)
  optimizer = bayesian_classifier.langevin(lambda step: 0.02, count, prior, keep, seed=0, temperature=temperature)

  def step(carry, _):
    params, state = carry
    updates, state = optimizer.update(params - y, state, params)
    return (params + updates, state), params + updates

  start = jnp.zeros(())
  (_, state), path = jax.jit(lambda: jax.lax.scan(step, (start, optimizer.init(start)), None, 21_000))()
  np.testing.assert_array_equal(state.draws, path[1000:])  # what is kept is what came after the burn-in
  assert float(state.draws.mean()) == pytest.approx(variance * count * y, abs=4 * 0.0227)
  assert float(state.draws.var()) == pytest.approx(temperature * variance, rel=0.15)


def test_laplace_s_factors_are_those_of_the_batch():
  """A linear network: its inputs with a one are the features, and A, B have their definitions."""
  network = MLP((), 3)
  family = bayesian_classifier.last_layer_laplace(network, 40, 1.0, 0.9, 4000, "Dense_0")
  variables = family.init(jax.random.key(0), BATCH)
  _, (_, mutated) = family.loss(variables, BATCH, jax.random.key(1))
  curvature = mutated["curvature"]
  p = np.exp(classifier.classifier(network).log_probabilities({"params": variables["params"]}, INPUTS))
  features = np.concatenate([INPUTS, np.ones((40, 1))], 1)
  weight = float(curvature["weight"])
  assert weight == pytest.approx(0.1)
  np.testing.assert_allclose(curvature["inputs"] / weight, features.T @ features / 40, rtol=1e-4)
  fisher = np.mean([np.diag(row) - np.outer(row, row) for row in p], 0)
  np.testing.assert_allclose(curvature["logits"] / weight, fisher, atol=1e-6)
  inverse = bayesian_classifier.inverse(curvature["inputs"], curvature["weight"], 40, 2.0)
  expected = np.linalg.inv(np.sqrt(40) * features.T @ features / 40 + np.sqrt(2) * np.eye(4))
  np.testing.assert_allclose(inverse, expected, rtol=1e-3, atol=1e-6)


def test_laplace_is_less_sure_far_away():
  network = MLP((), 2)
  family = bayesian_classifier.last_layer_laplace(network, 40, 1.0, 0.9, 200, "Dense_0")
  variables = family.init(jax.random.key(0), BATCH)
  _, (_, mutated) = family.loss(variables, BATCH, jax.random.key(1))
  far = 30 * INPUTS
  plain = classifier.classifier(network).log_probabilities({"params": variables["params"]}, far)
  bayes = family.log_probabilities({**variables, **mutated}, far)
  of = lambda logs: bayesian_classifier.entropy(np.asarray(logs, np.float64) - 1e-12).mean()
  assert of(bayes) > of(np.maximum(plain, -80)) + 0.05


def test_entropy_is_scipy_s():
  p = np.random.default_rng(1).dirichlet(np.ones(4), 5)
  np.testing.assert_allclose(bayesian_classifier.entropy(np.log(p)), stats.entropy(p, axis=1))
