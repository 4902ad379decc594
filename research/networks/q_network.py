"""Networks of values: of vectors or of small images, dueling or not, noisy or not."""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NOISE = "noise"  # the stream of random numbers of a noisy network


class NoisyDense(nn.Module):
  """A dense layer whose weights have learned, factorised Gaussian noise (Fortunato et al. 2018, equations 10 and 11).

  One draw serves the whole batch.  Without a stream `NOISE` the weights are their means.

  Attributes:
    features: outputs.
    scale: σ0, the initial deviation times the square root of the number of inputs.
  """

  features: int
  scale: float = 0.5

  @nn.compact
  def __call__(self, x: Float[Array, "batch in"]) -> Float[Array, "batch out"]:
    inputs = x.shape[-1]
    bound = inputs**-0.5
    within = lambda key, shape: jax.random.uniform(key, shape, minval=-bound, maxval=bound)
    deviation = nn.initializers.constant(self.scale * bound)
    kernel = self.param("kernel", within, (inputs, self.features))
    bias = self.param("bias", within, (self.features,))
    kernel_deviation = self.param("kernel_deviation", deviation, (inputs, self.features))
    bias_deviation = self.param("bias_deviation", deviation, (self.features,))
    if not self.has_rng(NOISE):
      return x @ kernel + bias
    squash = lambda noise: jnp.sign(noise) * jnp.sqrt(jnp.abs(noise))
    of_inputs = squash(jax.random.normal(self.make_rng(NOISE), (inputs,)))
    of_outputs = squash(jax.random.normal(self.make_rng(NOISE), (self.features,)))
    noisy_kernel = (x * of_inputs) @ kernel_deviation * of_outputs
    return x @ kernel + noisy_kernel + bias + bias_deviation * of_outputs


class QNetwork(nn.Module):
  """[Convolution,] dense layers, and for each action the outputs of a head (`research.families.dqn`).

  Images take one convolution of 3x3 without padding, as Young & Tian's network for MinAtar.  It is a product over
  shifted copies: XLA's CPU backend runs the gradient of its own convolution several times slower inside a loop.

  Attributes:
    num_actions: actions.
    num_outputs: of each action.
    filters: of the convolution.
    features: widths of the dense layers.
    dueling: outputs are a value and advantages less their mean (Wang et al. 2016, equation 9).
    noisy: dense layers behind the torso are `NoisyDense`.
    layer_norm: normalise in front of every activation (Gallici et al. 2024).
  """

  num_actions: int
  num_outputs: int = 1
  filters: int = 16
  features: Sequence[int] = (128,)
  dueling: bool = False
  noisy: bool = False
  layer_norm: bool = False

  @nn.compact
  def __call__(self, x: Float[Array, "batch ..."]) -> Float[Array, "batch action output"]:
    x = x.astype(jnp.float32)
    if x.ndim == 4:
      x = self._activate(nn.Dense(self.filters, name="convolution")(patches(x, 3)))
    x = x.reshape(len(x), -1)
    dense = NoisyDense if self.noisy else nn.Dense
    *torso, last = self.features
    for width in torso:
      x = self._activate(nn.Dense(width)(x))
    advantages = dense(self.num_actions * self.num_outputs, name="advantages")(
      self._activate(dense(last, name="advantages_hidden")(x))
    ).reshape(len(x), self.num_actions, self.num_outputs)
    if not self.dueling:
      return advantages
    value = dense(self.num_outputs, name="value")(self._activate(dense(last, name="value_hidden")(x)))
    return value[:, None] + advantages - advantages.mean(1, keepdims=True)

  def _activate(self, x):
    return nn.relu(nn.LayerNorm()(x) if self.layer_norm else x)


def patches(x: Float[Array, "batch height width channel"], size: int) -> Float[Array, "batch rows columns patch"]:
  """Every square of `size` pixels a side as a vector, rows first, channels last: what a convolution multiplies."""
  rows, columns = x.shape[1] - size + 1, x.shape[2] - size + 1
  shifted = [x[:, i : i + rows, j : j + columns] for i in range(size) for j in range(size)]
  return jnp.concatenate(shifted, -1)
