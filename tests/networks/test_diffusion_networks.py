"""The networks of diffusion models: shapes at any size, blocks that start as the identity, what conditions reach."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from research.networks import attention, conditioned, dit, transformer, unet

UNET = unet.UNet((8, 16), 1, (False, True), head_features=4, groups=4, num_classes=3)
DIT = dit.DiT(16, 2, 2, 4, num_classes=3)
MLP = conditioned.ConditionedMLP(16, 2, num_classes=3)


def inputs(shape, seed=0):
  x = np.random.default_rng(seed).normal(size=shape).astype(np.float32)
  return x, np.linspace(0, 1000, shape[0], dtype=np.float32), np.arange(shape[0], dtype=np.int32) % 4


def start(network, *arguments):
  """Variables, by one compiled program: operation by operation it takes ten times as long."""
  return jax.jit(lambda: network.init(jax.random.key(0), *arguments, train=False))()


def perturbed(variables, seed=1):
  """Parameters without a zero among them."""
  rng = np.random.default_rng(seed)
  return jax.tree.map(lambda x: np.asarray(x) + 0.1 * rng.normal(size=x.shape).astype(np.float32), variables)


@pytest.mark.parametrize(
  ("network", "shape"),
  [
    (UNET, (2, 7, 9, 3)),
    (DIT, (2, 7, 9, 3)),
    (DIT, (2, 10, 2)),
    (MLP, (2, 4, 4, 1)),
  ],
)
def test_output_has_the_input_s_shape_and_knows_noise_and_label(network, shape):
  x, level, label = inputs(shape)
  variables = perturbed(start(network, x, level, label))
  apply = jax.jit(lambda x, level, label: network.apply(variables, x, level, label, train=False))
  out = np.asarray(apply(x, level, label))
  assert out.shape == x.shape
  assert out.dtype == jnp.float32
  assert np.abs(out - apply(x, level[::-1], label)).max() > 1e-4
  assert np.abs(out - apply(x, level, label + 1)).max() > 1e-4
  # Each example on its own.
  other = np.where(np.arange(len(x)).reshape(-1, *[1] * (x.ndim - 1)) == 1, np.float32(9), x)
  np.testing.assert_allclose(apply(other, level, label)[0], out[0], rtol=1e-4, atol=1e-4)


def test_unet_has_the_parameters_of_diffusers_unet2dmodel():
  """diffusers 0.42.1: `UNet2DModel` with channels 32, 64, 64, two blocks a stage."""
  network = unet.UNet((32, 64, 64), 2, (False, True, False))
  x = jax.ShapeDtypeStruct((1, 32, 32, 1), jnp.float32)
  shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, jnp.zeros(1), None, train=False), x)
  assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == 1_623_169


def test_blocks_of_a_dit_are_the_identity_at_first():
  """adaLN-zero: whatever the tokens and the condition are; and the network's output is zero."""
  block = dit.Block(16, 2, "attention", 4, 0.0, jnp.float32)
  tokens, condition = jax.random.normal(jax.random.key(0), (2, 6, 16)), jax.random.normal(jax.random.key(1), (2, 16))
  variables = start(block, tokens, condition)
  apply = jax.jit(lambda variables: block.apply(variables, tokens, condition, train=False))
  np.testing.assert_array_equal(apply(variables), tokens)
  changed = apply(perturbed(variables))
  assert np.abs(changed - tokens).max() > 1e-2
  x, level, label = inputs((2, 8, 8, 1))
  variables = start(DIT, x, level, label)
  np.testing.assert_array_equal(jax.jit(lambda: DIT.apply(variables, x, level, label, train=False))(), 0)


