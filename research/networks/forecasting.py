"""Networks that forecast: each series by itself, normalised window by window, cut into patches.

Reversible normalisation: Kim et al. 2022; channel independence and patches: Nie et al. 2023 (PatchTST); the recurrent
network that reads segments and writes all of the future's at once: Lin et al. 2023 (SegRNN).
"""

from collections.abc import Callable

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.errors import UserError
from research.networks import layers
from research.networks.attention import Place, Style
from research.networks.recurrent import Recurrent
from research.networks.transformer import Stack

Rows = Float[Array, "row time"]  # a series of a window each
_LEAST = 1e-5  # variance, standardised, that a window is taken to have at least


def reversibly(
  inputs: Float[Array, "batch context series"], outputs: int, network: Callable[[Rows], Float[Array, "row time output"]]
) -> Float[Array, "batch horizon series output"]:
  """What a network of single series, each normalised by its own window, forecasts, in the scale of the inputs."""
  batch, context, series = inputs.shape
  centre = inputs.mean(1, keepdims=True)
  scale = jnp.sqrt(inputs.var(1, keepdims=True) + _LEAST)
  rows = ((inputs - centre) / scale).swapaxes(1, 2).reshape(batch * series, context)
  y = network(rows).reshape(batch, series, -1, outputs).swapaxes(1, 2)
  # Quantiles that cross are put in order, which only lowers their loss (Chernozhukov et al. 2010).
  return jnp.sort(y * scale[..., None] + centre[..., None], axis=-1)


class RecurrentForecaster(nn.Module):
  """Reads a window segment by segment; from where it ends, each segment of the future is one step (Lin et al. 2023).

  Attributes:
    recurrent: the layers.
    horizon: times that are forecast.
    outputs: numbers for each, its quantiles.
    segment: times of a segment; divides the window's.
    dropout: rate in front of the last product.
  """

  recurrent: Recurrent
  horizon: int
  outputs: int
  segment: int
  dropout: float = 0.0

  @nn.compact
  def __call__(self, inputs: Float[Array, "batch context series"], train: bool):
    """[batch, horizon, series, output]."""
    if inputs.shape[1] % self.segment:
      raise UserError("config.model.segment", self.segment, f"it must divide config.data.context, {inputs.shape[1]}.")
    return reversibly(inputs, self.outputs, lambda rows: self._forecast(rows, inputs.shape[2], train))

  def _forecast(self, rows: Rows, series: int, train: bool):
    width, count = self.recurrent.features, -(-self.horizon // self.segment)
    dtype = self.recurrent.dtype
    segments = rows.reshape(len(rows), -1, self.segment)
    _, ends = self.recurrent(nn.relu(layers.Dense(width, dtype=dtype, name="embed")(segments)), train)
    # What asks for a segment of the future says which it is, and of which series.
    place = self.param("place", nn.initializers.normal(1.0), (count, width))
    which = self.param("series", nn.initializers.normal(1.0), (series, width))
    queries = jnp.broadcast_to(place + which[:, None], (len(rows) // series, series, count, width))
    again = lambda x: jnp.repeat(x, count, axis=0)
    ends = tuple(tuple(map(again, state)) for state in ends)
    y, _ = self.recurrent(queries.reshape(-1, 1, width), train, ends)
    y = layers.Dropout(self.dropout)(y.reshape(len(rows), count, width), train)
    y = layers.Dense(self.segment * self.outputs, dtype=jnp.float32, name="out")(y)
    return y.reshape(len(rows), count * self.segment, self.outputs)[:, : self.horizon]


class PatchForecaster(nn.Module):
  """An encoder of overlapping patches, and one linear map from all of them (Nie et al. 2023).

  Attributes:
    style, depth: of the encoder.
    horizon: times that are forecast.
    outputs: numbers for each, its quantiles.
    patch, stride: times of a patch, and from one to the next; the end of the window is repeated once by a stride.
    dropout: rate in front of the last product.
  """

  style: Style
  depth: int
  horizon: int
  outputs: int
  patch: int
  stride: int
  dropout: float = 0.0

  @nn.compact
  def __call__(self, inputs: Float[Array, "batch context series"], train: bool):
    """[batch, horizon, series, output]."""
    if not 1 <= self.patch <= inputs.shape[1] + self.stride:
      raise UserError("config.model.patch", self.patch, f"{inputs.shape[1]} times are seen (config.data.context).")
    return reversibly(inputs, self.outputs, lambda rows: self._forecast(rows, train))

  def _forecast(self, rows: Rows, train: bool):
    padded = jnp.pad(rows, ((0, 0), (0, self.stride)), mode="edge")
    starts = jnp.arange(0, padded.shape[1] - self.patch + 1, self.stride)
    patches = padded[:, starts[:, None] + jnp.arange(self.patch)]
    x = layers.Dense(self.style.features, dtype=self.style.dtype, name="embed")(patches)
    if self.style.positions == "learned":
      x += self.param("positions", nn.initializers.normal(0.02), x.shape[1:]).astype(x.dtype)
    x = layers.Dropout(self.style.dropout)(x, train)
    y = Stack(self.style, self.depth, False, name="encoder")(x, Place.of(x.shape[:2]), None, train)
    y = layers.Dropout(self.dropout)(y.reshape(len(rows), -1), train)
    y = layers.Dense(self.horizon * self.outputs, dtype=jnp.float32, name="out")(y)
    return y.reshape(len(rows), self.horizon, self.outputs)
