"""Operations counted in traced programs, against closed forms and XLA's own count."""

import itertools

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from launch.preflight import flops

f32 = lambda *shape: jax.ShapeDtypeStruct(shape, jnp.float32)


def counted(function, *args, platform="cpu"):
  return flops.count(jax.make_jaxpr(function)(*args), platform)


def test_training_a_dense_network_is_the_closed_form():
  """2 B Σ m n forward; as much again for the weights' gradient, and, but for the first layer, for the inputs'."""
  batch, sizes = 32, (20, 50, 30, 7)
  weights = [f32(a, b) for a, b in itertools.pairwise(sizes)]

  def loss(weights, x):
    for w in weights:
      x = jnp.tanh(x @ w)
    return x.sum()

  layers = [2 * batch * a * b for a, b in itertools.pairwise(sizes)]
  found = counted(jax.value_and_grad(loss), weights, f32(batch, sizes[0]))
  assert found.products == {"float32": 3 * sum(layers) - layers[0]}
  assert found.unknown_loops == 0


def test_batched_products_and_types():
  found = counted(lambda a, b: jnp.einsum("bij,bjk->bik", a, b), *(jax.ShapeDtypeStruct((3, 4, 4), jnp.bfloat16),) * 2)
  assert found.products == {"bfloat16": 2 * 3 * 4**3}


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolutions_and_their_gradients_as_xla_counts_them(stride, padding, groups):
  """XLA, too, leaves out products with padding and with the zeros that dilation puts in."""

  def convolve(x, k):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(
      x, k, (stride, stride), padding, dimension_numbers=numbers, feature_group_count=groups
    )

  x, k = f32(2, 9, 8, 4), f32(3, 3, 4 // groups, 6)
  cotangent = jax.eval_shape(convolve, x, k)
  to_input = lambda x, k, g: jax.vjp(lambda x: convolve(x, k), x)[1](g)
  to_kernel = lambda x, k, g: jax.vjp(lambda k: convolve(x, k), k)[1](g)
  forward = counted(convolve, x, k).products["float32"]
  assert forward == jax.jit(convolve).lower(x, k).cost_analysis()["flops"]
  for gradient in (to_input, to_kernel):
    products = counted(gradient, x, k, cotangent).products["float32"]
    assert products - forward in (0, forward)  # the primal result is dead code, which tracing may keep


def test_loops_count_in_full():
  turn = lambda c, _: (c @ c, None)
  found = counted(lambda x: lax.scan(turn, x, None, length=28)[0], f32(8, 8))
  assert found.products == {"float32": 28 * 2 * 8**3}
  unknown = counted(lambda x: lax.while_loop(lambda c: c[0, 0] < 1, lambda c: c @ c, x), f32(8, 8))
  assert unknown.products == {"float32": 2 * 8**3}
  assert unknown.unknown_loops == 1


def test_the_platform_chooses_its_branch():
  choose = lambda x: lax.platform_dependent(x, cpu=lambda x: x @ x, default=lambda x: x @ x @ x)
  assert counted(choose, f32(4, 4)).products == {"float32": 2 * 4**3}
  assert counted(choose, f32(4, 4), platform="tpu").products == {"float32": 4 * 4**3}


def test_a_mapped_step_counts_on_every_device():
  step = jax.pmap(lambda w, x: lax.psum(x @ w, "d"), axis_name="d", in_axes=(None, 0), out_axes=None)
  assert counted(step, f32(16, 16), f32(8, 4, 16)).products == {"float32": 8 * 2 * 4 * 16 * 16}


def test_elementwise_and_reductions():
  assert counted(lambda x: jnp.tanh(x) + x, f32(10, 10)).total == 200
  assert counted(lambda x: x.reshape(100).sum(), f32(10, 10)).total == 100
