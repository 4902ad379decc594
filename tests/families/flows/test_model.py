"""Flows as models: densities that integrate to 1, samples of known moments, and bounds of bytes' probabilities."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special, stats

from research.families.flows import base, continuous, dequantisation, elementwise, model
from research.families.flows import bijection as b
from research.metrics import Mean
from research.networks.conditioned import ConditionedMLP
from tests.families.flows.test_bijections import Conditioner


def mild(features):
  """Whose densities have no spikes that a grid, or a few thousand draws, would miss."""
  return Conditioner(features, 0.3)


def test_density_integrates_to_one_and_samples_have_it():
  """Of splines with random weights: the integral over a grid, and frequencies of samples in its cells."""
  spline = elementwise.rational_quadratic(4, 3.0)
  layers = [b.coupling(mild, spline, b.halves(i == 1)) for i in range(2)]
  flow = model.flow(b.chain(layers), (2,))
  side = 401
  axis = np.linspace(-7, 7, side, dtype=np.float32)
  places = jnp.asarray(np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2))

  @jax.jit
  def run(key):
    variables = flow.init(key, {"inputs": places[:8], "label": jnp.zeros(8, jnp.int32)})
    logs = flow.log_prob(variables, places, jnp.zeros(len(places), jnp.int32))
    return logs, flow.sample(variables, jax.random.split(key, 20_000), jnp.zeros(20_000, jnp.int32))

  logs, samples = run(jax.random.key(0))
  mass = np.exp(np.asarray(logs, np.float64)).reshape(side, side) * (14 / (side - 1)) ** 2
  np.testing.assert_allclose(mass.sum(), 1, atol=0.02)
  middle = side // 2
  quadrants = [mass[:middle, :middle].sum(), mass[:middle, middle:].sum()]
  below = np.asarray(samples)[:, 0] < 0
  found = [(below & (samples[:, 1] < 0)).mean(), (below & (samples[:, 1] >= 0)).mean()]
  np.testing.assert_allclose(found, quadrants, atol=0.03)


def test_samples_have_the_moments_of_a_linear_flow():
  """y = W (x + b) e^s: x is normal, of mean -b and covariance the inverse of A'A; temperature scales its deviation."""
  flow = model.flow(b.chain([b.actnorm(), b.linear(3, seed=1)]), (3,))
  x = jax.random.normal(jax.random.key(0), (50, 3)) * jnp.array([1.0, 3.0, 0.5]) + 2.0

  @jax.jit
  def run(x):
    variables = flow.init(jax.random.key(1), {"inputs": x, "label": jnp.zeros(50, jnp.int32)})
    variables = jax.tree.map(lambda p: p + 0.2 * jnp.cos(jnp.arange(p.size)).reshape(p.shape), variables)
    keys, label = jax.random.split(jax.random.key(2), 20_000), jnp.zeros(20_000, jnp.int32)
    through = lambda x: flow.noise(variables, x[None], label[:1])[0]
    matrix, bias = jax.jacfwd(through)(jnp.zeros(3)), through(jnp.zeros(3))
    return flow.sample(variables, keys, label), flow.sample(variables, keys, label, 0.5), matrix, bias

  samples, colder, matrix, bias = (np.asarray(found, np.float64) for found in run(x))
  covariance = np.linalg.inv(matrix.T @ matrix)
  mean, error = -np.linalg.solve(matrix, bias), 5 * np.sqrt(np.diag(covariance) / 20_000)
  assert (np.abs(samples.mean(0) - mean) < error).all()
  np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.05 * np.diag(covariance).max())
  np.testing.assert_allclose(np.cov(colder.T), covariance / 4, atol=0.05 * np.diag(covariance).max())


def normal_pixels(scale):
  """y = scale (x - 1/2) for each pixel: a byte's probability is a difference of normal distribution functions."""
  move = lambda x: (scale * (x - 0.5), jnp.full(len(x), 4 * np.log(scale)))
  return b.chain(
    [b._fixed(move, lambda y: (y / scale + 0.5, jnp.full(len(y), -4 * np.log(scale)))), b.flatten((2, 2, 1))]
  )


def test_dequantised_bound_lies_below_the_probability_of_bytes_and_reaches_it():
  scale, pixels = 300.0, np.array([[126, 128], [127, 129]], np.uint8).reshape(1, 2, 2, 1)
  edges = np.stack([pixels / 256.0, (pixels + 1) / 256.0])
  exact = np.log(np.diff(stats.norm.cdf(scale * (edges - 0.5)), axis=0)).sum()
  noise = b.coupling(mild, elementwise.affine(), b.halves())
  batch = {"inputs": jnp.asarray(pixels / 255.0, jnp.float32), "label": jnp.zeros(1, jnp.int32), "index": jnp.arange(1)}
  for dequantiser in (dequantisation.uniform(), dequantisation.variational(noise)):
    flow = model.flow(normal_pixels(scale), (4,), dequantiser=dequantiser)

    @jax.jit
    def run(key, flow=flow):
      variables = flow.init(key, batch)
      draws = lambda key: flow.log_prob(variables, batch["inputs"], batch["label"], key[None])[0]
      return jax.vmap(draws)(jax.random.split(key, 4000)), model.importance_sampled(flow, variables, batch, 4000)[0]

    bounds, weighted = run(jax.random.key(0))
    assert float(bounds.mean()) < exact - 0.1
    np.testing.assert_allclose(weighted, exact, atol=0.1)
    np.testing.assert_allclose(special.logsumexp(bounds) - np.log(4000), exact, atol=0.1)


