"""Generators and discriminators: shapes, parameters of the papers' networks, spectral normalisation against the SVD."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.networks import dcgan, layers


def count(variables):
  return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(("side", "widths"), [(28, (8, 4)), (32, (8, 8, 4)), (64, (16, 8, 8, 4))])
def test_pairs_make_and_judge_images_of_28_32_and_64_pixels(side, widths):
  made = dcgan.Generator((side, side, 3), widths, num_classes=5)
  judge = dcgan.Discriminator(widths[::-1], "spectral", num_classes=5)
  z, label = jnp.ones((2, 6)), jnp.array([0, 4])

  def play(key):
    images, _ = made.init_with_output(key, z, label, train=True)
    return images, judge.init_with_output(key, images, label, train=True)[0]

  images, logits = jax.eval_shape(play, jax.random.key(0))
  assert images.shape == (2, side, side, 3)
  assert logits.shape == (2,)


def test_images_are_within_the_range_of_the_output():
  z = 100 * jnp.asarray(np.random.default_rng(0).normal(size=(4, 6)), jnp.float32)
  for network, low in ((dcgan.Generator((4, 4, 1), (4, 4)), -1), (dcgan.MLPGenerator((4, 4, 1)), 0)):
    images = jax.jit(lambda z, made=network: made.init_with_output(jax.random.key(0), z, None, train=False)[0])(z)
    assert low <= float(images.min()) < float(images.max()) <= 1


def test_parameters_are_those_of_the_peers_dcgan_and_of_the_textbooks_pair():
  """672,578, as PyTorch counts them in the benchmark; 100-128-784 and 784-128-1 by arithmetic."""
  shapes = lambda network, x: jax.eval_shape(lambda: network.init(jax.random.key(0), x, None, train=False))
  images, z = jnp.zeros((1, 28, 28, 1)), jnp.zeros((1, 64))
  assert count(shapes(dcgan.Generator((28, 28, 1)), z)) + count(shapes(dcgan.Discriminator(), images)) == 672_578
  textbook = dcgan.MLPGenerator((28, 28, 1), (128,)), dcgan.MLPDiscriminator((128,))
  assert count(shapes(textbook[0], jnp.zeros((1, 100)))) == 100 * 128 + 128 + 128 * 784 + 784
  assert count(shapes(textbook[1], images)) == 784 * 128 + 128 + 128 + 1


def singular(kernel):
  return np.linalg.svd(np.asarray(kernel).reshape(-1, kernel.shape[-1]), compute_uv=False)[0]


@pytest.mark.parametrize("make", [lambda: nn.Dense(7), lambda: layers.Conv(6, (4, 4), 2, 1)])
def test_spectral_norm_divides_by_the_largest_singular_value_of_the_svd(make):
  """After some passes a linear layer has singular value 1: its output is that of kernel / σ."""

  class Wrapped(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return dcgan.normalised(make(), "spectral", train)(x)

  x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 5)), jnp.float32)
  network = Wrapped()
  variables = jax.jit(lambda: network.init(jax.random.key(0), x, train=False))()
  (name,) = variables["params"]
  kernel = variables["params"][name]["kernel"]
  step = jax.jit(lambda v: {**v, **network.apply(v, x, train=True, mutable=["spectral"])[1]})
  start = jax.tree.leaves(variables["spectral"])
  for _ in range(60):
    variables = step(variables)
  assert any((a != b).any() for a, b in zip(start, jax.tree.leaves(variables["spectral"])))
  divided = {"params": {**variables["params"][name], "kernel": kernel / singular(kernel)}}
  found, exact = jax.jit(lambda one, other: (network.apply(one, x, train=False), make().apply(other, x)))(
    variables, divided
  )
  np.testing.assert_allclose(found, exact, rtol=2e-3, atol=2e-3)


def test_gradient_goes_through_the_singular_value():
  """Of u'Wv / σ(W) at W's own singular vectors the value is 1, the gradient to W zero (Miyato et al. 2018, eq. 12)."""

  class Linear(nn.Module):
    @nn.compact
    def __call__(self, x, train):
      return dcgan.normalised(nn.Dense(4, use_bias=False), "spectral", train)(x)

  kernel = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
  left, _, right = np.linalg.svd(kernel)
  network, x = Linear(), left[:, 0][None]
  variables = network.init(jax.random.key(0), x, train=False)
  (name,) = variables["params"]
  spectral = jax.tree.map(lambda leaf: jnp.asarray(right[:1]) if leaf.shape == (1, 4) else leaf, variables["spectral"])
  apply = lambda k: network.apply({"params": {name: {"kernel": k}}, "spectral": spectral}, x, train=False)
  value, slope = jax.jit(jax.value_and_grad(lambda k: (apply(k) @ right[0])[0]))(kernel)
  assert float(value) == pytest.approx(1, abs=1e-5)
  np.testing.assert_allclose(slope, 0, atol=1e-5)


def test_projection_adds_the_embeddings_product_with_the_features():
  """The difference of two classes' logits is linear in the features (Miyato & Koyama 2018, equation 3)."""
  network = dcgan.MLPDiscriminator((), num_classes=3)
  x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4)), jnp.float32)
  variables = network.init(jax.random.key(0), x, jnp.zeros(5, jnp.int32), train=False)
  embedding = np.asarray(variables["params"]["Embed_0"]["embedding"])
  logits = [network.apply(variables, x, jnp.full(5, c), train=False) for c in (0, 2)]
  np.testing.assert_allclose(logits[1] - logits[0], x @ (embedding[2] - embedding[0]), rtol=1e-4, atol=1e-6)


def test_another_label_makes_another_image():
  network = dcgan.MLPGenerator((4,), (8,), "tanh", num_classes=3)
  z = jnp.ones((1, 2))
  variables = network.init(jax.random.key(0), z, jnp.array([0]), train=False)
  a, b = (network.apply(variables, z, jnp.array([c]), train=False) for c in (0, 1))
  assert (a != b).any()


def test_what_cannot_be_is_refused():
  key, z = jax.random.key(0), jnp.ones((1, 2))
  with pytest.raises(UserError, match="multiples of 8"):
    dcgan.Generator((28, 28, 1), (8, 8, 8)).init(key, z, None, train=False)
  with pytest.raises(UserError, match="critic_norm"):
    dcgan.MLPDiscriminator((8,), "spectrum").init(key, z, None, train=False)
  with pytest.raises(UserError, match="output"):
    dcgan.MLPGenerator((4,), output="relu").init(key, z, None, train=False)
