"""The VQ-VAE's parts against brute force and NumPy, and the codebook on one device against four."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import entropy

from research import axes
from research.errors import UserError
from research.families import vae, vq_vae
from research.networks.autoencoder import VQAutoencoder


@pytest.fixture
def problem():
  rng = np.random.default_rng(0)
  vectors, entries = rng.normal(size=(40, 3)).astype(np.float32), rng.normal(size=(5, 3)).astype(np.float32)
  codebook = {"count": np.full(5, 2.0, np.float32), "total": 2 * entries, "entries": entries}
  weight = (rng.random(40) < 0.8).astype(np.float32)
  return vectors, codebook, weight


def test_nearest_is_that_of_all_distances(problem):
  vectors, codebook, _ = problem
  expected = cdist(vectors, codebook["entries"]).argmin(1)
  np.testing.assert_array_equal(vq_vae.nearest(vectors, codebook["entries"]), expected)
  assert len(set(expected)) > 2


def test_gradient_goes_straight_through(problem):
  """d f(quantised) / d vectors is f' at the quantised point."""
  vectors, codebook, _ = problem
  quantised = codebook["entries"][cdist(vectors, codebook["entries"]).argmin(1)]
  target = lambda x: jnp.sin(x).sum() + (x**3).sum()

  def through(v):
    return target(vq_vae.straight_through(v, codebook["entries"][vq_vae.nearest(v, codebook["entries"])]))

  np.testing.assert_allclose(jax.grad(through)(jnp.asarray(vectors)), np.cos(quantised) + 3 * quantised**2, rtol=1e-4)
  np.testing.assert_allclose(through(jnp.asarray(vectors)), target(quantised), rtol=1e-5)


def test_codebook_follows_moving_averages(problem):
  """Equations 6 to 8, entry by entry."""
  vectors, codebook, weight = problem
  found = vq_vae.updated(codebook, jnp.asarray(vectors), jnp.asarray(weight), 0.9)
  chosen = cdist(vectors, codebook["entries"]).argmin(1)
  for entry in range(5):
    mine = vectors[(chosen == entry) & (weight > 0)]
    count = 0.9 * 2 + 0.1 * len(mine)
    total = 0.9 * 2 * codebook["entries"][entry] + 0.1 * mine.sum(0)
    np.testing.assert_allclose(found["count"][entry], count, rtol=1e-5)
    np.testing.assert_allclose(found["entries"][entry], total / count, rtol=1e-4)


def test_four_devices_agree_on_the_codebook_of_one(problem):
  vectors, codebook, weight = problem
  one = vq_vae.updated(codebook, jnp.asarray(vectors), jnp.asarray(weight), 0.9)
  step = functools.partial(vq_vae.updated, decay=0.9)
  mapped = jax.pmap(step, axis_name=axes.AXIS, in_axes=(None, 0, 0), devices=jax.devices()[:4])
  four = mapped(codebook, vectors.reshape(4, 10, 3), weight.reshape(4, 10))
  for name, value in one.items():
    for device in range(4):
      np.testing.assert_allclose(four[name][device], value, rtol=1e-5, atol=1e-6)


def test_perplexity_is_the_exponential_of_the_entropy():
  counts = np.array([3.0, 0.0, 5.0, 2.0])
  np.testing.assert_allclose(vq_vae.perplexity(jnp.asarray(counts)), np.exp(entropy(counts)), rtol=1e-6)
  np.testing.assert_allclose(vq_vae.perplexity(jnp.ones(7)), 7, rtol=1e-5)


def test_encoder_learns_from_the_reconstruction_and_the_commitment_alone():
  """The gradient of the whole loss in the encoder, against the same with the codes held fixed, added by hand."""
  network = VQAutoencoder((4, 4, 1), 1, 2, (3,), 0)
  family = vq_vae.vq_vae(network, vae.bernoulli(), codes=4, commitment=0.5)
  x = jnp.asarray(np.random.default_rng(1).integers(0, 2, (6, 4, 4, 1)), jnp.float32)
  batch = {"inputs": x, "mask": jnp.ones(6)}
  variables = jax.jit(family.init)(jax.random.key(0), batch)
  book, params = variables["codebook"], variables["params"]
  codes = jax.jit(family.codes)(variables, x)
  quantised = book["entries"][codes]
  decode = jax.jit(lambda q: network.apply({"params": params}, q, method="decode"))
  outside = jax.grad(lambda q: -vae.bernoulli().log_prob(decode(q), x).sum())

  def by_hand(params):
    vectors = network.apply({"params": params}, x, method="encode")
    return (outside(quantised) * vectors).sum() + 0.5 * jnp.square(vectors - quantised).sum()

  whole = lambda params: family.loss({"params": params, "codebook": book}, batch, jax.random.key(0))[0].total
  found, expected = jax.jit(jax.grad(whole))(params), jax.jit(jax.grad(by_hand))(params)
  for name in ("encoder", "to_code"):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), found[name], expected[name])
    assert max(float(jnp.abs(leaf).max()) for leaf in jax.tree.leaves(expected[name])) > 1e-3
  np.testing.assert_allclose(jax.jit(family.decode)(variables, codes), decode(quantised), rtol=1e-5)


@pytest.mark.parametrize("options", [{"codes": 1}, {"codes": 8, "decay": 1.0}])
def test_refuses_what_it_cannot_do(options):
  with pytest.raises(UserError, match="give"):
    vq_vae.vq_vae(None, vae.bernoulli(), **options)
