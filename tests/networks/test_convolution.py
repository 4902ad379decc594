"""Our convolution against `lax.conv_general_dilated` and its own derivatives."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax

from research.errors import UserError
from research.networks import convolution, layers

SHAPES = [
  (channels, size, stride, image)
  for (channels, size), stride, image in itertools.product(
    [((1, 8), 3), ((3, 16), 2), ((3, 4), 7), ((16, 8), 3), ((4, 6), 5), ((64, 16), 1), ((32, 8), 3), ((32, 64), 3)],
    [1, 2],
    [(8, 9)],
  )
]


def reference(x, kernel, stride, padding):
  return lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def problem(channels, size, image, seed=0):
  rng = np.random.default_rng(seed)
  x = rng.normal(size=(3, *image, channels[0])).astype(np.float32)
  return x, rng.normal(size=(size, size, *channels)).astype(np.float32) / size


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("channels", "size", "stride", "image"), SHAPES)
def test_value_and_gradients_are_those_of_lax(channels, size, stride, image, padding):
  x, kernel = problem(channels, size, image)

  def both(f):
    y, back = jax.vjp(lambda x, kernel: f(x, kernel, stride, padding), x, kernel)
    return y, *back(jnp.cos(y))

  ours, theirs = jax.jit(lambda: (both(convolution.conv), both(reference)))()
  for name, a, b in zip(("value", "input", "kernel"), ours, theirs, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4, err_msg=name)


def assert_same_gradient(one, other, x, kernel, stride, pads):
  y = jax.eval_shape(lambda: reference(x, kernel, stride, pads))
  cotangent = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
  arguments = dict(strides=(stride, stride), pads=pads)
  a, b = jax.jit(lambda *args: [f(*args, **arguments) for f in (one, other)])(x, kernel, cotangent)
  np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


@pytest.mark.parametrize("pads", [((1, 1), (1, 1)), ((0, 1), (2, 0)), ((3, 3), (2, 2))])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("image", [(8, 8), (7, 8)])
def test_every_form_of_both_gradients_agrees(image, stride, pads):
  """Each form, whatever the rule would choose for the shape."""
  x, kernel = problem((3, 5), 3, image)
  for native, other in (
    (convolution._native_to_input, convolution._shifts_to_input),
    (convolution._native_to_kernel, convolution._rows_to_kernel),
  ):
    assert_same_gradient(native, other, x, kernel, stride, pads)


@pytest.mark.parametrize("pads", [((1, 1), (1, 1)), ((0, 1), (2, 0)), ((3, 3), (2, 2))])
@pytest.mark.parametrize(("size", "stride"), [(4, 2), (2, 2), (6, 3), (4, 4)])
@pytest.mark.parametrize("image", [(8, 8), (9, 7)])
def test_phases_agree_where_the_stride_divides_the_kernel(image, size, stride, pads):
  x, kernel = problem((3, 5), size, image)
  assert_same_gradient(convolution._native_to_input, convolution._phases_to_input, x, kernel, stride, pads)


def spread(x, kernel, stride, padding):
  """A transposed convolution as its definition says: every pixel adds its multiple of the kernel to the output."""
  batch, height, width, _ = x.shape
  size, features = kernel.shape[0], kernel.shape[-1]
  out = np.zeros((batch, (height - 1) * stride + size, (width - 1) * stride + size, features))
  for i, j in itertools.product(range(height), range(width)):
    place = slice(i * stride, i * stride + size), slice(j * stride, j * stride + size)
    out[:, *place] += np.einsum("bc,hwco->bhwo", x[:, i, j], kernel)
  return out[:, padding : out.shape[1] - padding, padding : out.shape[2] - padding]


@pytest.mark.parametrize(("size", "stride", "padding"), [(4, 2, 1), (3, 2, 1), (4, 2, 0), (2, 2, 0), (5, 1, 2)])
@pytest.mark.parametrize("channels", [(6, 8), (6, 1)])
def test_transposed_convolution_spreads_the_kernel(size, stride, padding, channels):
  x, kernel = problem(channels, size, (5, 4))
  ours = jax.jit(lambda: convolution.conv_transpose(x, kernel, stride, padding))()
  np.testing.assert_allclose(ours, spread(x, kernel, stride, padding), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", [(6, 8), (6, 1)])
def test_gradients_of_a_transposed_convolution_are_those_of_lax(channels):
  x, kernel = problem(channels, 4, (5, 4))
  pads = ((2, 2), (2, 2))  # 4 - 1 - 1

  def dilated(x, kernel):
    layout = ("NHWC", "HWIO", "NHWC")
    flipped = kernel[::-1, ::-1]
    return lax.conv_general_dilated(x, flipped, (1, 1), pads, lhs_dilation=(2, 2), dimension_numbers=layout)

  def both(f):
    y, back = jax.vjp(f, x, kernel)
    return y, *back(jnp.cos(y))

  for a, b in zip(*jax.jit(lambda: (both(convolution.conv_transpose), both(dilated)))(), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-4)


def test_shifts_agree_forward():
  x, kernel = problem((3, 5), 3, (8, 7))
  for stride, pads in itertools.product((1, 2), (((1, 1), (0, 1)), ((0, 0), (0, 0)))):
    both = jax.jit(
      lambda x, kernel, stride=stride, pads=pads: (
        convolution._shifts_forward(x, kernel, strides=(stride, stride), pads=pads),
        reference(x, kernel, stride, pads),
      )
    )
    np.testing.assert_allclose(*both(x, kernel), rtol=1e-4, atol=1e-4)


def test_bfloat16_gradients_keep_their_types():
  x, kernel = (jnp.asarray(a, jnp.bfloat16) for a in problem((1, 8), 3, (8, 8)))
  gradient = jax.jit(jax.grad(lambda x, k: convolution.conv(x, k, 2).astype(jnp.float32).sum(), (0, 1)))
  assert [g.dtype for g in gradient(x, kernel)] == [jnp.bfloat16] * 2


def test_an_unused_input_gradient_is_not_computed():
  x, kernel = problem((16, 8), 3, (8, 8))

  def flops(argument):
    gradient = jax.grad(lambda x, k: jnp.square(convolution.conv(x, k)).sum(), argument)
    return jax.jit(gradient).lower(x, kernel).compile().cost_analysis()["flops"]

  forward = 2 * 3 * 8 * 8 * 9 * 16 * 8
  assert flops((0, 1)) - flops(1) > 0.8 * forward


def test_lowered_for_tpu_on_a_cpu_host_it_is_the_native_convolution():
  x, kernel = problem((1, 8), 3, (8, 8))
  gradient = jax.jit(jax.grad(lambda k: jnp.square(convolution.conv(x, k, 2)).sum()))
  text = gradient.trace(kernel).lower(lowering_platforms=("tpu",)).as_text()
  assert "dot_general" not in text
  assert "stablehlo.convolution" in text
  assert "dot_general" in gradient.trace(kernel).lower(lowering_platforms=("cpu",)).as_text()


def test_networks_of_an_ensemble_are_vmapped_over_their_kernels():
  x, kernel = problem((1, 8), 3, (8, 8))
  gradient = jax.grad(lambda k: jnp.square(convolution.conv(x, k, 2)).sum())
  several = jax.jit(jax.vmap(gradient))(np.stack([kernel, 2 * kernel]))
  np.testing.assert_allclose(several[1], jax.jit(gradient)(2 * kernel), rtol=1e-4, atol=1e-4)


def test_it_can_be_differentiated_twice_in_reverse():
  x, kernel = problem((3, 4), 3, (6, 6))

  def penalty(f):
    slope = jax.grad(lambda x, k: jnp.square(f(x, k, 2, "SAME")).sum())
    return jax.jit(jax.grad(lambda k: jnp.square(slope(x, k)).sum()))(kernel)

  np.testing.assert_allclose(penalty(convolution.conv), penalty(reference), rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize("options", [{}, dict(strides=2, padding=1), dict(use_bias=False, padding="VALID")])
def test_layer_has_the_parameters_and_values_of_nn_conv(options):
  x, _ = problem((3, 8), 3, (9, 8))
  ours, theirs = layers.Conv(8, (3, 3), **options), nn.Conv(8, (3, 3), **options)
  ours_init, params = jax.jit(lambda x: [module.init(jax.random.key(0), x) for module in (ours, theirs)])(x)
  assert jax.tree.map(jnp.shape, ours_init) == jax.tree.map(jnp.shape, params)
  np.testing.assert_allclose(ours_init["params"]["kernel"], params["params"]["kernel"])
  y, expected = jax.jit(lambda params, x: [module.apply(params, x) for module in (ours, theirs)])(params, x)
  np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


def test_a_dilated_convolution_and_its_gradients_are_those_of_lax():
  x, kernel = problem((4, 6), 3, (9, 8))
  kernel = kernel[:2]

  def both(f):
    y, back = jax.vjp(f, x, kernel)
    return y, *back(jnp.cos(y))

  theirs = lambda x, kernel: lax.conv_general_dilated(
    x, kernel, (1, 1), "VALID", rhs_dilation=(2, 2), dimension_numbers=("NHWC", "HWIO", "NHWC")
  )
  pairs = jax.jit(lambda: (both(lambda x, kernel: convolution.dilated(x, kernel, 2)), both(theirs)))()
  for a, b in zip(*pairs, strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5)
  layer = layers.Conv(6, (2, 3), padding="VALID", dilation=2)
  out = jax.jit(lambda: layer.init_with_output(jax.random.key(0), x))()[0]
  assert out.shape == pairs[0][0].shape
  with pytest.raises(ValueError, match="dilated"):
    layers.Conv(6, (2, 3), dilation=2).init(jax.random.key(0), x)
  with pytest.raises(UserError, match="2x2"):
    convolution.dilated(jnp.zeros((1, 2, 2, 4)), jnp.asarray(kernel), 2)
