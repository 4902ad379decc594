"""The VAE against exact answers: quadrature, SciPy, the linear-Gaussian model, whose marginal scikit-learn knows."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats
from sklearn.decomposition import PCA

from research.errors import UserError
from research.families import vae


class LinearGaussian(nn.Module):
  """x = W z + mean + noise (Tipping & Bishop 1999), with its exact posterior, or one that is `wider`."""

  weights: np.ndarray
  mean: np.ndarray
  std: float
  wider: float = 1.0

  @property
  def latent_shapes(self):
    return ((self.weights.shape[1],),)

  def encode(self, inputs, label, train):
    precision = np.eye(self.weights.shape[1]) + self.weights.T @ self.weights / self.std**2
    # Columns of W are orthogonal (they are principal directions), so the posterior is diagonal.
    covariance = np.linalg.inv(precision)
    mean = (inputs.reshape(len(inputs), -1) - self.mean) @ (self.weights @ covariance) / self.std**2
    return ((mean, jnp.broadcast_to(np.log(self.wider * np.sqrt(np.diag(covariance))), mean.shape)),)

  def infer(self, evidence, noise, label, train):
    mean, log_std = evidence[0]
    latent = mean + jnp.exp(log_std) * noise[0]
    prior = jnp.zeros_like(latent), jnp.zeros_like(latent)
    return self.decode(latent), ((latent, evidence[0], prior),)

  def generate(self, noise, label, train):
    return self.decode(noise[0])

  def decode(self, latent):
    return (latent @ self.weights.T + self.mean).reshape(len(latent), -1, 1, 1, 1)


@pytest.fixture(scope="module")
def linear():
  """Data, a fitted probabilistic PCA, and the same model as a VAE's network."""
  rng = np.random.default_rng(0)
  x = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 6)) + 0.5 * rng.normal(size=(200, 6)) + rng.normal(size=6)
  pca = PCA(2).fit(x)
  weights = pca.components_.T * np.sqrt(pca.explained_variance_ - pca.noise_variance_)
  batch = {
    "inputs": jnp.asarray(x[:8].reshape(8, 6, 1, 1), jnp.float32),
    "label": jnp.zeros(8, jnp.int32),
    "mask": jnp.ones(8),
    "index": jnp.arange(8),
    "step": jnp.zeros(8, jnp.int32),
  }

  def family(wider=1.0, **options):
    network = LinearGaussian(weights, pca.mean_, float(np.sqrt(pca.noise_variance_)), wider)
    return vae.vae(network, vae.gaussian(network.std), **options)

  return family, batch, pca.score_samples(x[:8]), x[:8], pca


def terms(family, batch, seed, samples):
  return jax.jit(lambda batch, keys: family.terms({}, batch, keys, samples))(batch, keys(seed))


def keys(seed, count=8):
  return jax.random.split(jax.random.key(seed), count)


def test_kl_is_the_integral():
  for mean, std, other_mean, other_std in [(0.3, 0.5, 0.0, 1.0), (-1.0, 2.0, 0.5, 0.7)]:
    p, q = stats.norm(mean, std), stats.norm(other_mean, other_std)
    exact = integrate.quad(lambda z, p=p, q=q: p.pdf(z) * (p.logpdf(z) - q.logpdf(z)), -30, 30, limit=500)[0]
    found = vae.normal_kl((jnp.array(mean), jnp.log(std)), (jnp.array(other_mean), jnp.log(other_std)))
    np.testing.assert_allclose(found, exact, rtol=1e-5)


def test_linear_gaussian_weights_are_the_exact_marginal(linear):
  """With the exact posterior every single importance weight is p(x), and the ELBO, KL analytic, is log p(x)."""
  family, batch, exact, *_ = linear
  found = terms(family(), batch, 0, 2000)
  np.testing.assert_allclose(found.log_likelihood + found.log_ratio, np.tile(exact[:, None], 2000), atol=1e-3)
  np.testing.assert_allclose(found.elbo(), exact, atol=5 * np.asarray(found.log_likelihood).std(1).max() / 2000**0.5)
  np.testing.assert_allclose(found.iwae(), exact, atol=1e-3)


