"""A diffusion transformer of films: attention among the places of a frame, then among the frames of a place.

Factorised in space and time, as Ho et al. 2022 (video diffusion, section 3) and Ma et al. 2024 (Latte, variant 1) do:
of T frames of S places, attention compares T S² + S T² pairs in place of (T S)².
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.networks import layers
from research.networks.conditioned import Condition, Label, Level, modulate
from research.networks.dit import Block, patches

Film = Float[Array, "batch frame height width channel"]


class SpaceTime(nn.Module):
  """Pairs of `dit.Block`, one over the patches of a frame, one over the frames of a patch.

  The places of patches and of frames are learned, so sides and the number of frames are those of `init`.

  Attributes:
    features: width of the tokens.
    depth: number of pairs.
    heads: of attention; divides `features`.
    patch: distance of a token's patch to the next.
    window: side of what a token reads and writes, in patches, as `dit.DiT`.
    dtype: compute type; parameters and output are float32.
  """

  features: int
  depth: int
  heads: int
  patch: int
  window: int = 1
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Film, level: Level, label: Label, train: bool) -> Film:
    batch, frames = x.shape[:2]
    read = lambda x: patches(x.reshape(batch * frames, *x.shape[2:]), self.patch, self.window)
    tokens = read(x)
    y = layers.Dense(self.features, dtype=self.dtype)(tokens).reshape(batch, frames, -1, self.features)
    places = y.shape[2]
    y += self.param("places", nn.initializers.normal(0.5), (places, self.features)).astype(self.dtype)
    y += self.param("frames", nn.initializers.normal(0.5), (frames, 1, self.features)).astype(self.dtype)
    condition = nn.silu(Condition(256, self.features, 0, self.dtype)(level, label))
    # Rows of a block: the frames of all films, then the places of all films.
    options = (self.features, self.heads, "attention", 4, 0.0, self.dtype)
    of_frames, of_places = (jnp.repeat(condition, count, axis=0) for count in (frames, places))
    for _ in range(self.depth):
      y = Block(*options)(y.reshape(batch * frames, places, -1), of_frames, train)
      y = y.reshape(batch, frames, places, -1).swapaxes(1, 2)
      y = Block(*options)(y.reshape(batch * places, frames, -1), of_places, train)
      y = y.reshape(batch, places, frames, -1).swapaxes(1, 2)
    modulation = layers.Dense(2 * self.features, kernel_init=nn.initializers.zeros, dtype=self.dtype)(of_frames)
    scale, shift = jnp.split(modulation, 2, axis=-1)
    normal = nn.LayerNorm(use_scale=False, use_bias=False, epsilon=1e-6, dtype=self.dtype)
    y = modulate(normal(y.reshape(batch * frames, places, -1)), scale, shift)
    y = layers.Dense(tokens.shape[-1], kernel_init=nn.initializers.zeros, dtype=jnp.float32)(y)
    return jax.linear_transpose(read, x)(y)[0]  # each token adds to what it has read
