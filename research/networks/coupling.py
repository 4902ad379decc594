"""What conditions the layers of a flow: `(x, context) -> parameters`, with x's space and `features` channels.

The last layer starts at 0, so that the flow starts as the identity.
"""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers

Context = Float[Array, "batch ..."] | None


class ResidualMLP(nn.Module):
  """Residual blocks on vectors (Durkan et al. 2019, appendix B).

  Attributes:
    features: of the output.
    width: of the blocks.
    blocks: their number.
    dtype: compute type; the output is float32.
  """

  features: int
  width: int = 128
  blocks: int = 2
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch in"], context: Context) -> Float[Array, "batch out"]:
    if context is not None:
      x = jnp.concatenate([x, context], -1)
    x = nn.Dense(self.width, dtype=self.dtype)(x.astype(self.dtype))
    for _ in range(self.blocks):
      y = nn.Dense(self.width, dtype=self.dtype)(nn.silu(x))
      x += nn.Dense(self.width, dtype=self.dtype)(nn.silu(y))
    return layers.logits_layer(self.features, kernel_init=nn.initializers.zeros)(nn.silu(x))


class GatedConv(nn.Module):
  """Gated residual blocks on images (Ho et al. 2019, section 3.3, without attention).

  Attributes:
    features: channels of the output.
    width: of the blocks.
    blocks: their number.
    dtype: compute type; the output is float32.
  """

  features: int
  width: int = 32
  blocks: int = 2
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch height width in"], context: Context) -> Array:
    if context is not None:  # of the image's space, or one vector an image
      if context.ndim == 2:
        context = jnp.broadcast_to(context[:, None, None], (*x.shape[:3], context.shape[-1]))
      x = jnp.concatenate([x, context], -1)
    x = layers.Conv(self.width, dtype=self.dtype)(x.astype(self.dtype))
    for _ in range(self.blocks):
      y = layers.Conv(self.width, dtype=self.dtype)(nn.silu(x))
      value, gate = jnp.split(layers.Conv(2 * self.width, (1, 1), dtype=self.dtype)(nn.silu(y)), 2, -1)
      x = nn.LayerNorm(dtype=self.dtype)(x + value * nn.sigmoid(gate))
    out = layers.Conv(self.features, kernel_init=nn.initializers.zeros, dtype=self.dtype)(nn.silu(x))
    return out.astype(jnp.float32)