def test_bound_of_more_samples_is_tighter_and_reaches_the_marginal(linear):
  family, batch, exact, *_ = linear
  found = terms(family(wider=2.5), batch, 1, 10_000)
  bounds = []
  for samples in (1, 2, 5, 20, 100):
    parts = vae.Terms(*(x.reshape(8, -1, samples) for x in found))
    bounds.append(float(jax.jit(vae.Terms.iwae)(parts).mean()))
  gaps = exact.mean() - np.array(bounds)
  assert (np.diff(gaps) < 0).all(), gaps
  assert gaps[0] > 0.5, "a poor posterior's ELBO is far from the marginal"
  assert abs(gaps[-1]) < 0.03
  np.testing.assert_allclose(float(found.elbo().mean()), bounds[0], atol=0.1)  # both estimate the same bound


@pytest.mark.parametrize("chunk", [500, 2000])
def test_log_likelihood_is_the_marginal_however_it_is_chunked(linear, chunk):
  family, batch, exact, *_ = linear
  found = vae.log_likelihood(family(wider=1.5), {}, batch, 4000, chunk)
  np.testing.assert_allclose(found, exact, atol=0.1)


def test_log_likelihood_refuses_chunks_that_do_not_fill(linear):
  family, batch, *_ = linear
  with pytest.raises(UserError, match="divisor"):
    vae.log_likelihood(family(), {}, batch, 10, 3)


