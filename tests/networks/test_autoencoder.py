"""Encoders and decoders: what the ladder adds up to, and that generation undoes inference."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from research.errors import UserError
from research.networks import autoencoder

NETWORKS = {
  "mlp": autoencoder.MLPAutoencoder((8, 8, 1), 2, (5,), (7, 6), "gated"),
  "mlp ladder": autoencoder.MLPAutoencoder((8, 8, 1), 1, (3, 5), (7,), "tanh", num_classes=4),
  "conv": autoencoder.ConvAutoencoder((8, 8, 3), 1, 4, (), (4, 6), num_classes=4),
  "conv ladder": autoencoder.ConvAutoencoder((7, 9, 1), 2, 4, (2, 3), (4, 6), 0),
}


def passed(network, label=0):
  """Parameters, and what inference gives for random images and noise."""
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.random((6, *network.image_shape)), jnp.float32)
  noise = [jnp.asarray(rng.normal(size=(6, *shape)), jnp.float32) for shape in network.latent_shapes]
  both = lambda module, x, label: module.infer(module.encode(x, label, False), noise, label, False)
  labels = jnp.full(6, label)
  variables = jax.jit(lambda key: network.init(key, x, labels, method=both))(jax.random.key(0))
  # Blocks start as the identity and biases as zero: move everything, or half of it is not seen.
  leaves = jax.tree.map(lambda p: p + 0.1 * rng.normal(size=p.shape).astype(np.float32), variables)
  return leaves, labels, jax.jit(lambda leaves: network.apply(leaves, x, labels, method=both))(leaves)


def generated(network, variables, noise, labels):
  return jax.jit(lambda *arguments: network.apply(*arguments, method="generate"))(variables, noise, labels)


@pytest.mark.parametrize("name", NETWORKS)
def test_generation_from_the_latents_in_units_of_their_prior_is_what_inference_puts_out(name):
  network = NETWORKS[name]
  variables, labels, (outputs, levels) = passed(network)
  assert outputs.shape == (6, *network.image_shape, network.parameters)
  assert tuple(latent.shape[1:] for latent, *_ in levels) == network.latent_shapes
  codes = [(latent - mean) / jnp.exp(log_std) for latent, _, (mean, log_std) in levels]
  again = generated(network, variables, codes, labels)
  np.testing.assert_allclose(again, outputs, rtol=1e-3, atol=1e-4)
  other = generated(network, variables, [code + 1 for code in codes], labels)
  assert np.abs(other - outputs).max() > 1e-3


@pytest.mark.parametrize("name", ["mlp ladder", "conv"])
def test_label_reaches_encoder_and_decoder(name):
  network = NETWORKS[name]
  _, _, (_, one) = passed(network, 0)
  variables, _, (_, other) = passed(network, 3)
  assert np.abs(one[0][1][0] - other[0][1][0]).max() > 1e-4, "the posterior depends on it"
  noise = [jnp.zeros((6, *shape)) for shape in network.latent_shapes]
  drawn = [generated(network, variables, noise, jnp.full(6, label)) for label in (0, 3)]
  assert np.abs(drawn[0] - drawn[1]).max() > 1e-4


def test_product_of_two_normal_densities():
  one, other = (0.3, 0.8), (-1.0, 0.5)
  mean, log_std = autoencoder.product(*((jnp.array(m), jnp.log(s)) for m, s in (one, other)))
  z = np.linspace(-6, 6, 4001)
  density = stats.norm(*one).pdf(z) * stats.norm(*other).pdf(z)
  density /= density.sum()
  np.testing.assert_allclose(mean, (z * density).sum(), atol=1e-5)
  np.testing.assert_allclose(np.exp(log_std), np.sqrt((z**2 * density).sum() - (z * density).sum() ** 2), atol=1e-5)


def test_lower_posterior_is_the_evidence_times_the_prior():
  network = NETWORKS["mlp ladder"]
  variables, labels, (_, levels) = passed(network)
  x = jnp.asarray(np.random.default_rng(0).random((6, *network.image_shape)), jnp.float32)
  evidence: Any = network.apply(variables, x, labels, False, method="encode")
  _, (mean, log_std), (prior_mean, prior_log_std) = levels[1]
  precision = np.exp(-2 * evidence[1][1]) + np.exp(-2 * prior_log_std)
  np.testing.assert_allclose(np.exp(-2 * log_std), precision, rtol=1e-4)
  np.testing.assert_allclose(
    mean * precision, evidence[1][0] * np.exp(-2 * evidence[1][1]) + prior_mean * np.exp(-2 * prior_log_std), rtol=1e-3
  )
  np.testing.assert_array_equal(levels[0][1][0], evidence[0][0])


def test_upscaling_lays_groups_of_four_channels_out_in_space():
  upscale = autoencoder.Upscale(3, 0)
  x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 4, 5, 2)), jnp.float32)
  variables = upscale.init(jax.random.key(0), x, (8, 10))
  wide = np.asarray(autoencoder.layers.Conv(12).apply({"params": variables["params"]["Conv_0"]}, jax.nn.elu(x)))
  found = np.asarray(upscale.apply(variables, x, (8, 10)))
  assert found.shape == (2, 8, 10, 3)
  np.testing.assert_array_equal(upscale.apply(variables, x, (7, 10)), found[:, :7])
  for row in range(8):
    for column in range(10):
      group = 3 * (2 * (row % 2) + column % 2)
      expected = wide[:, row // 2, column // 2, group : group + 3]
      np.testing.assert_allclose(found[:, row, column], expected, rtol=1e-5, atol=1e-6)


def test_textbook_network_has_its_parameters():
  """784-400-20-400-784 of the peers' step: 652,824."""
  variables, *_ = passed(autoencoder.MLPAutoencoder((28, 28, 1), 1, (20,), (400,), "relu"))
  assert sum(leaf.size for leaf in jax.tree.leaves(variables)) == 652_824


@pytest.mark.parametrize(
  ("network", "remedy"),
  [
    (autoencoder.ConvAutoencoder((8, 8, 1), 1, 4, (2,), (4, 4)), "one number for each"),
    (autoencoder.MLPAutoencoder((8, 8, 1), activation="swish2"), "choose one of relu"),
  ],
)
def test_refuses_what_it_cannot_build(network, remedy):
  with pytest.raises(UserError, match=remedy):
    passed(network)
