"""The vision Transformer: an image as a sequence of patches (Dosovitskiy et al. 2021)."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.errors import UserError
from research.networks import layers
from research.networks.attention import Place, Style
from research.networks.transformer import Stack


class VisionTransformer(nn.Module):
  """Classes of images: the mean of what an encoder makes of their patches, and a softmax.

  Attributes:
    num_classes: number of logits.
    style, depth: of the encoder; positions are learned, whatever else the style has.
    patch: side of a patch in pixels; divides the image's.
  """

  num_classes: int
  style: Style
  depth: int
  patch: int

  @nn.compact
  def __call__(self, x: Float[Array, "batch height width channel"], train: bool) -> Float[Array, "batch classes"]:
    batch, height, width, channels = x.shape
    if self.patch < 1 or height % self.patch or width % self.patch:
      raise UserError("config.model.patch", self.patch, f"it must divide the image, {height} x {width} pixels.")
    rows, columns = height // self.patch, width // self.patch
    x = x.reshape(batch, rows, self.patch, columns, self.patch, channels).swapaxes(2, 3)
    x = layers.Dense(self.style.features, dtype=self.style.dtype, name="embed")(x.reshape(batch, rows * columns, -1))
    x += self.param("positions", nn.initializers.normal(0.02), x.shape[1:]).astype(x.dtype)
    x = layers.Dropout(self.style.dropout)(x, train)
    y = Stack(self.style, self.depth, False, name="encoder")(x, Place.of(x.shape[:2]), None, train)
    return nn.Dense(self.num_classes)(y.astype(jnp.float32).mean(1))
