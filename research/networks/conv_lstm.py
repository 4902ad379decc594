"""Convolutional LSTM (Shi et al. 2015): what is carried from frame to frame has a place for each patch of the frame.

A convolution is here a product with each place's neighbourhood: inside a compiled loop on CPU, XLA runs gradients of
convolutions several times slower than those of products.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Grid = Float[Array, "batch height width feature"]


class Neighbourhood(nn.Module):
  """A convolution with a square kernel, zeros around.

  Attributes:
    features: number of filters.
    kernel: side of the kernel, odd.
    dtype: compute type.
  """

  features: int
  kernel: int = 3
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, x: Grid) -> Grid:
    height, width, reach = x.shape[1], x.shape[2], self.kernel // 2
    padded = jnp.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    around = [padded[:, i : i + height, j : j + width] for i in range(self.kernel) for j in range(self.kernel)]
    return nn.Dense(self.features, dtype=self.dtype)(jnp.concatenate(around, -1))


class ConvLSTM(nn.Module):
  """Frames, some of them known, others to come.

  From every frame the next one is predicted: from known ones, then from those that the network has predicted itself.

  Attributes:
    widths: channels of the layers.
    patch: side of the squares that are one place of the grid.
    kernel: side of the neighbourhoods, odd.
    dtype: compute type; parameters and outputs are float32.
  """

  widths: tuple[int, ...] = (64, 64)
  patch: int = 4
  kernel: int = 3
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(
    self, known: Float[Array, "batch known height width channel"], horizon: int
  ) -> Float[Array, "batch known+horizon-1 height width channel"]:
    """Logits of frames 1 to known + horizon - 1, each from those before it; values are from 0 to 1."""
    batch, count, height, width, channels = known.shape
    grid = (batch, height // self.patch, width // self.patch)
    inputs = jnp.pad(known, ((0, 0), (0, horizon - 1), (0, 0), (0, 0), (0, 0)))
    is_known = jnp.arange(count + horizon - 1) < count
    zeros = [(jnp.zeros((*grid, w), self.dtype), jnp.zeros((*grid, w), self.dtype)) for w in self.widths]
    scan = nn.scan(Step, variable_broadcast="params", split_rngs={"params": False}, in_axes=(1, 0), out_axes=1)
    step = scan(self.widths, self.patch, self.kernel, channels, self.dtype)
    return step((zeros, jnp.zeros_like(known[:, 0])), inputs, is_known)[1]


class Step(nn.Module):
  """One frame on: `(states, logits), frame, is_known -> (states, logits), logits`; attributes as `ConvLSTM`."""

  widths: tuple[int, ...]
  patch: int
  kernel: int
  channels: int
  dtype: jnp.dtype

  @nn.compact
  def __call__(self, carry, frame: Grid, is_known):
    states, logits = carry
    x = as_patches(jnp.where(is_known, frame, jax.nn.sigmoid(logits)), self.patch).astype(self.dtype)
    new, outputs = [], [x]
    for features, (h, c) in zip(self.widths, states):
      gates = Neighbourhood(4 * features, self.kernel, self.dtype)(jnp.concatenate([outputs[-1], h], -1))
      i, f, g, o = jnp.split(gates, 4, axis=-1)
      # A forget gate that begins open (Gers et al. 2000).
      c = jax.nn.sigmoid(f + 1) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
      h = jax.nn.sigmoid(o) * jnp.tanh(c)
      new.append((h, c))
      outputs.append(h)
    out = Neighbourhood(self.patch**2 * self.channels, self.kernel, self.dtype)(jnp.concatenate(outputs, -1))
    # Films are mostly dark, and so is what an untrained network predicts.
    logits = as_frame(out.astype(jnp.float32), self.patch, self.channels) - 2
    return (new, logits), logits


def as_patches(frame: Grid, patch: int) -> Grid:
  """Squares of `patch` x `patch` pixels, each as one place's features."""
  batch, height, width, channels = frame.shape
  x = frame.reshape(batch, height // patch, patch, width // patch, patch, channels)
  return x.swapaxes(2, 3).reshape(batch, height // patch, width // patch, -1)


def as_frame(grid: Grid, patch: int, channels: int) -> Grid:
  """What `as_patches` takes apart."""
  batch, rows, columns, _ = grid.shape
  x = grid.reshape(batch, rows, columns, patch, patch, channels)
  return x.swapaxes(2, 3).reshape(batch, rows * patch, columns * patch, channels)
