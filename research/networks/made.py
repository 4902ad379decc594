"""MADE: a fully connected network whose output i is a function of the inputs before i (Germain et al. 2015)."""

import itertools
from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research.networks import layers


def degrees(inputs: int, hidden: Sequence[int], seed: int) -> list[Int[np.ndarray, " unit"]]:
  """Of the inputs, 1 to `inputs`, then of each hidden layer, drawn as section 4.2 has it: the largest input seen.

  `seed` 0 spreads them evenly instead of drawing them, so that every degree has its units.
  """
  rng, degrees_of_layers = np.random.default_rng(seed), [np.arange(1, inputs + 1)]
  for width in hidden:
    least, most = min(degrees_of_layers[-1].min(), inputs - 1), max(1, inputs - 1)
    layer_degrees = rng.integers(least, most + 1, width) if seed else least + np.arange(width) % (most - least + 1)
    degrees_of_layers.append(layer_degrees)
  return degrees_of_layers


def masks(inputs: int, hidden: Sequence[int], size: int, seed: int = 0) -> list[Float[np.ndarray, "in out"]]:
  """Masks of the layers (equations 8 and 9); the last is of `size` outputs an input, those of one together."""
  degrees_of_layers = degrees(inputs, hidden, seed)
  inner = [(a[:, None] <= b[None]).astype(np.float32) for a, b in itertools.pairwise(degrees_of_layers)]
  last = (degrees_of_layers[-1][:, None] < np.repeat(degrees_of_layers[0], size)[None]).astype(np.float32)
  return [*inner, last]


class MaskedDense(nn.Module):
  """A dense layer whose weights are multiplied by a mask [in, out].

  Attributes:
    mask: 0 and 1.
    zeros: whether the weights start at 0.
    dtype: compute type.
  """

  mask: np.ndarray
  zeros: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, "batch in"]) -> Float[Array, "batch out"]:
    init = nn.initializers.zeros if self.zeros else nn.initializers.lecun_normal()
    kernel = self.param("kernel", init, self.mask.shape)
    bias = self.param("bias", nn.initializers.zeros, self.mask.shape[1:])
    return x.astype(self.dtype) @ (kernel * self.mask).astype(self.dtype) + bias.astype(self.dtype)


class MADE(nn.Module):
  """Masked layers with `relu`, and direct connections from the inputs to the outputs (section 4.1, equation 10).

  Attributes:
    features: outputs, a multiple of the inputs; those of input i stand together.
    hidden: widths of the layers.
    seed: of the masks; 0: even ones.
    dropout: rate behind the hidden layers.
    zeros: whether the outputs start at 0.
    dtype: compute type; the output is float32.
  """

  features: int
  hidden: Sequence[int] = (128, 128)
  seed: int = 0
  dropout: float = 0.0
  zeros: bool = False
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, "batch in"], context: Array | None = None, train: bool = False
  ) -> Float[Array, "batch features"]:
    """Context is added to every hidden layer: it is seen by all."""
    inputs = x.shape[-1]
    size = self.features // inputs
    *inner, last = masks(inputs, self.hidden, size, self.seed)
    direct = np.float32(np.arange(inputs)[:, None] < np.repeat(np.arange(inputs), size)[None])
    h = x
    for i, mask in enumerate(inner):
      h = MaskedDense(mask, dtype=self.dtype, name=f"hidden_{i}")(h)
      if context is not None:
        h += nn.Dense(mask.shape[1], use_bias=False, dtype=self.dtype)(context.astype(self.dtype))
      h = layers.Dropout(self.dropout)(nn.relu(h), train)
    out = MaskedDense(last, self.zeros, dtype=jnp.float32, name="output")(h)
    skip = self.param("direct", nn.initializers.zeros, direct.shape)
    return out + x.astype(jnp.float32) @ (skip * direct)


class TokenMADE(nn.Module):
  """MADE over levels of any shape, in raster order: `(tokens, label, train) -> outputs [batch, *event, features]`.

  Attributes:
    features: outputs an element.
    levels: that an element has.
    hidden, seed, dropout, dtype: as `MADE`.
    num_classes: the label is told, one of so many; 0: it is not.
  """

  features: int
  levels: int
  hidden: Sequence[int] = (500,)
  seed: int = 0
  dropout: float = 0.0
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, tokens: Int[Array, "batch ..."], label=None, train: bool = False):
    x = (2 / (self.levels - 1)) * layers.flatten(tokens).astype(jnp.float32) - 1
    context = jax.nn.one_hot(label, self.num_classes) if self.num_classes else None
    network = MADE(self.features * x.shape[-1], self.hidden, self.seed, self.dropout, dtype=self.dtype)
    return network(x, context, train).reshape(*tokens.shape, self.features)
