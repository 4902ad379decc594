"""Networks that make an image of an image, CycleGAN's and pix2pix's, and the critic of patches that judges them.

Generators are `images -> images` in [-1, 1], of the same size; the critic is `images -> logits [batch, row, column]`.
All normalise each image by itself (instance normalisation), so there are no statistics to keep, and what an image
becomes does not depend on the others of its batch.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from research.errors import UserError
from research.networks import layers

Images = Float[Array, "batch height width channel"]
_STRAIGHT = 2.0  # tanh of it is 0.96
_normal = nn.initializers.normal(0.02)  # Zhu et al. 2017, appendix 7.1; Isola et al. 2017, appendix 6.2


class ResNetGenerator(nn.Module):
  """CycleGAN's generator (Zhu et al. 2017, appendix 7.2): halved a few times, residual blocks, doubled as often.

  In its notation c7s1-k, dk for each further width, Rk for each block, uk back, c7s1-channels.  Images are padded with
  zeros and not reflected: they tell where in the image a pixel is, without which no slant can be learnt.  What is added
  up is the change: a multiple of the image itself goes straight to tanh, so that training begins near the identity,
  not at a mapping that makes of every digit another one, and of that the first again: its cycle loss is none either.

  Attributes:
    widths: channels at full size, and behind each halving.
    blocks: residual blocks at the smallest size.
    channels: of what is made.
    dtype: compute type; images are float32.
  """

  widths: Sequence[int] = (16, 32)
  blocks: int = 4
  channels: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images) -> Images:
    check_sides(x, len(self.widths) - 1)
    image, x = x, x.astype(self.dtype)
    x = nn.relu(Norm(self.dtype)(_conv(self, self.widths[0], 7)(x)))
    for width in self.widths[1:]:
      x = nn.relu(Norm(self.dtype)(_conv(self, width, 3, 2, padding=1)(x)))
    for _ in range(self.blocks):
      y = nn.relu(Norm(self.dtype)(_conv(self, self.widths[-1], 3)(x)))
      x = x + Norm(self.dtype)(_conv(self, self.widths[-1], 3)(y))
    for width in reversed(self.widths[:-1]):
      x = layers.ConvTranspose(width, use_bias=False, kernel_init=_normal, dtype=self.dtype)(x)
      x = nn.relu(Norm(self.dtype)(x))
    x = layers.Conv(self.channels, (7, 7), kernel_init=_normal, dtype=self.dtype)(x)
    return nn.tanh(_STRAIGHT * image + x.astype(jnp.float32))


class UNetGenerator(nn.Module):
  """pix2pix's generator (Isola et al. 2017, appendix 6.1.1): halved and doubled, with skip connections.

  Each halving is a convolution, 4x4 with stride 2, and LeakyReLU(0.2); each doubling a transposed one and ReLU.  What
  is halved last is joined, channel beside channel, to what is doubled first, and so on out.  Two convolutions of 3x3
  precede the last, because the images here are halved less often than in the paper, and see less of what is around.

  Attributes:
    widths: channels behind each halving.
    channels: of what is made.
    dtype: compute type; images are float32.
  """

  widths: Sequence[int] = (32, 64, 128)
  channels: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images) -> Images:
    check_sides(x, len(self.widths))
    x, skips = x.astype(self.dtype), []
    for i, width in enumerate(self.widths):
      x = _conv(self, width, 4, 2, padding=1)(x)
      x = nn.leaky_relu(Norm(self.dtype)(x) if i else x, 0.2)
      skips.append(x)
    x = skips.pop()
    for width in (*reversed(self.widths[:-1]), self.widths[0]):
      x = layers.ConvTranspose(width, use_bias=False, kernel_init=_normal, dtype=self.dtype)(x)
      x = nn.relu(Norm(self.dtype)(x))
      x = jnp.concatenate([x, skips.pop()], axis=-1) if skips else x
    x = nn.relu(Norm(self.dtype)(_conv(self, self.widths[0], 3)(x)))
    x = layers.Conv(self.channels, (3, 3), kernel_init=_normal, dtype=self.dtype)(x)
    return nn.tanh(x.astype(jnp.float32))


class PatchCritic(nn.Module):
  """PatchGAN's discriminator (Isola et al. 2017, section 3.2.2): a logit for every patch, and none of the whole image.

  Convolutions of 4x4 with stride 2 and LeakyReLU(0.2), all but the first normalised, then one of 4x4 to the logits.

  Attributes:
    widths: channels behind each halving.
    dtype: compute type; the logits are float32.
  """

  widths: Sequence[int] = (32, 64)
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images) -> Float[Array, "batch row column"]:
    check_sides(x, len(self.widths))
    x = x.astype(self.dtype)
    for i, width in enumerate(self.widths):
      x = layers.Conv(width, (4, 4), 2, 1, use_bias=not i, kernel_init=_normal, dtype=self.dtype)(x)
      x = nn.leaky_relu(Norm(self.dtype)(x) if i else x, 0.2)
    return layers.Conv(1, (4, 4), kernel_init=_normal, dtype=self.dtype)(x)[..., 0].astype(jnp.float32)


class Norm(nn.Module):
  """Instance normalisation (Ulyanov et al. 2016): each channel of each image by its own mean and variance over pixels.

  Attributes:
    dtype: compute type; the moments are float32.
  """

  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Images) -> Images:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    # One pass, and then one product and one sum a pixel, as `layers.BatchNorm` has it.
    mean, squares = wide.mean((1, 2), keepdims=True), jnp.square(wide).mean((1, 2), keepdims=True)
    factor = lax.rsqrt(jnp.maximum(squares - jnp.square(mean), 0) + 1e-5)
    factor *= self.param("scale", nn.initializers.ones, x.shape[-1:])
    shift = self.param("bias", nn.initializers.zeros, x.shape[-1:]) - mean * factor
    return (x * factor + shift).astype(self.dtype)


def _conv(network, width: int, kernel: int, strides: int = 1, padding: str | int = "SAME") -> layers.Conv:
  """A convolution that is normalised next, and so needs no bias."""
  size = (kernel, kernel)
  return layers.Conv(width, size, strides, padding, use_bias=False, kernel_init=_normal, dtype=network.dtype)


def check_sides(x: Images, halvings: int) -> None:
  """Raises UserError where sides cannot be halved so often, to two pixels or more: of one there is no variance."""
  factor = 2**halvings
  height, width = x.shape[1:3]
  if height % factor or width % factor or min(height, width) < 2 * factor:
    remedy = f"sides must be multiples of {factor}, which the networks halve to 1, and {2 * factor} at least."
    raise UserError("config.domains.size", f"{height}x{width}", remedy)
