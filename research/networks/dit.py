"""The diffusion transformer: patches of an image, or of any grid, as tokens (Peebles & Xie 2023).

Two things differ from the paper where a config asks for them, because they let a small network learn in a fraction of
the steps: patches overlap (`window`), and tokens are mixed by weights of their own (`mixing`).  Places are learned, as
in ViT, not sinusoids.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from research.networks import attention, layers, transformer
from research.networks.conditioned import Condition, Label, Level, modulate

Tokens = Float[Array, "batch token feature"]


class DiT(nn.Module):
  """A transformer over patches whose blocks start as the identity (adaLN-zero).

  Any grid: images [batch, height, width, channel], or series [batch, time, channel].  Sides that `patch` does not
  divide are padded with zeros, and the output is cut.  The places of tokens are learned, so the grid is that of `init`.

  Attributes:
    features: width of the tokens.
    depth: number of blocks.
    heads: of what mixes the tokens; divides `features`.
    patch: distance of a token's patch to the next.
    window: side of what a token reads and writes, in patches: 1 as in the paper; with 2 they overlap, and what they
      write is added up.
    mixing: one of `MIXING`.
    mlp_ratio: width of a block's hidden layer, as a multiple of `features`.
    num_classes: 0 for an unconditional network, or one of captions.
    vocabulary: above 0 the label is a caption, tokens [batch, time] of which 0 is padding: a Transformer's encoder
      reads it, and every block attends to what that makes of it.
    reader_depth: layers of that encoder.
    dropout: rate behind attention and behind the perceptron of every block.
    dtype: compute type; parameters and output are float32.
  """

  features: int
  depth: int
  heads: int
  patch: int
  window: int = 1
  mixing: str = "attention"
  mlp_ratio: int = 4
  num_classes: int = 0
  vocabulary: int = 0
  reader_depth: int = 2
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "batch *space channel"], level: Level, label: Label, train: bool
  ) -> Float[Array, "batch *space channel"]:
    read = lambda x: patches(x, self.patch, self.window)
    tokens = read(x)
    y = layers.Dense(self.features, dtype=self.dtype)(tokens)
    y += self.param("positions", nn.initializers.normal(0.5), y.shape[1:]).astype(self.dtype)
    condition = nn.silu(Condition(256, self.features, self.num_classes, self.dtype)(level, label))
    memory = self._read(label, train) if self.vocabulary and label is not None else None
    block = functools.partial(Block, self.features, self.heads, self.mixing, self.mlp_ratio, self.dropout, self.dtype)
    for _ in range(self.depth):
      y = block()(y, condition, train, memory)
    modulation = layers.Dense(2 * self.features, kernel_init=nn.initializers.zeros, dtype=self.dtype)(condition)
    scale, shift = jnp.split(modulation, 2, axis=-1)
    y = modulate(_normal(self.dtype)(y), scale, shift)
    y = layers.Dense(tokens.shape[-1], kernel_init=nn.initializers.zeros, dtype=jnp.float32)(y)
    return jax.linear_transpose(read, x)(y)[0]  # each token adds to what it has read

  def _read(self, caption: Int[Array, "batch time"], train: bool) -> transformer.Memory:
    """What the blocks attend to."""
    style = attention.Style(self.features, self.heads, dropout=self.dropout, dtype=self.dtype)
    place = attention.Place.of(caption.shape, (caption > 0).astype(jnp.int32))
    reader = transformer.Encoder(style, self.vocabulary, self.reader_depth)
    return transformer.Memory(reader(caption, train, place), place)


class Block(nn.Module):
  """Attention or static mixing, and a perceptron, each scaled, shifted and gated by the condition; gates start at 0.

  Their layers have no biases, which the condition's shifts make up for: a bias's gradient is a sum over all tokens, and
  on CPU these sums took a sixth of the step.

  Attributes:
    features, heads, mixing, mlp_ratio, dropout, dtype: as `DiT`.
  """

  features: int
  heads: int
  mixing: str
  mlp_ratio: int
  dropout: float
  dtype: jnp.dtype

  @nn.compact
  def __call__(
    self, x: Tokens, condition: Float[Array, "batch feature"], train: bool, memory: transformer.Memory | None = None
  ) -> Tokens:
    modulation = layers.Dense(6 * self.features, kernel_init=nn.initializers.zeros, dtype=self.dtype)(condition)
    scale, shift, gate, scale_mlp, shift_mlp, gate_mlp = jnp.split(modulation, 6, axis=-1)
    mix = MIXING[self.mixing](self.heads, use_bias=False, dtype=self.dtype)
    inner = mix(modulate(_normal(self.dtype)(x), scale, shift))
    x += gate[:, None] * layers.Dropout(self.dropout)(inner, train)
    if memory is not None:
      place = attention.Place.of(x.shape[:2], jnp.ones(x.shape[:2], jnp.int32))  # the segment of a caption's words
      style = attention.Style(self.features, self.heads, dtype=self.dtype)
      inner = attention.Attention(style, causal=False, cross=True)(_normal(self.dtype)(x), place, *memory)
      x += self.param("caption_gate", nn.initializers.zeros, (self.features,)).astype(self.dtype) * inner
    inner = modulate(_normal(self.dtype)(x), scale_mlp, shift_mlp)
    inner = nn.gelu(layers.Dense(self.mlp_ratio * self.features, use_bias=False, dtype=self.dtype)(inner))
    inner = layers.Dense(self.features, use_bias=False, dtype=self.dtype)(inner)
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
    projected = layers.Dense(3 * features, use_bias=self.use_bias, dtype=self.dtype)(x)
    # Heads beside the batch, so that what follows are plain matrix products: a quarter faster on CPU.
    split = projected.reshape(batch, tokens, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
    query, key, value = split.reshape(3, batch * self.heads, tokens, -1)
    logits = (query @ key.mT).astype(jnp.float32) / math.sqrt(features // self.heads)
    y = jax.nn.softmax(logits).astype(self.dtype) @ value
    y = y.reshape(batch, self.heads, tokens, -1).transpose(0, 2, 1, 3).reshape(batch, tokens, features)
    return layers.Dense(features, use_bias=self.use_bias, dtype=self.dtype)(y)


class StaticMixing(nn.Module):
  """A weighted sum of all tokens for each, whose weights are parameters: a matrix [token, token] for every head.

  The token-mixing layer of an MLP-Mixer (Tolstikhin et al. 2021), linear and by heads; attention without queries and
  keys (Tay et al. 2021, "random synthesizer").  On grids as small as MNIST's a training step on CPU takes two thirds of
  the time that it does with attention, and which tokens are neighbours need not be found out by queries.

  Attributes:
    heads: divides the width of the tokens.
    use_bias: of both projections.
    dtype: compute type.
  """

  heads: int
  use_bias: bool = True
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Tokens) -> Tokens:
    batch, tokens, features = x.shape
    value = layers.Dense(features, use_bias=self.use_bias, dtype=self.dtype)(x).reshape(batch, tokens, self.heads, -1)
    init = nn.initializers.normal(1 / math.sqrt(tokens))
    weights = self.param("weights", init, (self.heads, tokens, tokens)).astype(self.dtype)
    y = jnp.einsum("hts,bshf->bthf", weights, value).reshape(x.shape)
    return layers.Dense(features, use_bias=self.use_bias, dtype=self.dtype)(y)


MIXING = {"attention": Attention, "static": StaticMixing}


def _normal(dtype) -> nn.LayerNorm:
  """Without scale and shift: the condition gives them."""
  return nn.LayerNorm(use_scale=False, use_bias=False, epsilon=1e-6, dtype=dtype)


def patches(x: Float[Array, "batch *space channel"], side: int, window: int = 1) -> Tokens:
  """Tokens of every `side`-th place: the points around it, `window * side` on every axis, all channels in one vector.

  Sides are padded with zeros: to a multiple of `side` behind, and by half of what the windows overlap all around.
  """
  space = x.shape[1:-1]
  grid = tuple(-(-size // side) for size in space)
  margin = (window - 1) * side
  pads = [(margin // 2, count * side - size + margin - margin // 2) for count, size in zip(grid, space)]
  x = jnp.pad(x, ((0, 0), *pads, (0, 0)))
  split = [part for count in grid for part in (count + window - 1, side)]
  x = x.reshape(x.shape[0], *split, x.shape[-1])
  for i, count in enumerate(grid):
    axis = 1 + 2 * i
    shifted = [jax.lax.slice_in_dim(x, start, start + count, axis=axis) for start in range(window)]
    x = jnp.concatenate(shifted, axis=axis + 1)
  order = [*range(1, 2 * len(grid), 2), *range(2, 2 * len(grid) + 1, 2)]
  return x.transpose(0, *order, x.ndim - 1).reshape(x.shape[0], math.prod(grid), -1)
