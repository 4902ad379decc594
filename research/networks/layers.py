"""Layers shared by the networks: products, convolution, batch normalisation, dropout, noise and pooling.

All of them take float arrays with the batch leading, keep their parameters in float32 and compute in `dtype`.
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from research import axes, errors, randomness
from research.networks import convolution

_INITIALIZERS = {
  "lecun": nn.initializers.lecun_normal(),
  "he": nn.initializers.he_normal(),
  "glorot": nn.initializers.glorot_uniform(),
  "orthogonal": nn.initializers.orthogonal(),
}
# He et al. (2015) scale by the fan-out in ResNets, so that gradients, not activations, keep their variance.
he_fan_out = nn.initializers.variance_scaling(2.0, "fan_out", "normal")


def initializer(name: str) -> Callable:
  """The kernel initializer of that name: 'lecun', 'he' (normal), 'glorot' (uniform) or 'orthogonal'."""
  if name not in _INITIALIZERS:
    raise errors.UserError("kernel_init", name, f"Choose one of {', '.join(_INITIALIZERS)}.")
  return _INITIALIZERS[name]


def product(x: Float[Array, "*batch in"], kernel: Float[Array, "in out"]) -> Float[Array, "*batch out"]:
  """x W over the last axis, as one product of two matrices.

  With more axes, XLA's CPU backend lays an operand of the kernel's gradient out anew, and takes twice as long for it.
  """
  return (x.reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], kernel.shape[-1])


class Dense(nn.Dense):
  """`nn.Dense` as one product of two matrices: see `product`."""

  def __call__(self, inputs: Float[Array, "*batch in"]) -> Float[Array, "*batch out"]:
    """x W + b."""
    y = super().__call__(inputs.reshape(-1, inputs.shape[-1]))
    return y.reshape(*inputs.shape[:-1], self.features)


class Embed(nn.Embed):
  """`nn.Embed` whose logits are one product of two matrices: see `product`."""

  def attend(self, query: Float[Array, "*batch feature"]) -> Float[Array, "*batch vocabulary"]:
    """Products with all vectors."""
    y = super().attend(query.reshape(-1, query.shape[-1]))
    return y.reshape(*query.shape[:-1], self.num_embeddings)


class Conv(nn.Module):
  """Two-dimensional convolution, with the parameters of `nn.Conv` and the form that runs fastest where it runs.

  Attributes:
    features: number of filters.
    kernel_size: (height, width) of a filter.
    strides: of both axes.
    padding: 'SAME', 'VALID', or so many zeros on every side.
    use_bias: whether a bias is added.
    kernel_init: initializer of the kernel.
    dtype: compute type.
    dilation: pixels from one place of a filter to the next; above 1 for stride 1 and 'VALID' alone.

  Raises:
    ValueError: dilated filters with a stride or padding.
  """

  features: int
  kernel_size: tuple[int, int] = (3, 3)
  strides: int = 1
  padding: str | int = "SAME"
  use_bias: bool = True
  kernel_init: Callable = nn.initializers.lecun_normal()
  dtype: jnp.dtype = jnp.float32
  dilation: int = 1

  @nn.compact
  def __call__(self, x: Float[Array, "batch height width in"]) -> Float[Array, "batch height_out width_out out"]:
    kernel = self.param("kernel", self.kernel_init, (*self.kernel_size, x.shape[-1], self.features))
    x, kernel = x.astype(self.dtype), kernel.astype(self.dtype)
    if self.dilation == 1:
      y = convolution.conv(x, kernel, self.strides, self.padding)
    elif (self.strides, self.padding) == (1, "VALID"):
      y = convolution.dilated(x, kernel, self.dilation)
    else:
      raise ValueError("a dilated convolution has stride 1 and no padding")
    if self.use_bias:
      y += self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
    return y


class ConvTranspose(nn.Module):
  """Transposed two-dimensional convolution, by default one that doubles the image: see `convolution.conv_transpose`.

  Attributes:
    features: number of filters.
    kernel_size: (height, width) of a filter.
    strides: of both axes.
    padding: rows and columns cut off on every side; (kernel - stride) / 2 gives sides of exactly `strides` times.
    use_bias: whether a bias is added.
    kernel_init: initializer of the kernel [height, width, in, out].
    dtype: compute type.
  """

  features: int
  kernel_size: tuple[int, int] = (4, 4)
  strides: int = 2
  padding: int = 1
  use_bias: bool = True
  kernel_init: Callable = nn.initializers.lecun_normal()
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch height width in"]) -> Float[Array, "batch height_out width_out out"]:
    kernel = self.param("kernel", self.kernel_init, (*self.kernel_size, x.shape[-1], self.features))
    y = convolution.conv_transpose(x.astype(self.dtype), kernel.astype(self.dtype), self.strides, self.padding)
    if self.use_bias:
      y += self.param("bias", nn.initializers.zeros, (self.features,)).astype(self.dtype)
    return y


class BatchNorm(nn.Module):
  """Batch normalisation (Ioffe and Szegedy, 2015, algorithm 1), with the statistics of the *global* batch.

  Inside a mapped step the sums are added up over devices; under plain `jit` the batch is global already.  So a run on
  eight devices is the run on one.  Sums are float32, also where `dtype` is bfloat16.

  Attributes:
    momentum: share of the running mean and variance that a step keeps.
    epsilon: added to the variance.
    use_scale: whether gamma is learned, else 1.
    use_bias: whether beta is learned, else 0.
    scale_init: initializer of gamma; zeros makes a residual branch start as nothing.
    dtype: compute type.
  """

  momentum: float = 0.9
  epsilon: float = 1e-5
  use_scale: bool = True
  use_bias: bool = True
  scale_init: Callable = nn.initializers.ones
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch *space channel"], train: bool) -> Float[Array, "batch *space channel"]:
    channels = x.shape[-1:]
    running_mean = self.variable("batch_stats", "mean", jnp.zeros, channels)
    running_var = self.variable("batch_stats", "var", jnp.ones, channels)
    if train:
      mean, var = global_moments(x)
      if not self.is_initializing():
        running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
        running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
    else:
      mean, var = running_mean.value, running_var.value
    factor = lax.rsqrt(var + self.epsilon)
    if self.use_scale:
      factor *= self.param("scale", self.scale_init, channels)
    shift = -mean * factor
    if self.use_bias:
      shift += self.param("bias", nn.initializers.zeros, channels)
    return (x * factor + shift).astype(self.dtype)


def global_moments(
  x: Float[Array, "batch *space channel"],
) -> tuple[Float[Array, " channel"], Float[Array, " channel"]]:
  """Mean and (biased) variance of each channel over batch, space and devices.

  One pass, E[x^2] - E[x]^2, because a second pass over the activations costs more than the normalisation itself.
  """
  x = x.astype(jnp.promote_types(x.dtype, jnp.float32))
  reduced = tuple(range(x.ndim - 1))
  total, squares = axes.psum((x.sum(reduced), jnp.square(x).sum(reduced)))
  count = x.size // x.shape[-1] * axes.size()
  mean = total / count
  return mean, jnp.maximum(squares / count - jnp.square(mean), 0)


class Dropout(nn.Module):
  """Dropout (Srivastava et al., 2014), inverted: what is kept is divided by the probability of keeping it.

  The mask is keyed by the example's position in the global batch, so it does not depend on the number of devices.

  Attributes:
    rate: probability of setting a unit to zero.
  """

  rate: float

  @nn.compact
  def __call__(self, x: Float[Array, "batch ..."], train: bool) -> Float[Array, "batch ..."]:
    if not train or self.rate == 0:
      return x
    keys = randomness.example_keys(self.make_rng("dropout"), x.shape[0])
    kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - self.rate, x.shape[1:]))(keys)
    return jnp.where(kept, x / (1 - self.rate), 0).astype(x.dtype)


class GaussianNoise(nn.Module):
  """Adds normal noise while training, keyed by example as in `Dropout`.

  Attributes:
    std: standard deviation of the noise.
  """

  std: float

  @nn.compact
  def __call__(self, x: Float[Array, "batch ..."], train: bool) -> Float[Array, "batch ..."]:
    if not train or self.std == 0:
      return x
    keys = randomness.example_keys(self.make_rng("dropout"), x.shape[0])
    return x + self.std * jax.vmap(lambda key: jax.random.normal(key, x.shape[1:], x.dtype))(keys)


def max_pool(x: Float[Array, "batch height width channel"], window: int) -> Array:
  """Maximum over windows that do not overlap; rows and columns left over at the end are dropped.

  As a maximum over reshaped axes: on CPU its gradient is ten times as fast as that of `nn.max_pool`.  Where several
  pixels share the maximum they share its gradient.
  """
  convolution.check_size(x.shape[1:3], (window, window))
  batch, height, width, channels = x.shape
  rows, columns = height // window, width // window
  x = x[:, : rows * window, : columns * window]
  return x.reshape(batch, rows, window, columns, window, channels).max((2, 4))


def relu_of_sum(x: Float[Array, "*shape"], y: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
  """max(x + y, 0), in words that XLA's CPU backend does not take apart.

  It copies an operation of one array (a maximum with a constant) into everything that uses the result, and what that
  operation is made of with it: each residual block would compute all blocks before it again.  A selection between two
  arrays it computes once.
  """
  total = x + y
  return jnp.where(x <= -y, jnp.zeros_like(total), total)  # so asked, a NaN stays one


def flatten(x: Float[Array, "batch ..."]) -> Float[Array, "batch feature"]:
  """Each example as one vector."""
  return x.reshape(x.shape[0], -1)


def logits_layer(features: int, **options) -> nn.Dense:
  """The last layer: float32 whatever the compute type, since a loss takes its exponentials."""
  return nn.Dense(features, dtype=jnp.float32, **options)