def test_noise_of_the_dequantisation_stays_in_its_byte_and_decoding_finds_it():
  pixels = np.arange(256, dtype=np.uint8).reshape(4, 8, 8, 1)
  x, keys = jnp.asarray(pixels / 255.0, jnp.float32), jax.random.split(jax.random.key(0), 4)
  noisy, _ = jax.jit(lambda keys, x: dequantisation.uniform().draw({}, keys, x))(keys, x)
  np.testing.assert_array_equal(np.floor(256 * np.asarray(noisy) + 1e-4).astype(int), pixels)
  flow = model.flow(b.chain([b.logit(), b.flatten((8, 8, 1))]), (64,), dequantiser=dequantisation.uniform())
  variables = {"params": {"flow": [{}, {}], "dequantiser": {}}}
  back = flow.decode(variables, flow.noise(variables, (255 * x + 0.5) / 256, None), None)
  np.testing.assert_array_equal(np.round(255 * np.asarray(back)).astype(int), pixels)


def test_bases_are_those_of_scipy():
  y = np.random.default_rng(0).normal(size=(5, 3))
  for own, distribution in ((base.normal(), stats.norm), (base.logistic(), stats.logistic)):
    np.testing.assert_allclose(
      own.log_prob(None, jnp.asarray(y, jnp.float32)), distribution.logpdf(y).sum(1), rtol=1e-5
    )
    drawn = np.asarray(
      jax.vmap(lambda key, own=own: own.sample(None, key, (2,)))(jax.random.split(jax.random.key(0), 4000))
    )
    assert stats.kstest(drawn.ravel(), distribution.cdf).pvalue > 1e-3


def test_a_mixture_as_base_has_the_density_and_the_moments_of_scipys():
  rng = np.random.default_rng(0)
  weights, means, roots = np.array([0.2, 0.5, 0.3]), 3 * rng.normal(size=(3, 2)), rng.normal(size=(3, 2, 2))
  covariances = roots @ roots.swapaxes(1, 2) + 0.1 * np.eye(2)
  params = base.mixture_params(jnp.log(weights), jnp.asarray(means), np.linalg.cholesky(np.linalg.inv(covariances)))
  parts = [stats.multivariate_normal(*part) for part in zip(means, covariances)]
  y = 2 * rng.normal(size=(6, 2))
  expected = np.log(sum(weight * part.pdf(y) for weight, part in zip(weights, parts)))
  own = base.mixture(3)
  np.testing.assert_allclose(jax.jit(own.log_prob)(params, y), expected, rtol=1e-4)
  sample = jax.jit(jax.vmap(lambda key: own.sample(params, key, (2,))))(jax.random.split(jax.random.key(0), 20_000))
  mean = weights @ means
  apart = means - mean
  covariance = np.einsum("k,kij->ij", weights, covariances + apart[:, :, None] * apart[:, None])
  np.testing.assert_allclose(sample.mean(0), mean, atol=0.1)
  np.testing.assert_allclose(np.cov(sample.T), covariance, atol=0.05 * np.abs(covariance).max())


@pytest.mark.parametrize("continuous_time", [False, True])
def test_a_flow_learns_its_base(continuous_time):
  make = lambda base: (
    continuous.continuous(ConditionedMLP(4, 1), (2,), base=base, steps=2)
    if continuous_time
    else model.flow(b.actnorm(), (2,), base=base)
  )
  flow, x = make(base.mixture(2)), jnp.asarray(np.random.default_rng(0).normal(size=(8, 2)), jnp.float32)
  batch = {"inputs": x, "label": jnp.zeros(8, jnp.int32), "mask": jnp.ones(8)}
  variables = jax.jit(flow.init)(jax.random.key(0), batch)
  gradient = jax.jit(jax.grad(lambda variables: flow.loss(variables, batch, jax.random.key(1))[0].value()))(variables)
  assert all(jnp.abs(leaf).max() > 0 for leaf in jax.tree.leaves(gradient["params"]["base"]))
  assert "base" not in jax.eval_shape(make(base.normal()).init, jax.random.key(0), batch)["params"]
  assert flow.sample(variables, jax.random.split(jax.random.key(2), 3), jnp.zeros(3, jnp.int32)).shape == (3, 2)


def test_evaluation_counts_what_the_mask_says():
  flow = model.flow(b.actnorm(), (2,))
  batch = {"inputs": jnp.ones((4, 2)), "label": jnp.zeros(4, jnp.int32), "index": jnp.arange(4)}
  variables = {"params": {"flow": {"bias": jnp.zeros(2), "log_scale": jnp.zeros(2)}, "dequantiser": {}}}
  found = flow.evaluate(variables, {**batch, "mask": jnp.array([1.0, 1, 0, 0])})["nll"]
  assert isinstance(found, Mean)
  np.testing.assert_allclose([found.total, found.count], [-2 * stats.norm.logpdf([1, 1]).sum(), 2], rtol=1e-6)
