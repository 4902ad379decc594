"""Convolutional networks for small images: the textbook one, LeNet-5, and a strong one that a CPU can train."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers

Images = Float[Array, "batch height width channel"]
Logits = Float[Array, "batch class"]


class CNN(nn.Module):
  """The textbook network: conv 3x3 of 32 and 64, max-pool, dense 128 (1,199,882 parameters on 28x28x1 images).

  Attributes:
    num_classes: number of logits.
    dropout: rate behind the dense layer; half of it behind the pooling.
    dtype: compute type; parameters and logits are float32.
  """

  num_classes: int = 10
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, train: bool) -> Logits:
    for width in (32, 64):
      x = nn.relu(layers.Conv(width, padding="VALID", dtype=self.dtype)(x))
    x = layers.Dropout(self.dropout / 2)(layers.max_pool(x, 2), train)
    x = nn.relu(nn.Dense(128, dtype=self.dtype)(layers.flatten(x)))
    return layers.logits_layer(self.num_classes)(layers.Dropout(self.dropout)(x, train))


class LeNet5(nn.Module):
  """LeNet-5 (LeCun et al., 1998, figure 2), modernised: 61,706 parameters on 28x28x1 images.

  What is not as in the paper: ReLU in place of the scaled tanh, max-pooling in place of averages with a learned gain,
  every map of C3 connected to all of S2 (the paper's table I left some out), and a softmax layer in place of the
  radial basis functions.  Images of 28x28 are padded to the paper's 32x32 by the first convolution.

  Attributes:
    num_classes: number of logits.
    dtype: compute type; parameters and logits are float32.
  """

  num_classes: int = 10
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, train: bool) -> Logits:
    del train  # nothing in it differs between training and use
    x = nn.relu(layers.Conv(6, (5, 5), padding="SAME", dtype=self.dtype)(x))
    x = nn.relu(layers.Conv(16, (5, 5), padding="VALID", dtype=self.dtype)(layers.max_pool(x, 2)))
    x = layers.flatten(layers.max_pool(x, 2))
    for width in (120, 84):
      x = nn.relu(nn.Dense(width, dtype=self.dtype)(x))
    return layers.logits_layer(self.num_classes)(x)


class SmallCNN(nn.Module):
  """A strong network for MNIST-like images that spends its arithmetic where the image is small.

  A 4x4 convolution of stride 2 halves the image at once; then stages of 3x3 convolutions, each with batch
  normalisation, and max-pooling between stages; then the mean over what space is left.

  Attributes:
    num_classes: number of logits.
    stages: widths of the convolutions, stage by stage; the first is the stem's.
    dropout: rate in front of the logits.
    dtype: compute type; parameters and logits are float32.
  """

  num_classes: int = 10
  stages: Sequence[Sequence[int]] = ((32, 32), (64, 64, 128))
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, train: bool) -> Logits:
    first = True
    for stage in self.stages:
      x = x if first else layers.max_pool(x, 2)
      for width in stage:
        kernel, stride = ((4, 4), 2) if first else ((3, 3), 1)
        init = layers.initializer("he")
        x = layers.Conv(width, kernel, stride, use_bias=False, kernel_init=init, dtype=self.dtype)(x)
        x = nn.relu(layers.BatchNorm(dtype=self.dtype)(x, train))
        first = False
    x = layers.Dropout(self.dropout)(x.mean((1, 2)), train)
    return layers.logits_layer(self.num_classes)(x)
