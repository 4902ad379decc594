"""Autoregressive models: probabilities that sum to 1 by enumeration, heads beside SciPy, samples of what is scored."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from experiments.parts import sequential
from research.errors import UserError
from research.families import autoregressive as family_lib
from research.networks.made import TokenMADE
from research.networks.pixelcnn import PixelCNN
from research.networks.raster_transformer import RasterTransformer
from research.networks.wavenet import WaveNet

LEVELS = 3
HEADS = {"categorical": family_lib.categorical(LEVELS), "logistics": family_lib.logistics(LEVELS, 2)}


def random_variables(network, shape):
  made = network.init(jax.random.key(0), jnp.zeros((1, *shape), jnp.int32), None, False)
  return jax.tree.map(lambda p: p + 0.3 * jax.random.normal(jax.random.key(p.size), p.shape), made)


def network_of(name, head):
  if name == "pixelcnn":
    return PixelCNN(head.size, head.levels, width=3, dilations=(1,), first_size=3), (2, 3)
  if name == "transformer":
    return RasterTransformer(head.size, head.levels, (2, 3), width=4, depth=1, heads=2), (2, 3)
  if name == "wavenet":
    return WaveNet(head.size, head.levels, dilations=(1, 2), width=3, skip=8), (6,)
  return TokenMADE(head.size, head.levels, (12,)), (2, 3)


@pytest.mark.parametrize(
  ("name", "head"),
  [("pixelcnn", "logistics"), ("wavenet", "categorical"), ("made", "categorical"), ("transformer", "categorical")],
)
def test_probabilities_of_all_examples_sum_to_one_and_samples_have_them(name, head):
  """All 729 images of 2x3 pixels; then the frequencies of generated ones, by chi squared."""
  head = HEADS[head]
  network, shape = network_of(name, head)
  family = family_lib.autoregressive(network, head)
  everything = np.array(list(itertools.product(range(LEVELS), repeat=6)), np.int32).reshape(-1, *shape)
  variables = jax.jit(lambda: random_variables(network, shape))()
  score = jax.jit(lambda tokens: family_lib.total(family.log_prob(variables, tokens, None)))
  probabilities = np.exp(np.asarray(score(everything), np.float64))
  np.testing.assert_allclose(probabilities.sum(), 1, atol=1e-4)
  draw = sequential.drawer(sequential.model_of(network, head, shape, False), shape, 1.0)
  drawn = draw(variables, np.zeros(3000, np.int32), jax.random.key(1)).reshape(3000, 6)
  place = (drawn * LEVELS ** np.arange(5, -1, -1)).sum(1)
  likely = np.argsort(-probabilities)[:20]
  observed = np.append(np.bincount(place, minlength=729)[likely], 0)
  observed[-1] = 3000 - observed.sum()
  expected = np.append(probabilities[likely], 1 - probabilities[likely].sum())
  assert stats.chisquare(observed, 3000 * expected / expected.sum()).pvalue > 1e-3


def test_what_is_given_stays_and_a_code_comes_back():
  head = HEADS["categorical"]
  network, shape = network_of("pixelcnn", head)
  variables = jax.jit(lambda: random_variables(network, shape))()
  model = sequential.model_of(network, head, shape, False)
  tokens = np.random.default_rng(0).integers(0, LEVELS, (40, *shape)).astype(np.int32)
  mask = np.zeros(tokens.shape, bool)
  mask[:, 0] = True
  label = np.zeros(40, np.int32)
  drawn = sequential.drawer(model, shape, 1.0)(variables, label, jax.random.key(0), tokens, mask)
  np.testing.assert_array_equal(drawn[:, 0], tokens[:, 0])
  assert (drawn[:, 1] != tokens[:, 1]).any()
  compressor = sequential.Compressor(model, shape)
  code, bits = compressor.encode(variables, tokens, label)
  np.testing.assert_array_equal(compressor.decode(variables, code, label), tokens)
  family = family_lib.autoregressive(network, head)
  nats = -float(jnp.sum(jax.jit(lambda t: family.log_prob(variables, t, None))(tokens)))
  np.testing.assert_allclose(bits, nats / np.log(2), rtol=1e-4)
  assert bits - 1 < 8 * len(code) < 1.01 * bits + 16


@pytest.mark.parametrize("levels", [3, 17, 256])
def test_logistics_are_bins_of_scipys(levels):
  outputs = np.random.default_rng(levels).normal(size=6)
  head = family_lib.logistics(levels, 2)
  found = np.exp(np.asarray(jax.jit(head.logits)(jnp.float32(outputs)), np.float64))
  weights = np.exp(outputs[:2]) / np.exp(outputs[:2]).sum()
  edges = np.concatenate([[-np.inf], (2 * np.arange(levels - 1) + 1) / (levels - 1) - 1, [np.inf]])
  parts = [stats.logistic(m + spread, np.exp(s - 1.5)) for m, s, spread in zip(outputs[2:4], outputs[4:], (-1, 1))]
  expected = sum(w * np.diff(part.cdf(edges)) for w, part in zip(weights, parts))
  np.testing.assert_allclose(found.sum(), 1, atol=1e-4)
  np.testing.assert_allclose(found, expected, rtol=5e-3, atol=1e-5)


def test_bernoulli_and_categorical_are_scipys():
  rng = np.random.default_rng(0)
  logits, bits = rng.normal(size=(4, 1)), np.array([0, 1, 1, 0])
  found = family_lib.bernoulli().log_prob(jnp.float32(logits), bits)
  np.testing.assert_allclose(found, stats.bernoulli(1 / (1 + np.exp(-logits[:, 0]))).logpmf(bits), rtol=1e-5)
  both = jax.nn.log_softmax(family_lib.bernoulli().logits(jnp.float32(logits)))
  np.testing.assert_allclose(both[np.arange(4), bits], found, rtol=1e-5)
  outputs, tokens = rng.normal(size=(4, 5)), np.array([0, 4, 2, 2])
  found = family_lib.categorical(5).log_prob(jnp.float32(outputs), tokens)
  expected = outputs[np.arange(4), tokens] - np.log(np.exp(outputs).sum(1))
  np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_pieces_count_up_to_their_ends_and_are_moved_as_wholes():
  """Of two pieces of 3 and 1 steps and padding of other tokens: their own log-likelihoods, pooled over 4 steps."""
  head = HEADS["categorical"]
  network = RasterTransformer(head.size, head.levels, (3, 2), width=4, depth=1, heads=2)
  family = family_lib.autoregressive(network, head)
  variables = jax.jit(lambda: random_variables(network, (3, 2)))()
  tokens = np.array([[[0, 1], [2, 2], [1, 0]], [[2, 1], [2, 2], [2, 2]]], np.int32)
  batch = {"inputs": tokens, "length": np.array([3, 1], np.int32), "mask": np.ones(2, np.float32)}
  logs = np.asarray(family.log_prob(variables, tokens, None))
  expected = -(logs[0].sum() + logs[1, 0].sum())
  measured = {name: float(mean.value()) for name, mean in family.evaluate(variables, batch).items()}
  np.testing.assert_allclose(measured["nll"], expected / 2, rtol=1e-5)
  np.testing.assert_allclose(measured["nats_per_step"], expected / 4, rtol=1e-5)
  np.testing.assert_allclose(measured["bits_per_dim"], expected / 8 / np.log(2), rtol=1e-5)
  notes = np.array([[[60, 0, 5]]] * 50, np.int32)
  moved = np.asarray(family_lib.transposed(3, 89)(jax.random.split(jax.random.key(0), 50), notes)).reshape(50, 3)
  assert set(moved[:, 0] - 60) == set(range(-3, 4))
  np.testing.assert_array_equal(moved[:, 0] - 60, moved[:, 2] - 5)
  assert not moved[:, 1].any()


def test_levels_of_images_and_of_sound():
  np.testing.assert_array_equal(family_lib.as_tokens(jnp.arange(256.0)[:, None] / 255, 256), np.arange(256))
  sixteenths = np.round(np.arange(17) * 255 / 16) / 255  # as the digits are stored
  np.testing.assert_array_equal(family_lib.as_tokens(jnp.float32(sixteenths)[:, None], 17), np.arange(17))
  np.testing.assert_array_equal(family_lib.mu_law(family_lib.mu_law_inverse(np.arange(256))), np.arange(256))
  sound = np.linspace(-1, 1, 1001)
  error = np.abs(family_lib.mu_law_inverse(family_lib.mu_law(sound)) - sound)
  assert error.max() < 0.025
  assert error[np.abs(sound) < 0.05].max() < 0.002, "soft samples are finer"


@pytest.mark.parametrize(
  ("name", "levels", "remedy"),
  [
    ("bernoulli", 3, "two levels"),
    ("softmax", 3, "categorical"),
    ("logistics", 2, "three levels"),
    ("categorical", 1, "two"),
  ],
)
def test_refuses_heads_that_do_not_fit(name, levels, remedy):
  with pytest.raises(UserError, match=remedy):
    family_lib.by_name(name, levels, 2)
