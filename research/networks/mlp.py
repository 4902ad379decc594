"""The multilayer perceptron."""

from collections.abc import Callable, Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers


class MLP(nn.Module):
  """Fully connected layers: [dropout or noise at the input], then dense, [batch norm], activation, [dropout] each.

  With `features=(1024, 1024, 1024)`, `dropout=0.5`, `input_dropout=0.2` and a max-norm constraint from the optimizer
  it is the permutation-invariant MNIST network of Srivastava et al. (2014), table 2.

  Attributes:
    features: widths of the hidden layers.
    num_outputs: number of logits.
    activation: elementwise non-linearity.
    dropout: rate behind every hidden layer.
    input_dropout: rate at the input.
    input_noise: standard deviation of normal noise added to the input.
    noise: the same for every hidden layer, before its activation (Rasmus et al. 2015, the baseline of table 1).
    batch_norm: whether every hidden layer is normalised before its activation.
    kernel_init: 'lecun', 'he', 'glorot' or 'orthogonal'.
    dtype: compute type; parameters and logits are float32.
  """

  features: Sequence[int]
  num_outputs: int
  activation: Callable = nn.relu
  dropout: float = 0.0
  input_dropout: float = 0.0
  input_noise: float = 0.0
  noise: float = 0.0
  batch_norm: bool = False
  kernel_init: str = "he"
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch ..."], train: bool) -> Float[Array, "batch output"]:
    kernel_init = layers.initializer(self.kernel_init)
    x = layers.flatten(x).astype(self.dtype)
    x = layers.GaussianNoise(self.input_noise)(x, train)
    x = layers.Dropout(self.input_dropout)(x, train)
    for width in self.features:
      # A bias before batch normalisation would be subtracted again with the mean.
      x = nn.Dense(width, use_bias=not self.batch_norm, kernel_init=kernel_init, dtype=self.dtype)(x)
      if self.batch_norm:
        x = layers.BatchNorm(dtype=self.dtype)(x, train)
      x = layers.GaussianNoise(self.noise)(x, train)
      x = layers.Dropout(self.dropout)(self.activation(x), train)
    return layers.logits_layer(self.num_outputs, kernel_init=kernel_init)(x)
