"""Normalisation, dropout, noise and pooling against independent references."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from research import axes, errors
from research.networks import layers


def images(shape=(8, 4, 4, 3), seed=0):
  return jnp.asarray(np.random.default_rng(seed).normal(2, 3, size=shape), jnp.float32)


def run_norm(module, x, **options):
  variables = jax.jit(lambda x: module.init(jax.random.key(0), x, **options))(x)

  @jax.jit
  @functools.partial(jax.grad, has_aux=True)
  def gradient(x):
    y, new = module.apply(variables, x, mutable=["batch_stats"], **options)
    return jnp.sin(y).sum(), (y, new["batch_stats"])

  return gradient(x)


def test_batch_norm_is_flax_batch_norm():
  x = images()
  ours = run_norm(layers.BatchNorm(momentum=0.9), x, train=True)
  theirs = run_norm(nn.BatchNorm(momentum=0.9), x, use_running_average=False)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)


def test_batch_norm_by_the_paper_formula():
  x = np.asarray(images(), np.float64).reshape(-1, 3)
  _, (y, stats) = run_norm(layers.BatchNorm(momentum=0.8, epsilon=1e-3), images(), train=True)
  expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-3)
  np.testing.assert_allclose(y.reshape(-1, 3), expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(stats["mean"], 0.2 * x.mean(0), rtol=1e-5)
  np.testing.assert_allclose(stats["var"], 0.8 + 0.2 * x.var(0), rtol=1e-5)


def test_batch_norm_in_use_takes_the_running_statistics():
  module, x = layers.BatchNorm(epsilon=0.0), images()
  variables = module.init(jax.random.key(0), x, train=False)
  variables = {**variables, "batch_stats": {"mean": jnp.ones(3), "var": 4 * jnp.ones(3)}}
  np.testing.assert_allclose(module.apply(variables, x, train=False), (x - 1) / 2, rtol=1e-5, atol=1e-6)


def test_batch_norm_over_devices_is_batch_norm_of_the_global_batch():
  module, x = layers.BatchNorm(), images()
  variables = module.init(jax.random.key(0), x, train=False)

  def step(x):
    def loss(params):
      y, new = module.apply({**variables, "params": params}, x, train=True, mutable=["batch_stats"])
      return jnp.square(y - 1).mean(), (y, new)

    gradient, (y, new) = jax.grad(loss, has_aux=True)(variables["params"])
    return axes.pmean(gradient), y, new

  whole_gradient, whole_y, whole_stats = jax.jit(step)(x)
  gradient, y, stats = jax.jit(jax.vmap(step, axis_name=axes.AXIS))(x.reshape(4, 2, 4, 4, 3))
  np.testing.assert_allclose(y.reshape(whole_y.shape), whole_y, rtol=1e-4, atol=1e-5)
  for mapped, whole in ((gradient, whole_gradient), (stats, whole_stats)):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-4, atol=1e-5), mapped, whole)


def test_batch_norm_under_bfloat16_sums_in_float32():
  # 4,096 ones: a bfloat16 sum would stop growing at 256.
  x = jnp.ones((4096, 3), jnp.bfloat16)
  y, new = layers.BatchNorm(momentum=0.0, dtype=jnp.bfloat16).init_with_output(jax.random.key(0), x, train=True)
  assert (y.dtype, new["batch_stats"]["mean"].dtype) == (jnp.bfloat16, jnp.float32)
  mean, var = layers.global_moments(x)
  np.testing.assert_allclose(mean, 1)
  np.testing.assert_allclose(var, 0, atol=1e-6)


@pytest.mark.parametrize("module", [layers.Dropout(0.5), layers.GaussianNoise(0.3)])
def test_randomness_does_not_depend_on_the_number_of_devices(module):
  x = images((8, 5))

  def apply(x):
    return module.apply({}, x, train=True, rngs={"dropout": jax.random.key(3)})

  whole = jax.jit(apply)(x)
  for devices in (2, 4, 8):
    parts = jax.jit(jax.vmap(apply, axis_name=axes.AXIS))(x.reshape(devices, -1, 5))
    np.testing.assert_array_equal(parts.reshape(8, 5), whole)
  assert len(np.unique(np.asarray(whole - x)[:, 0])) > 1  # examples differ


def test_dropout_keeps_the_mean_and_its_rate():
  x = jnp.ones((200, 500))
  y = layers.Dropout(0.2).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
  assert set(np.unique(y)) == {0.0, 1.25}
  assert abs(float((y == 0).mean()) - 0.2) < 5 * (0.2 * 0.8 / x.size) ** 0.5
  np.testing.assert_array_equal(layers.Dropout(0.2).apply({}, x, train=False), x)


def test_noise_has_its_standard_deviation():
  x = jnp.zeros((200, 500))
  y = layers.GaussianNoise(0.3).apply({}, x, train=True, rngs={"dropout": jax.random.key(0)})
  assert abs(float(y.std()) - 0.3) < 0.005
  assert abs(float(y.mean())) < 0.005


@pytest.mark.parametrize("shape", [(2, 8, 8, 3), (2, 7, 9, 3)])
def test_max_pool_is_flax_max_pool(shape):
  x = images(shape)

  def theirs(x):
    return nn.max_pool(x, (2, 2), (2, 2))

  np.testing.assert_array_equal(layers.max_pool(x, 2), theirs(x))
  ours, expected = (
    jax.jit(jax.grad(lambda x, f=f: jnp.sin(f(x)).sum()))(x) for f in (lambda x: layers.max_pool(x, 2), theirs)
  )
  np.testing.assert_allclose(ours, expected, atol=1e-6)


def test_relu_of_a_sum_is_relu_of_the_sum_and_hides_no_nan():
  x, y = images(), images(seed=1) - 4
  np.testing.assert_array_equal(layers.relu_of_sum(x, y), nn.relu(x + y))
  ours = jax.grad(lambda x: jnp.sin(layers.relu_of_sum(x, y)).sum())(x)
  theirs = jax.grad(lambda x: jnp.sin(nn.relu(x + y)).sum())(x)
  np.testing.assert_array_equal(ours, theirs)
  assert bool(jnp.isnan(layers.relu_of_sum(jnp.nan * jnp.ones(3), jnp.ones(3))).all())


def test_an_unknown_initializer_is_named():
  with pytest.raises(errors.UserError, match="kernel_init = 'hee'"):
    layers.initializer("hee")


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (2, 5, 3, 4)])
@pytest.mark.parametrize(
  ("own", "theirs", "method"),
  [(layers.Dense(6), nn.Dense(6), "__call__"), (layers.Embed(6, 4), nn.Embed(6, 4), "attend")],
)
def test_dense_and_embed_are_flax_with_the_same_parameters_and_gradients(own, theirs, method, shape):
  x = jax.random.normal(jax.random.key(0), shape)
  variables = jax.jit(lambda x: theirs.init(jax.random.key(1), x, method=method))(x)
  total = lambda net: lambda v, x: jnp.sin(net.apply(v, x, method=method)).sum()
  results = (jax.jit(jax.value_and_grad(total(net), argnums=(0, 1)))(variables, x) for net in (own, theirs))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), *results)
