"""The diffusion transformer: patches of an image, or of any grid, as tokens (Peebles & Xie 2023)."""

import math
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from research.networks import layers
from research.networks.conditioned import Condition, Label, Level, modulate, sinusoids

Tokens = Float[Array, "batch token feature"]


class DiT(nn.Module):
  """A transformer over patches whose blocks start as the identity (adaLN-zero).

  Any grid: images [batch, height, width, channel], or series [batch, time, channel].  Sides that `patch` does not
  divide are padded with zeros, and the output is cut.

  Attributes:
    features: width of the tokens.
    depth: number of blocks.
    heads: of attention; divides `features`.
    patch: side of a patch.
    mlp_ratio: width of a block's hidden layer, as a multiple of `features`.
    num_classes: 0 for an unconditional network.
    dropout: rate behind attention and behind the perceptron of every block.
    dtype: compute type; parameters and output are float32.
  """

  features: int
  depth: int
  heads: int
  patch: int
  mlp_ratio: int = 4
  num_classes: int = 0
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "batch *space channel"], level: Level, label: Label, train: bool
  ) -> Float[Array, "batch *space channel"]:
    tokens, grid = patches(x, self.patch)
    y = nn.Dense(self.features, dtype=self.dtype)(tokens)
    y += positions(grid, self.features).astype(self.dtype)
    condition = nn.silu(Condition(256, self.features, self.num_classes, self.dtype)(level, label))
    for _ in range(self.depth):
      y = Block(self.features, self.heads, self.mlp_ratio, self.dropout, self.dtype)(y, condition, train)
    modulation = nn.Dense(2 * self.features, kernel_init=nn.initializers.zeros, dtype=self.dtype)(condition)
    scale, shift = jnp.split(modulation, 2, axis=-1)
    y = modulate(_normal(self.dtype)(y), scale, shift)
    y = nn.Dense(tokens.shape[-1], kernel_init=nn.initializers.zeros, dtype=jnp.float32)(y)
    return unpatched(y, grid, x.shape, self.patch)


class Block(nn.Module):
  """Attention and a perceptron, each scaled, shifted and gated by the condition; gates are 0 at first.

  Their layers have no biases, which the condition's shifts make up for: a bias's gradient is a sum over all tokens, and
  on CPU these sums took a sixth of the step.

  Attributes:
    features, heads, mlp_ratio, dropout, dtype: as `DiT`.
  """

  features: int
  heads: int
  mlp_ratio: int
  dropout: float
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, x: Tokens, condition: Float[Array, "batch feature"], train: bool) -> Tokens:
    modulation = nn.Dense(6 * self.features, kernel_init=nn.initializers.zeros, dtype=self.dtype)(condition)
    scale, shift, gate, scale_mlp, shift_mlp, gate_mlp = jnp.split(modulation, 6, axis=-1)
    inner = Attention(self.heads, False, self.dtype)(modulate(_normal(self.dtype)(x), scale, shift))
    x += gate[:, None] * layers.Dropout(self.dropout)(inner, train)
    inner = modulate(_normal(self.dtype)(x), scale_mlp, shift_mlp)
    inner = nn.gelu(nn.Dense(self.mlp_ratio * self.features, use_bias=False, dtype=self.dtype)(inner))
    inner = nn.Dense(self.features, use_bias=False, dtype=self.dtype)(inner)
    return x + gate_mlp[:, None] * layers.Dropout(self.dropout)(inner, train)


class Attention(nn.Module):
  """Multi-head self-attention over all tokens (Vaswani et al. 2017, section 3.2).

  Attributes:
    heads: divides the width of the tokens.
    use_bias: of both projections.
    dtype: compute type; the softmax is float32.
  """

  heads: int
  use_bias: bool = True
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Tokens) -> Tokens:
    batch, tokens, features = x.shape
    projected = nn.Dense(3 * features, use_bias=self.use_bias, dtype=self.dtype)(x)
    # Heads beside the batch, so that what follows are plain matrix products: a quarter faster on CPU.
    split = projected.reshape(batch, tokens, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
    query, key, value = split.reshape(3, batch * self.heads, tokens, -1)
    logits = (query @ key.mT).astype(jnp.float32) / math.sqrt(features // self.heads)
    y = jax.nn.softmax(logits).astype(self.dtype) @ value
    y = y.reshape(batch, self.heads, tokens, -1).transpose(0, 2, 1, 3).reshape(batch, tokens, features)
    return nn.Dense(features, use_bias=self.use_bias, dtype=self.dtype)(y)


def _normal(dtype) -> nn.LayerNorm:
  """Without scale and shift: the condition gives them."""
  return nn.LayerNorm(use_scale=False, use_bias=False, epsilon=1e-6, dtype=dtype)


def patches(x: Float[Array, "batch *space channel"], side: int) -> tuple[Tokens, tuple[int, ...]]:
  """Tokens of side x ... x side points, all their channels in one vector, and the grid that they lie on."""
  space = x.shape[1:-1]
  grid = tuple(-(-size // side) for size in space)
  x = jnp.pad(x, ((0, 0), *((0, count * side - size) for count, size in zip(grid, space)), (0, 0)))
  split = [part for count in grid for part in (count, side)]
  x = x.reshape(x.shape[0], *split, x.shape[-1])
  order = [*range(1, 2 * len(grid), 2), *range(2, 2 * len(grid) + 1, 2)]
  return x.transpose(0, *order, x.ndim - 1).reshape(x.shape[0], math.prod(grid), -1), grid


def unpatched(tokens: Tokens, grid: Sequence[int], shape: Sequence[int], side: int) -> Array:
  """The inverse of `patches`, for an array of this shape."""
  axes = len(grid)
  x = tokens.reshape(tokens.shape[0], *grid, *(side,) * axes, -1)
  order = [axis for i in range(axes) for axis in (1 + i, 1 + axes + i)]
  x = x.transpose(0, *order, x.ndim - 1).reshape(tokens.shape[0], *(count * side for count in grid), -1)
  return x[tuple(slice(size) for size in shape[:-1])]


def positions(grid: Sequence[int], width: int) -> Float[Array, "token width"]:
  """Fixed sinusoids of each token's place, an equal part of the width for every axis; what is left over is 0."""
  share = width // len(grid) // 2 * 2
  places = np.stack(np.meshgrid(*(np.arange(count) for count in grid), indexing="ij"), -1).reshape(-1, len(grid))
  encoded = sinusoids(jnp.asarray(places, jnp.float32), share).reshape(len(places), -1)
  return jnp.pad(encoded, ((0, 0), (0, width - encoded.shape[-1])))
