"""A causal Transformer over what lies in a raster: pixels of images, entries of a codebook, the voices of music.

Image Transformer (Parmar et al. 2018, section 3, the raster order) by the layers of the sequence families; learned
positions of rows and columns as of Child et al. 2019, section 5.3.

`(tokens, label, train) -> outputs [batch, row, column, features]`; tokens are int32 levels [batch, row, column].  The
output at an element is a function of the elements before it, row by row.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research.generation.model import check_length
from research.networks import layers
from research.networks.attention import Place, Style
from research.networks.transformer import Stack

Labels = Int[Array, " batch"] | None


@struct.dataclass
class RasterCarry:
  """What generation keeps.

  Attributes:
    position: of the element that comes next, in raster order.
    layers: keys and values of the elements so far, of each layer.
    label: of each row of the batch; zeros where nothing is conditioned on.
  """

  position: Int[Array, " batch"]
  layers: Any
  label: Int[Array, " batch"]


class RasterTransformer(nn.Module):
  """A decoder whose tokens stand in rows and columns.

  Attributes:
    features: outputs an element.
    levels: that an element has.
    shape: (rows, columns): the most rows that it takes, and its columns.
    width: of the residual stream.
    depth: layers.
    heads: of the attention.
    dropout: rate.
    num_classes: the label is told, one of so many; 0: it is not.
    dtype: compute type; outputs are float32.
  """

  features: int
  levels: int
  shape: tuple[int, int]
  width: int = 64
  depth: int = 4
  heads: int = 4
  dropout: float = 0.0
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  def setup(self):
    style = Style(self.width, self.heads, positions="none", dropout=self.dropout, dtype=self.dtype)
    embed = lambda count: nn.Embed(count, self.width, embedding_init=nn.initializers.normal(0.5), dtype=self.dtype)
    self.element, self.row, self.column = embed(self.levels + 1), embed(self.shape[0]), embed(self.shape[1])
    if self.num_classes:
      self.condition = embed(self.num_classes)
    self.drop = layers.Dropout(self.dropout)
    self.stack = Stack(style, self.depth, causal=True)
    self.output = layers.logits_layer(self.features)

  def __call__(self, tokens: Int[Array, "batch row column"], label: Labels = None, train: bool = False):
    """Outputs [batch, row, column, features]."""
    flat = tokens.reshape(len(tokens), -1)
    # What begins every example is a level that none has.
    before = jnp.pad(flat, ((0, 0), (1, 0)), constant_values=self.levels)[:, :-1]
    place = Place.of(flat.shape)
    x = self.drop(self._embedded(before, place.positions, label), train)
    return self.output(self.stack(x, place, None, train)).reshape(*tokens.shape, self.features)

  def init_carry(self, batch: int, shape: tuple[int, int], label: Labels = None) -> RasterCarry:
    """Before the first element of examples of that shape, of as many columns.

    Raises:
      UserError: more rows than the network takes.
    """
    check_length(shape[0] * shape[1], self.shape[0] * self.shape[1])
    return RasterCarry(
      jnp.zeros(batch, jnp.int32),
      self.stack.keep(batch, shape[0] * shape[1], None),
      jnp.zeros(batch, jnp.int32) if label is None else label,
    )

  def step(self, carry: RasterCarry, token: Int[Array, " batch"]) -> tuple[RasterCarry, Float[Array, "batch features"]]:
    """Takes in the element before `position` (at the first there is none: what is given is not looked at)."""
    positions = carry.position[:, None]
    before = jnp.where(positions > 0, token[:, None], self.levels)
    x = self._embedded(before, positions, carry.label)
    x, kept = self.stack.extend(x, Place(positions), positions, carry.layers, None)
    return RasterCarry(carry.position + 1, kept, carry.label), self.output(x)[:, 0]

  def _embedded(self, before, positions, label: Labels):
    """The element before, and where the one that is predicted lies."""
    row, column = jnp.divmod(positions, self.shape[1])
    x = self.element(before) + self.row(row) + self.column(column)
    if self.num_classes and label is not None:
      x += self.condition(label)[:, None]
    return x
