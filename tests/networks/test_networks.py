"""Sizes, shapes and types of the networks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.networks import cnn, fast_resnet, mlp, resnet

SMALL, CIFAR, IMAGENET = (2, 28, 28, 1), (2, 32, 32, 3), (2, 224, 224, 3)
TINY = (2, 16, 16, 3)


def init(module, x):
  """Compiled as one program: many times faster than one operation after the other."""
  return jax.jit(functools.partial(module.init, train=False))(jax.random.key(1), x)


def parameters(model, shape):
  variables = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros(shape), train=False))
  return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))


@pytest.mark.parametrize(
  ("model", "shape", "published"),
  [
    (mlp.MLP((512, 512), 10), SMALL, 669_706),
    (cnn.CNN(), SMALL, 1_199_882),
    (cnn.LeNet5(), SMALL, 61_706),
    (resnet.resnet20(), CIFAR, 269_722),
    (resnet.resnet32(), CIFAR, 464_154),
    (resnet.resnet44(), CIFAR, 658_586),
    (resnet.resnet56(), CIFAR, 853_018),
    (resnet.resnet110(), CIFAR, 1_727_962),
    (resnet.resnet18(), IMAGENET, 11_689_512),
    (resnet.resnet34(), IMAGENET, 21_797_672),
    (resnet.resnet50(), IMAGENET, 25_557_032),
    (resnet.resnet101(), IMAGENET, 44_549_160),
    (resnet.resnet152(), IMAGENET, 60_192_808),
    (resnet.wide_resnet(28, 10), CIFAR, 36_479_194),
  ],
)
def test_published_parameter_counts(model, shape, published):
  assert parameters(model, shape) == published


NETWORKS = [
  (mlp.MLP((16, 8), 10, dropout=0.5, input_dropout=0.2, input_noise=0.1, batch_norm=True), SMALL),
  (cnn.CNN(dropout=0.5), SMALL),
  (cnn.LeNet5(), SMALL),
  (cnn.SmallCNN(stages=((4, 4), (8,)), dropout=0.1), SMALL),
  (resnet.ResNet((1, 1), (4, 8), 10, option="A", stem_width=4), TINY),
  (resnet.ResNet((1, 1), (4, 8), 10, version=2), TINY),
  (resnet.ResNet((1, 1), (4, 8), 10, bottleneck=True, zero_init=True, imagenet_stem=True), TINY),
  (resnet.ResNet((1, 1), (4, 8), 10, bottleneck=True, version=2), TINY),
  (resnet.ResNet((1, 1), (4, 8), 10, version=2, option="A", stem_width=4, dropout=0.3), TINY),
  (fast_resnet.FastResNet(widths=(4, 8)), TINY),
]


def gradient(model, x, rng):
  variables = model.init(rng, x, train=False)

  def loss(params):
    state = {**variables, "params": params}
    logits, new = model.apply(state, x, train=True, rngs={"dropout": rng}, mutable=["batch_stats"])
    return jnp.square(logits).mean(), (logits, new)

  return jax.grad(loss, has_aux=True)(variables["params"]), variables


@pytest.mark.parametrize(("model", "shape"), NETWORKS)
def test_logits_and_parameters_are_float32_whatever_the_compute_type(model, shape):
  model = model.clone(dtype=jnp.bfloat16)
  # The types are known without computing anything.
  (gradients, (logits, new)), variables = jax.eval_shape(
    lambda: gradient(model, jnp.zeros(shape, jnp.float32), jax.random.key(0))
  )
  assert (logits.shape, logits.dtype) == ((shape[0], 10), jnp.float32)
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((variables, gradients, new)))


@pytest.mark.parametrize(("model", "shape"), [NETWORKS[0], NETWORKS[5], NETWORKS[9]])
def test_every_parameter_learns(model, shape):
  x = jax.random.normal(jax.random.key(1), (4, *shape[1:]))
  (gradients, _), _ = jax.jit(lambda: gradient(model, x, jax.random.key(0)))()
  for path, leaf in jax.tree_util.tree_leaves_with_path(jax.device_get(gradients)):
    frozen = "whitening_kernel" in jax.tree_util.keystr(path)
    assert np.isfinite(leaf).all(), path
    assert (leaf != 0).any() != frozen, path


@pytest.mark.parametrize("bottleneck", [False, True])
def test_a_zero_initialised_block_starts_as_the_identity(bottleneck):
  width = 8 // (4 if bottleneck else 1)
  block = resnet.Block(width, bottleneck=bottleneck, zero_init=True)
  x = jnp.abs(jax.random.normal(jax.random.key(0), (2, 8, 8, 8)))
  variables = init(block, x)
  np.testing.assert_allclose(block.apply(variables, x, train=False), x)


def test_a_preactivation_block_passes_its_input_on_untouched():
  block = resnet.Block(8, version=2)
  x = jax.random.normal(jax.random.key(0), (2, 8, 8, 8))
  variables = init(block, x)
  nothing = jax.tree.map(jnp.zeros_like, variables["params"])
  np.testing.assert_array_equal(block.apply({**variables, "params": nothing}, x, train=False), x)


def test_option_a_subsamples_and_pads():
  x = jax.random.normal(jax.random.key(0), (2, 8, 8, 4))
  block = resnet.Block(8, stride=2, option="A")
  variables = init(block, x)
  nothing = jax.tree.map(jnp.zeros_like, variables["params"])
  y = block.apply({**variables, "params": nothing}, x, train=False)
  np.testing.assert_array_equal(y[..., :4], jnp.maximum(x[:, ::2, ::2], 0))
  np.testing.assert_array_equal(y[..., 4:], 0)


def test_cifar_resnet_refuses_a_depth_that_does_not_exist():
  with pytest.raises(ValueError, match="6n"):
    resnet.cifar_resnet(21)


def test_wide_resnet_refuses_a_depth_that_does_not_exist():
  with pytest.raises(ValueError, match="6n"):
    resnet.wide_resnet(27, 10)


def test_the_whitening_layer_whitens():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(64, 16, 16, 3)).cumsum(1).cumsum(2) / 8  # neighbours are correlated
  model = fast_resnet.FastResNet(widths=(4,))
  images = jnp.asarray(images, jnp.float32)
  variables = init(model, images[:2])
  params = jax.jit(functools.partial(fast_resnet.with_whitening, epsilon=0.0))(variables["params"], images)
  assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, variables["params"])
  kernel = params["whitening_kernel"].reshape(2, 2, 3, 24)
  outputs = jax.lax.conv_general_dilated(images, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
  covariance = np.cov(np.asarray(outputs[..., :12]).reshape(-1, 12), rowvar=False)
  np.testing.assert_allclose(covariance, np.eye(12), atol=2e-2)
  np.testing.assert_allclose(outputs[..., 12:], -outputs[..., :12], rtol=1e-4, atol=1e-4)


def test_a_frozen_whitening_layer_has_no_gradient():
  x = jax.random.normal(jax.random.key(0), CIFAR)
  for train_it in (False, True):
    model = fast_resnet.FastResNet(widths=(4,), train_whitening=train_it)
    variables = init(model, x)
    total = lambda p, m=model, v=variables: m.apply({**v, "params": p}, x, train=False).sum()
    gradients = jax.jit(jax.grad(total))(variables["params"])
    assert bool((gradients["whitening_kernel"] != 0).any()) == train_it


def test_identity_initialisation_passes_channels_on():
  kernel = fast_resnet.identity_init(jax.random.key(0), (3, 3, 4, 8))
  x = jax.random.normal(jax.random.key(1), (1, 6, 6, 4))
  y = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
  np.testing.assert_allclose(y[..., :4], x, rtol=1e-5)