def test_imputation_draws_from_the_conditional(linear):
  """Averaged over chains, missing numbers are E[x_m | x_o] of the joint Gaussian."""
  family, _, _, x, pca = linear
  o = np.array([1, 1, 1, 1, 0, 0]) > 0
  m, covariance = ~o, pca.get_covariance()
  gain = covariance[np.ix_(m, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
  shifts = (x - pca.mean_)[:, o] @ gain.T
  row = np.abs(shifts).max(1).argmax()  # the example whose observed part says most
  expected, chains = pca.mean_[m] + shifts[row], 2000
  inputs = jnp.broadcast_to(jnp.asarray(x[row], jnp.float32).reshape(1, 6, 1, 1), (chains, 6, 1, 1))
  seen = jnp.broadcast_to(jnp.asarray(o, jnp.float32).reshape(1, 6, 1, 1), inputs.shape)
  fill = jax.jit(lambda x, seen: vae.impute(family(), {}, x, seen, jnp.zeros(chains), jax.random.key(3), 60))
  found = np.asarray(fill(inputs, seen))[:, :, 0, 0]
  np.testing.assert_array_equal(found[:, o], np.tile(np.float32(x[row][o]), (chains, 1)))
  error = 5 * np.asarray(found[:, m]).std(0).max() / chains**0.5
  np.testing.assert_allclose(found[:, m].mean(0), expected, atol=error)
  assert np.abs(expected - pca.mean_[m]).max() > 3 * error, "the observed part says something"


def test_evaluation_is_that_of_each_example_wherever_it_stands(linear):
  family, batch, *_ = linear
  evaluate = jax.jit(family(wider=2.0, eval_samples=7).evaluate)
  whole = evaluate({}, batch)
  halves = [evaluate({}, jax.tree.map(lambda x, s=s: x[s], batch)) for s in (slice(0, 3), slice(3, 8))]
  for name, mean in whole.items():
    np.testing.assert_allclose(mean.total, sum(half[name].total for half in halves), rtol=1e-5)
  padded = {**batch, "mask": jnp.array([1.0] * 3 + [0.0] * 5)}
  np.testing.assert_allclose(evaluate({}, padded)["loss"].total, halves[0]["loss"].total, rtol=1e-5)
  assert whole["iwae"].value() < whole["loss"].value()


@pytest.mark.parametrize("objective", vae.OBJECTIVES)
def test_weight_of_the_kl_rises_and_objectives_agree_for_one_sample_in_expectation(linear, objective):
  family, batch, *_ = linear
  lossy = jax.jit(family(wider=2.0, objective=objective, samples=3, beta=2.0, warmup=10).loss)
  losses = []
  for step in (0, 4, 9, 50):
    at = {**batch, "step": jnp.full(8, step)}
    loss, (metrics, _) = lossy({"params": {}}, at, jax.random.key(0))
    assert metrics["beta"].value() == pytest.approx(2.0 * min(1.0, (step + 1) / 10))
    losses.append(float(loss.value()))
  assert losses[0] < losses[1] < losses[2] == losses[3]
  if objective == "elbo":
    np.testing.assert_allclose(losses[2] - losses[1], metrics["kl"].value() * (2.0 - 1.0), rtol=1e-4)


def test_bernoulli_and_gaussian_are_those_of_scipy():
  rng = np.random.default_rng(0)
  logits, x = rng.normal(size=(3, 2, 2, 1)).astype(np.float32), rng.integers(0, 2, (3, 2, 2, 1)).astype(np.float32)
  found = vae.bernoulli().log_prob(jnp.asarray(logits[..., None]), jnp.asarray(x))
  np.testing.assert_allclose(found, stats.bernoulli(1 / (1 + np.exp(-logits))).logpmf(x).sum((1, 2, 3)), rtol=1e-5)
  parameters, x = rng.normal(size=(3, 2, 2, 1, 2)).astype(np.float32), rng.normal(size=(3, 2, 2, 1)).astype(np.float32)
  learned = stats.norm(parameters[..., 0], np.exp(parameters[..., 1])).logpdf(x).sum((1, 2, 3))
  np.testing.assert_allclose(vae.gaussian().log_prob(jnp.asarray(parameters), jnp.asarray(x)), learned, rtol=1e-5)
  fixed = stats.norm(parameters[..., 0], 0.3).logpdf(x).sum((1, 2, 3))
  found = vae.gaussian(0.3).log_prob(jnp.asarray(parameters[..., :1]), jnp.asarray(x))
  np.testing.assert_allclose(found, fixed, rtol=1e-5)


def logistic_table(parameters):
  """Log-probabilities [256] of every byte, under one (mean, log scale) as the decoder puts them out."""
  x = (jnp.arange(256) / 255).reshape(256, 1, 1, 1).astype(jnp.float32)
  repeated = jnp.broadcast_to(jnp.asarray(parameters, jnp.float32), (256, 1, 1, 1, 2))
  return np.asarray(vae.discretised_logistic().log_prob(repeated, x), np.float64)


@pytest.mark.parametrize("levels", [2, 17])
def test_discretised_logistic_of_few_levels_adds_up_to_one_over_them(levels):
  """Stored as bytes, 17 levels are rounded: each counts as the level that it is nearest to."""
  stored = jnp.round(255 * jnp.arange(levels) / (levels - 1)).reshape(levels, 1, 1, 1) / 255
  parameters = jnp.broadcast_to(jnp.array([0.1, -0.5]), (levels, 1, 1, 1, 2))
  logs = np.asarray(vae.discretised_logistic(levels).log_prob(parameters, stored), np.float64)
  edges = np.concatenate([[-np.inf], (np.arange(levels - 1) + 0.5) / (levels - 1), [np.inf]])
  np.testing.assert_allclose(np.exp(logs), np.diff(stats.logistic(0.6, np.exp(-2.5)).cdf(edges)), rtol=1e-4)


@pytest.mark.parametrize("parameters", [(0.0, 0.0), (0.3, -2.0), (-0.6, 1.0), (0.7, -3.0)])
def test_discretised_logistic_is_a_distribution_of_bytes(parameters):
  logs = logistic_table(parameters)
  np.testing.assert_allclose(np.exp(logs).sum(), 1, atol=1e-4)
  exact = stats.logistic(0.5 + parameters[0], np.exp(parameters[1] - 2))
  edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
  expected = np.where(edges[1:] < exact.mean(), np.diff(exact.cdf(edges)), -np.diff(exact.sf(edges)))
  np.testing.assert_allclose(logs, np.log(expected), atol=2e-3)


def test_samples_have_the_distribution_that_is_scored():
  """Frequencies of drawn bytes against the probabilities, by chi squared."""
  parameters, count = jnp.broadcast_to(jnp.array([0.1, -1.5]), (100, 100, 1, 2)), 10_000
  drawn = np.asarray(vae.discretised_logistic().sample(jax.random.key(0), parameters)).ravel()
  counts = np.bincount(np.round(255 * drawn).astype(int), minlength=256)
  expected = np.exp(logistic_table((0.1, -1.5)))
  groups = np.minimum(np.cumsum(expected) * 20, 19.999).astype(int)  # about 20 groups of like probability
  observed, wanted = (np.bincount(groups, weights=w, minlength=20) for w in (counts, expected))
  kept = wanted > 0
  assert stats.chisquare(observed[kept], wanted[kept] / wanted.sum() * count).pvalue > 1e-3


def test_binarisation_and_dequantisation():
  grey = jnp.full((500, 4, 4, 1), 0.3)
  drawn = vae.binarised(keys(0, 500), grey)
  assert set(np.unique(drawn)) == {0.0, 1.0}
  assert abs(float(drawn.mean()) - 0.3) < 5 * (0.21 / 8000) ** 0.5
  assert not (vae.binarised(keys(1, 500), grey) == drawn).all()
  bytes_ = jnp.arange(256.0).reshape(1, 16, 16, 1) / 255
  smooth = np.asarray(vae.dequantised(keys(2, 1), bytes_))
  np.testing.assert_array_equal(np.floor(256 * smooth.ravel() + 1e-4).astype(int), np.arange(256))


def test_what_is_inferred_of_bytes_is_inferred_of_what_training_sees():
  """The posterior's mean is linear in the image here, so that of a byte is the mean over its dequantisations; and a
  decoder that puts out what it got gives the byte back."""
  network = LinearGaussian(np.random.default_rng(0).normal(size=(6, 2)), np.full(6, 0.5), 0.3)
  plain, of_bytes = (vae.vae(network, vae.gaussian(0.3, dequantise=dequantise)) for dequantise in (False, True))
  x = jnp.asarray([0, 255, 128, 7, 200, 31], jnp.float32).reshape(1, 6, 1, 1) / 255
  mean = lambda family, x: family.infer({}, x, None, [jnp.zeros((len(x), 2))])[1][0][1][0]
  seen = vae.dequantised(keys(5, 20_000), jnp.broadcast_to(x, (20_000, 6, 1, 1)))
  expected = np.asarray(mean(plain, seen))
  error = 5 * expected.std(0) / 20_000**0.5
  assert (np.abs(mean(of_bytes, x)[0] - expected.mean(0)) < error).all()
  assert (np.abs(mean(plain, x)[0] - expected.mean(0)) > 2 * error).any(), "the byte itself is told apart"
  middle = (255 * x + 0.5) / 256
  np.testing.assert_allclose(of_bytes.likelihood.mean(middle[..., None]), x, atol=1e-6)
  exact = vae.gaussian(1e-9, dequantise=True).sample(jax.random.key(0), middle[..., None])
  np.testing.assert_allclose(exact, x, atol=1e-6)


def test_density_of_dequantised_bytes_is_a_probability_of_bytes(linear):
  """A standard deviation that covers many bins: the bound is the density at the byte, times the bin's width."""
  _, batch, *_ = linear
  network = LinearGaussian(np.zeros((6, 1)), np.full(6, 0.5), 0.3)
  x = {**batch, "inputs": jnp.full((8, 6, 1, 1), 128 / 255)}
  found = vae.vae(network, vae.gaussian(0.3, dequantise=True)).terms({}, x, keys(0), 1)
  np.testing.assert_allclose(
    found.log_likelihood, 6 * (stats.norm(0.5, 0.3).logpdf(128.5 / 256) - np.log(256)), atol=0.01
  )


@pytest.mark.parametrize(
  ("options", "remedy"), [({"objective": "vlb"}, "elbo, iwae"), ({"samples": 0}, "at least one")]
)
def test_refuses_what_it_cannot_do(linear, options, remedy):
  with pytest.raises(UserError, match=remedy):
    linear[0](**options)


def test_refuses_a_standard_deviation_of_nothing():
  with pytest.raises(UserError, match="positive"):
    vae.gaussian(-1.0)