@pytest.mark.parametrize("window", [1, 2, 3])
@pytest.mark.parametrize("shape", [(2, 8, 12, 3), (2, 7, 9, 1), (2, 10, 2), (1, 3, 4, 5, 2)])
def test_every_point_is_in_as_many_patches_as_windows_cover_it(shape, window):
  """Patches written back where they were read add up to the image times the number of patches of each point."""
  x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
  read = jax.jit(lambda x: dit.patches(x, 4, window))
  written = jax.jit(lambda tokens: jax.linear_transpose(read, x)(tokens)[0])
  covered = written(np.ones_like(read(x)))
  margin, counts = (window - 1) * 4 // 2, np.ones(())
  for size in shape[1:-1]:
    starts = 4 * np.arange(-(-size // 4)) - margin
    of_axis = ((starts <= np.arange(size)[:, None]) & (np.arange(size)[:, None] < starts + 4 * window)).sum(1)
    counts = counts[..., None] * of_axis
  np.testing.assert_array_equal(covered, np.broadcast_to(counts[None, ..., None], shape))
  np.testing.assert_allclose(written(read(x)), covered * x, rtol=1e-6)


def test_a_patch_is_a_square_of_the_image():
  x = np.arange(2 * 8 * 8, dtype=np.float32).reshape(2, 8, 8, 1)
  tokens = np.asarray(jax.jit(lambda x: dit.patches(x, 4))(x))
  assert tokens.shape == (2, 4, 16)
  np.testing.assert_array_equal(tokens[1, 2].reshape(4, 4), x[1, 4:8, :4, 0])


def test_windows_overlap_by_half():
  x = np.random.default_rng(0).normal(size=(1, 12, 12, 2)).astype(np.float32)
  middle = np.asarray(jax.jit(lambda x: dit.patches(x, 4, 2))(x))[0, 4].reshape(8, 8, 2)
  np.testing.assert_array_equal(middle, x[0, 2:10, 2:10])


def test_static_mixing_is_a_weighted_sum_for_each_head():
  x = np.random.default_rng(0).normal(size=(2, 5, 6)).astype(np.float32)
  layer = dit.StaticMixing(2, use_bias=False)
  params = jax.device_get(jax.jit(layer.init)(jax.random.key(1), x)["params"])
  value, weights = x @ params["Dense_0"]["kernel"], params["weights"]
  heads = [np.stack([weights[h] @ value[b, :, 3 * h : 3 * h + 3] for b in range(2)]) for h in range(2)]
  expected = np.concatenate(heads, -1) @ params["Dense_1"]["kernel"]
  np.testing.assert_allclose(jax.jit(layer.apply)({"params": params}, x), expected, atol=1e-5)


def test_attention_is_that_of_flax():
  """`nn.MultiHeadDotProductAttention` with the same projections."""
  ours, theirs = dit.Attention(2), nn.MultiHeadDotProductAttention(2)
  x = np.random.default_rng(0).normal(size=(2, 5, 8)).astype(np.float32)
  variables = jax.device_get(jax.jit(ours.init)(jax.random.key(1), x)["params"])
  kernel, bias = variables["Dense_0"]["kernel"].reshape(8, 3, 2, 4), variables["Dense_0"]["bias"].reshape(3, 2, 4)
  params = {name: {"kernel": kernel[:, i], "bias": bias[i]} for i, name in enumerate(("query", "key", "value"))}
  params["out"] = {"kernel": variables["Dense_1"]["kernel"].reshape(2, 4, 8), "bias": variables["Dense_1"]["bias"]}
  found, expected = (jax.jit(m.apply)({"params": p}, x) for m, p in ((ours, variables), (theirs, params)))
  np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("mixing", sorted(dit.MIXING))
def test_places_are_told_apart(mixing):
  """Of an image that is the same everywhere, patches of the output differ."""
  network = dit.DiT(16, 1, 2, 4, mixing=mixing)
  x, level = jnp.ones((1, 8, 8, 1)), jnp.full(1, 300.0)
  variables = perturbed(start(network, x, level, None))
  found = jax.jit(lambda: dit.patches(network.apply(variables, x, level, None, train=False), 4))()[0]
  assert min(np.abs(found[i] - found[j]).max() for i in range(4) for j in range(i)) > 1e-3


def test_sinusoids_are_those_of_the_transformer():
  found = conditioned.sinusoids(jnp.asarray([3.0]), 8)[0]
  angles = 3.0 / 10_000 ** (np.arange(4) / 4)
  np.testing.assert_allclose(found, np.concatenate([np.cos(angles), np.sin(angles)]), rtol=1e-5)


def test_dropout_acts_in_training_only():
  network = dit.DiT(16, 1, 2, 4, dropout=0.5)
  x, level, _ = inputs((2, 8, 8, 1))
  variables = perturbed(start(network, x, level, None))

  @functools.partial(jax.jit, static_argnums=0)
  def apply(train, seed):
    return network.apply(variables, x, level, None, train=train, rngs={"dropout": jax.random.key(seed)})

  np.testing.assert_array_equal(apply(False, 0), apply(False, 1))
  assert np.abs(apply(True, 0) - apply(True, 1)).max() > 1e-3


def test_blocks_attend_to_a_caption_s_words_in_their_order_and_never_to_its_padding():
  network = dit.DiT(16, 2, 2, 4, vocabulary=9, reader_depth=1)
  x, level, _ = inputs((2, 8, 8, 3))
  caption = np.asarray([[1, 4, 5, 6, 0, 0], [1, 7, 0, 0, 0, 0]])
  variables = perturbed(start(network, x, level, caption))
  apply = jax.jit(lambda caption: network.apply(variables, x, level, caption, train=False))
  out = np.asarray(apply(caption))
  # As many more tokens of padding change nothing.
  longer = network.apply(variables, x, level, np.pad(caption, ((0, 0), (0, 3))), train=False)
  np.testing.assert_allclose(longer, out, rtol=1e-4, atol=1e-5)
  # A word of one caption is that of its own picture alone.
  other = np.asarray(apply(np.where(caption == 7, 8, caption)))
  np.testing.assert_allclose(other[0], out[0], rtol=1e-5, atol=1e-6)
  assert np.abs(other[1] - out[1]).max() > 1e-4
  turned = np.asarray(apply(caption[:, [0, 2, 1, 3, 4, 5]]))
  assert np.abs(turned[0] - out[0]).max() > 1e-4
  _, seen = network.apply(variables, x, level, caption, train=False, mutable="intermediates")
  weights = [np.asarray(leaf) for leaf in jax.tree.leaves(seen) if leaf.shape[-2:] == (4, 6)]
  assert len(weights) == 2  # of the blocks; those of the reader are [6, 6]
  for block in weights:  # [batch, head, token, word]
    np.testing.assert_allclose(block.sum(-1), 1, rtol=1e-5)
    assert (block[0, ..., 4:] == 0).all()
    assert (block[1, ..., 2:] == 0).all()


def test_blocks_begin_as_though_there_were_no_caption():
  block = dit.Block(16, 2, "attention", 4, 0.0, jnp.float32)
  tokens, condition = np.random.default_rng(0).normal(size=(2, 4, 16)).astype(np.float32), np.ones((2, 16), np.float32)
  place = attention.Place.of((2, 3), jnp.ones((2, 3), jnp.int32))
  memory = transformer.Memory(jnp.ones((2, 3, 16)), place)
  variables = jax.jit(lambda: block.init(jax.random.key(0), tokens, condition, False, memory))()
  np.testing.assert_allclose(block.apply(variables, tokens, condition, False, memory), tokens, atol=1e-6)
