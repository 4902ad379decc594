"""Causal networks: no output depends on its own input or a later one, and a step is the full pass at its place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.errors import UserError
from research.networks.made import MADE, TokenMADE, masks
from research.networks.pixelcnn import PixelCNN
from research.networks.raster_transformer import RasterTransformer
from research.networks.wavenet import WaveNet

LEVELS, SIZE = 4, 3
IMAGE, SOUND = (5, 6), (20,)
PIXELCNN = PixelCNN(SIZE, LEVELS, width=4, dilations=(1, 2), first_size=5, num_classes=3)
WAVENET = WaveNet(SIZE, LEVELS, dilations=(1, 2, 4), width=4, skip=16, num_classes=3)
TRANSFORMER = RasterTransformer(SIZE, LEVELS, IMAGE, width=8, depth=2, heads=2, num_classes=3)
NETWORKS = {
  "pixelcnn": (PIXELCNN, IMAGE),
  "wavenet": (WAVENET, SOUND),
  "transformer": (TRANSFORMER, IMAGE),
  "made": (TokenMADE(SIZE, LEVELS, (30, 30), num_classes=3), IMAGE),
}


def tokens_of(shape, count=2, seed=0):
  return jax.random.randint(jax.random.key(seed), (count, *shape), 0, LEVELS)


def variables_of(network, shape):
  made = network.init(jax.random.key(1), tokens_of(shape), jnp.zeros(2, jnp.int32), False)
  noise = lambda p: p + 0.3 * jax.random.normal(jax.random.key(p.size), p.shape)  # biases too are not zero
  return jax.tree.map(noise, made)


@pytest.mark.parametrize("name", NETWORKS)
def test_outputs_depend_on_all_earlier_inputs_and_on_no_other(name):
  """Every token in turn is changed; what changes lies behind it.  Of MADE and the Transformer, everything behind it."""
  network, shape = NETWORKS[name]
  count = int(np.prod(shape))

  @jax.jit
  def outputs(variables, tokens):
    return network.apply(variables, tokens, jnp.ones(len(tokens), jnp.int32), False).reshape(len(tokens), count, SIZE)

  variables = jax.jit(lambda: variables_of(network, shape))()
  tokens = np.tile(np.asarray(tokens_of(shape, 1)).reshape(1, count), (count + 1, 1))
  tokens[np.arange(count), np.arange(count)] = (tokens[0] + 1) % LEVELS
  found = np.asarray(outputs(variables, tokens.reshape(count + 1, *shape)))
  changed = np.abs(found[:-1] - found[-1]).max(-1) > 0  # [changed token, output]
  later = np.triu(np.ones((count, count), bool), 1)
  assert not changed[~later].any()
  if name in ("made", "transformer"):
    assert changed[later].all()
  if name == "pixelcnn":  # no blind spot: within reach of the kernels every pixel before counts
    i, j = 3 * shape[1] + 2, np.arange(2 * shape[1], 3 * shape[1] + 2)
    assert changed[j, i].all()
  if name == "wavenet":  # of the receptive field, 1 + 2 + 4 samples back from the one before
    field = later & (np.arange(count)[None] - np.arange(count)[:, None] <= 8)
    np.testing.assert_array_equal(changed, field)


@pytest.mark.parametrize("name", ["pixelcnn", "wavenet", "transformer"])
def test_a_scanned_step_is_the_full_pass(name):
  network, shape = NETWORKS[name]
  tokens, label = tokens_of(shape, 3), jnp.array([0, 2, 1])
  start = (label,) if name == "wavenet" else (IMAGE, label)

  @jax.jit
  def both(variables):
    carry = network.apply(variables, 3, *start, method="init_carry")
    flat = tokens.reshape(3, -1)
    fed = jnp.pad(flat, ((0, 0), (1, 0)), constant_values=LEVELS - 1)[:, :-1]  # the first is not looked at
    step = lambda carry, token: network.apply(variables, carry, token, method="step")
    _, stepped = jax.lax.scan(step, carry, fed.T)
    return network.apply(variables, tokens, label, False), jnp.moveaxis(stepped, 0, 1)

  full, stepped = both(jax.jit(lambda: variables_of(network, shape))())
  np.testing.assert_allclose(stepped.reshape(full.shape), full, atol=1e-5)


def test_rows_of_a_carry_may_stand_at_different_places():
  """Rows of images at different pixels step as they do apart."""
  tokens, label = tokens_of(IMAGE, 2).reshape(2, -1), jnp.array([0, 1])
  variables = jax.jit(lambda: variables_of(PIXELCNN, IMAGE))()
  step = jax.jit(lambda carry, token: PIXELCNN.apply(variables, carry, token, method="step"))
  begin = PIXELCNN.apply(variables, 2, IMAGE, label, method="init_carry")
  carries, carry = [begin], begin
  for t in range(10):
    carry, _ = step(carry, tokens[:, max(t - 1, 0)])
    carries.append(carry)
  row = lambda tree, i: jax.tree.map(lambda leaf: leaf[i : i + 1], tree)
  mixed = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), row(carries[9], 0), row(carries[6], 1))
  _, found = step(mixed, jnp.array([tokens[0, 8], tokens[1, 5]]))
  for i, (t, fed) in enumerate(((9, tokens[:, 8]), (6, tokens[:, 5]))):
    np.testing.assert_allclose(found[i], step(carries[t], fed)[1][i], atol=1e-6)


def test_masks_are_those_of_the_paper_and_connect_all_that_may_be():
  """Paths through the layers, counted: from input d to output d' there are some if and only if d < d'."""
  for seed in (0, 5):
    paths = np.linalg.multi_dot([mask.astype(int) for mask in masks(6, (40, 40), 2, seed)])
    np.testing.assert_array_equal(paths > 0, np.repeat(np.triu(np.ones((6, 6), bool), 1), 2, axis=1))


def test_made_is_triangular_by_its_jacobian():
  network = MADE(12, (16,))
  x = jax.random.normal(jax.random.key(0), (1, 4))
  variables = jax.tree.map(lambda p: p + 0.3, network.init(jax.random.key(1), x))
  jacobian = np.asarray(jax.jit(jax.jacfwd(lambda x: network.apply(variables, x[None])[0]))(x[0])).reshape(4, 3, 4)
  np.testing.assert_array_equal(np.abs(jacobian).max(1) > 0, np.tril(np.ones((4, 4), bool), -1))


@pytest.mark.parametrize("field", ["first_size", "size"])
def test_a_kernel_without_a_middle_is_refused(field):
  network = PixelCNN(SIZE, LEVELS, width=4, dilations=(1,), **{field: 4})
  with pytest.raises(UserError, match=f"{field} = 4"):
    jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *IMAGE), jnp.int32))
