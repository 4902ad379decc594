"""The U-Net of diffusion models: residual blocks at several resolutions, with skip connections from down to up.

Ronneberger et al. 2015; Ho et al. 2020, appendix B; with the layer order of `diffusers.UNet2DModel`.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers
from research.networks.conditioned import Condition, Label, Level
from research.networks.dit import Attention

Images = Float[Array, "batch height width channel"]


class UNet(nn.Module):
  """Down through the stages, a middle with attention, and up again.

  Any size: an odd side is halved to its ceiling, and what is doubled on the way up is cut to the skip connection's.

  Attributes:
    widths: channels of the stages; each stage but the last ends by halving the image.
    blocks: residual blocks a stage on the way down; one more on the way up.
    attention: whether a stage's blocks are followed by attention.
    head_features: channels of an attention head.
    groups: of group normalisation, at most so many; fewer where they do not divide the channels.
    num_classes: 0 for an unconditional network.
    dropout: rate in every residual block.
    outputs: channels of the output; 0 for those of the input.
    dtype: compute type; parameters and output are float32.

  Called without a level (None) it is an ordinary U-Net, with no condition.
  """

  widths: Sequence[int] = (32, 64, 64)
  blocks: int = 2
  attention: Sequence[bool] = (False, True, False)
  head_features: int = 8
  groups: int = 32
  num_classes: int = 0
  dropout: float = 0.0
  outputs: int = 0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images, level: Level | None, label: Label, train: bool) -> Images:
    first, channels = self.widths[0], self.outputs or x.shape[-1]
    condition = None
    if level is not None:
      condition = nn.silu(Condition(first, 4 * first, self.num_classes, self.dtype)(level, label))

    def stage(y, width, attends):
      y = Residual(width, self.groups, self.dropout, self.dtype)(y, condition, train)
      return AttentionOverPixels(self.head_features, self.groups, self.dtype)(y) if attends else y

    y = layers.Conv(first, dtype=self.dtype)(x)
    skips = [y]
    for i, (width, attends) in enumerate(zip(self.widths, self.attention, strict=True)):
      for _ in range(self.blocks):
        y = stage(y, width, attends)
        skips.append(y)
      if i < len(self.widths) - 1:
        y = layers.Conv(width, strides=2, padding=1, dtype=self.dtype)(y)
        skips.append(y)
    y = stage(y, self.widths[-1], True)
    y = stage(y, self.widths[-1], False)
    for i, (width, attends) in reversed(list(enumerate(zip(self.widths, self.attention)))):
      for _ in range(self.blocks + 1):
        y = stage(jnp.concatenate([y, skips.pop()], axis=-1), width, attends)
      if i:
        y = layers.Conv(width, dtype=self.dtype)(doubled(y, skips[-1].shape))
    y = nn.silu(GroupNorm(self.groups, self.dtype)(y))
    return layers.Conv(channels, kernel_init=nn.initializers.zeros, dtype=self.dtype)(y).astype(jnp.float32)


class Residual(nn.Module):
  """Norm, SiLU, convolution; plus the condition; norm, SiLU, dropout, convolution; added to the input.

  Attributes:
    features: number of filters.
    groups, dropout, dtype: as `UNet`.
  """

  features: int
  groups: int
  dropout: float
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: Images, condition: Float[Array, "batch feature"] | None, train: bool) -> Images:
    y = layers.Conv(self.features, dtype=self.dtype)(nn.silu(GroupNorm(self.groups, self.dtype)(x)))
    if condition is not None:
      y += nn.Dense(self.features, dtype=self.dtype)(condition)[:, None, None]
    y = layers.Dropout(self.dropout)(nn.silu(GroupNorm(self.groups, self.dtype)(y)), train)
    y = layers.Conv(self.features, dtype=self.dtype)(y)
    if x.shape[-1] != self.features:
      x = layers.Conv(self.features, (1, 1), dtype=self.dtype)(x)
    return x + y


class AttentionOverPixels(nn.Module):
  """Self-attention between all pixels, added to the input.

  Attributes:
    head_features, groups, dtype: as `UNet`.
  """

  head_features: int
  groups: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: Images) -> Images:
    batch, height, width, channels = x.shape
    y = GroupNorm(self.groups, self.dtype)(x).reshape(batch, height * width, channels)
    y = Attention(max(1, channels // self.head_features), dtype=self.dtype)(y)
    return x + y.reshape(x.shape)


class GroupNorm(nn.Module):
  """Group normalisation (Wu & He 2018), with as many groups, up to `groups`, as divide the channels.

  Attributes:
    groups: at most.
    dtype: compute type; the moments are float32.
  """

  groups: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: Images) -> Images:
    channels = x.shape[-1]
    count = max(n for n in range(1, self.groups + 1) if channels % n == 0)
    return nn.GroupNorm(count, epsilon=1e-5, dtype=self.dtype)(x)


def doubled(x: Images, shape: Sequence[int]) -> Images:
  """Every pixel four times, cut to the height and width of `shape`."""
  return x.repeat(2, axis=1).repeat(2, axis=2)[:, : shape[1], : shape[2]]
