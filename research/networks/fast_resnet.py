"""A network built to reach an accuracy on CIFAR-10 soonest, after the speed-run networks.

Sources: Page (2018), "How to train your ResNet"; Balsam (2023), hlb-CIFAR10; Jordan (2024), "94% on CIFAR-10 in 3.29
seconds on a single GPU" (airbench), sections 3.1-3.3: a first layer that whitens 2x2 patches, set from the data and
never trained; groups of two convolutions without residuals; GELU; filters that start as the identity; small logits.
"""

from collections.abc import Sequence

import flax
import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers

Images = Float[Array, "batch height width channel"]


def identity_init(key, shape, dtype=jnp.float32) -> Float[Array, "kh kw in out"]:
  """The first `in` filters pass their channel on, the others are random (airbench, section 3.2)."""
  height, width, channels, _ = shape
  bound = (height * width * channels) ** -0.5
  kernel = jax.random.uniform(key, shape, dtype, -bound, bound)
  passed = min(channels, shape[-1])
  identity = jnp.zeros((height, width, channels, passed)).at[height // 2, width // 2].set(jnp.eye(channels, passed))
  return kernel.at[..., :passed].set(identity.astype(dtype))


class FastResNet(nn.Module):
  """Whitening 2x2 convolution, then groups of conv, max-pool, norm, GELU, conv, norm, GELU; max-pool; small logits.

  `widths=(64, 256, 256)` is airbench94's; a CPU takes less.  The normalisation learns a bias, no scale.  The whitening
  layer is set by `with_whitening(params, images)`; until then it is random.

  Attributes:
    num_classes: number of logits.
    widths: channels of the groups; each group halves the image.
    depth: convolutions in a group.
    train_whitening: whether the first layer's kernel learns (its bias always does).
    whitening_size: side of the first layer's patches.
    whitening_stride: of the first layer; 2 halves the image at once, for CPUs.
    logit_scale: factor on the logits.
    momentum: of the running statistics; short runs need them to follow quickly.
    dtype: compute type; parameters and logits are float32.
  """

  num_classes: int = 10
  widths: Sequence[int] = (64, 256, 256)
  depth: int = 2
  train_whitening: bool = False
  whitening_size: int = 2
  whitening_stride: int = 1
  logit_scale: float = 1 / 9
  momentum: float = 0.6
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, train: bool) -> Float[Array, "batch class"]:
    x = nn.gelu(self._whiten(x.astype(self.dtype)))
    for width in self.widths:
      for i in range(self.depth):
        x = layers.Conv(width, use_bias=False, kernel_init=identity_init, dtype=self.dtype)(x)
        # Pooling in front of normalisation and activation: a quarter of their work.
        x = x if i else layers.max_pool(x, 2)
        norm = layers.BatchNorm(self.momentum, use_scale=False, dtype=self.dtype)
        x = nn.gelu(norm(x, train))
    x = x.max((1, 2))
    return self.logit_scale * layers.logits_layer(self.num_classes, use_bias=False)(x)

  def _whiten(self, x: Images) -> Images:
    size = self.whitening_size
    shape = (size, size, x.shape[-1], 2 * size * size * x.shape[-1])
    kernel = self.param("whitening_kernel", nn.initializers.lecun_normal(), shape)
    bias = self.param("whitening_bias", nn.initializers.zeros, shape[-1:])
    if not self.train_whitening:
      kernel = jax.lax.stop_gradient(kernel)
    layer = layers.convolution.conv(x, kernel.astype(self.dtype), self.whitening_stride, "VALID")
    return layer + bias.astype(self.dtype)


def whitening_kernel(images: Images, size: int = 2, epsilon: float = 5e-4) -> Float[Array, "size size in out"]:
  """Filters that decorrelate the patches of these images and give each component unit variance, and their negatives.

  With patch covariance C = U diag(s) U', the filters are the columns of U (s + epsilon)^-1/2.  The negatives are there
  because the activation behind the filters keeps only one sign.  A few thousand images suffice.
  """
  channels = images.shape[-1]
  last = (images.shape[1] - size + 1, images.shape[2] - size + 1)
  shifts = [images[:, i : i + last[0], j : j + last[1]] for i in range(size) for j in range(size)]
  patches = jnp.stack(shifts, -2).reshape(-1, size * size * channels)
  values, vectors = jnp.linalg.eigh(jnp.cov(patches, rowvar=False))
  filters = vectors / jnp.sqrt(values + epsilon)
  return jnp.concatenate([filters, -filters], -1).reshape(size, size, channels, -1)


def with_whitening(params, images: Images, epsilon: float = 5e-4):
  """The parameters of a `FastResNet` with its first layer set to whiten these (normalised) images."""
  flat = dict(flax.core.unfreeze(params))
  size = flat["whitening_kernel"].shape[0]
  flat["whitening_kernel"] = whitening_kernel(images, size, epsilon)
  return flat
