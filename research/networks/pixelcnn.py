"""PixelCNN: networks over images whose output at a pixel is a function of the pixels before it, in raster order.

Two stacks, so that nothing before a pixel is hidden from it (van den Oord et al. 2016b, section 2.2): the vertical one
sees the rows above, the horizontal one its own row to the left, and the vertical one.  Masks are not needed: the image
is shifted by one row, or by one pixel, and convolutions are padded on one side.

`(tokens, label, train) -> outputs [batch, height, width, features]`; tokens are int32 levels [batch, height, width].
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research.errors import UserError
from research.networks import layers

Labels = Int[Array, " batch"] | None


@struct.dataclass
class PixelCarry:
  """What generation keeps: of each layer a few rows above, its row, and a few pixels to the left.

  Attributes:
    position: of the pixel that comes next, in raster order.
    row: what is known of the current row, [batch, width, channel], as the input of the stacks.
    above: of each block, the vertical stack's last rows of inputs.
    beside: of each block, what the vertical stack gives the horizontal one along the current row.
    left: of each block, the horizontal stack's last inputs.
    label: of each row of the batch; zeros where nothing is conditioned on.
  """

  position: Int[Array, " batch"]
  row: Float[Array, "batch width channel"]
  above: tuple[Float[Array, "batch rows width feature"], ...]
  beside: tuple[Float[Array, "batch width feature"], ...]
  left: tuple[Float[Array, "batch pixels feature"], ...]
  label: Int[Array, " batch"]


class GatedBlock(nn.Module):
  """One layer of both stacks (van den Oord et al. 2016b, figure 2), with residuals in both.

  Attributes:
    features: channels of either stack.
    size: side of the kernel, odd.
    dilation: pixels from one place of the kernel to the next.
    first: the first layer is wider and has no residuals: what comes in has other channels.
    dropout: rate in front of the gates.
    dtype: compute type.
  """

  features: int
  size: int = 3
  dilation: int = 1
  first: bool = False
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  def setup(self):
    conv = lambda features, size: layers.Conv(
      features, size, padding="VALID", dilation=self.dilation if max(size) > 1 else 1, dtype=self.dtype
    )
    rows = (self.size + 1) // 2
    self.vertical = conv(2 * self.features, (rows, self.size))
    self.horizontal = conv(2 * self.features, (1, rows))
    self.across = conv(2 * self.features, (1, 1))
    self.condition = nn.Dense(4 * self.features, dtype=self.dtype)
    self.drop = layers.Dropout(self.dropout)
    if not self.first:
      self.vertical_out = conv(self.features, (1, 1))
      self.horizontal_out = conv(self.features, (1, 1))

  @property
  def memory(self) -> int:
    """Rows above, and pixels to the left, that a step needs."""
    return self.dilation * ((self.size + 1) // 2 - 1)

  def go_down(self, x, condition, train):
    """The vertical stack: from rows [batch, memory + rows, width, in] -> (out, for the horizontal stack)."""
    side = self.dilation * (self.size // 2)
    y = self.vertical(jnp.pad(x, ((0, 0), (0, 0), (side, side), (0, 0))))
    shift = self.condition(condition)[:, None, None, : 2 * self.features]
    out = self.drop(_gate(y + shift), train)
    return (out if self.first else x[:, self.memory :] + self.vertical_out(out)), self.across(y)

  def go_right(self, x, beside, condition, train):
    """The horizontal stack: from pixels [batch, rows, memory + width, in] and what is above."""
    shift = self.condition(condition)[:, None, None, 2 * self.features :]
    out = self.drop(_gate(self.horizontal(x) + beside + shift), train)
    return out if self.first else x[:, :, self.memory :] + self.horizontal_out(out)

  def __call__(self, down, right, condition, train):
    """Whole images, both stacks."""
    down, beside = self.go_down(jnp.pad(down, ((0, 0), (self.memory, 0), (0, 0), (0, 0))), condition, train)
    right = self.go_right(jnp.pad(right, ((0, 0), (0, 0), (self.memory, 0), (0, 0))), beside, condition, train)
    return down, right


def _gate(x):
  value, gate = jnp.split(x, 2, axis=-1)
  return jnp.tanh(value) * nn.sigmoid(gate)


class PixelCNN(nn.Module):
  """The gated PixelCNN (van den Oord et al. 2016b), whose layers may be dilated, to see further in as many.

  Attributes:
    features: outputs a pixel.
    levels: that a pixel has.
    width: channels of either stack.
    dilations: of the layers behind the first.
    first_size, size: sides of the kernels of the first layer, and of the others.
    num_classes: the image's label is told, one of so many; 0: it is not.
    dropout: rate in the blocks.
    dtype: compute type; outputs are float32.

  Raises:
    UserError: a kernel of an even side.
  """

  features: int
  levels: int
  width: int = 32
  dilations: Sequence[int] = (1, 1, 1, 1)
  first_size: int = 7
  size: int = 3
  num_classes: int = 0
  dropout: float = 0.0
  dtype: jnp.dtype = jnp.float32

  def setup(self):
    for field in ("first_size", "size"):
      if getattr(self, field) % 2 == 0:
        raise UserError(field, getattr(self, field), "the side of a kernel here is odd, so that it has a middle.")
    block = lambda size, dilation, first=False: GatedBlock(
      self.width, size, dilation, first, dropout=self.dropout, dtype=self.dtype
    )
    self.layers = [block(self.first_size, 1, True), *(block(self.size, dilation) for dilation in self.dilations)]
    self.hidden = layers.Conv(2 * self.width, (1, 1), dtype=self.dtype)
    self.output = layers.Conv(self.features, (1, 1), dtype=self.dtype)

  def __call__(self, tokens: Int[Array, "batch height width"], label: Labels = None, train: bool = False):
    """Outputs [batch, height, width, features]."""
    x, condition = self._scaled(tokens), self._condition(label, len(tokens))
    down = jnp.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0)))[:, :-1]
    right = jnp.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]
    for layer in self.layers:
      down, right = layer(down, right, condition, train)
    return self._outputs(right)

  def init_carry(self, batch: int, shape: Sequence[int], label: Labels = None) -> PixelCarry:
    """Before the first pixel of images of `shape`, (height, width)."""
    inputs = [2] + [self.width] * len(self.dilations)
    zeros = lambda *shape: jnp.zeros((batch, *shape), self.dtype)
    return PixelCarry(
      jnp.zeros(batch, jnp.int32),
      zeros(shape[1], 2),
      tuple(zeros(layer.memory, shape[1], width) for layer, width in zip(self.layers, inputs)),
      tuple(zeros(shape[1], 2 * self.width) for _ in self.layers),
      tuple(zeros(layer.memory, width) for layer, width in zip(self.layers, inputs)),
      jnp.zeros(batch, jnp.int32) if label is None else label,
    )

  def step(self, carry: PixelCarry, token: Int[Array, " batch"]) -> tuple[PixelCarry, Float[Array, "batch features"]]:
    """Takes in the pixel before `position` (at the first there is none: what is given is not looked at)."""
    width, rows = carry.row.shape[1], jnp.arange(len(token))
    column, started = carry.position % width, carry.position > 0
    pixel = self._scaled(token) * started[:, None]
    last = (carry.position - 1) % width
    row = carry.row.at[rows, last].set(jnp.where(started[:, None], pixel, carry.row[rows, last]))
    condition = self._condition(carry.label, len(token))
    new = column == 0
    # One branch for all rows of the batch: the vertical stack has work only where one of them begins a row.
    advance = lambda module, carry, row: module._next_row(carry, row, condition)
    stay = lambda module, carry, row: (carry.above, carry.beside)
    above, beside = nn.cond(new.any(), advance, stay, self, carry, row)
    keep = lambda old, fresh: jnp.where(new.reshape(-1, *(1,) * (old.ndim - 1)), fresh, old)
    above, beside = jax.tree.map(keep, (carry.above, carry.beside), (above, beside))
    row = keep(row, jnp.zeros_like(row))
    left, x = [], jnp.where(new[:, None], 0, pixel)
    for layer, memory, aside in zip(self.layers, carry.left, beside):
      window = jnp.concatenate([keep(memory, jnp.zeros_like(memory)), x[:, None]], 1)
      left.append(window[:, 1:])
      x = layer.go_right(window[:, None], aside[rows, column][:, None, None], condition, False)[:, 0, 0]
    outputs = self._outputs(x[:, None, None])[:, 0, 0]
    return PixelCarry(carry.position + 1, row, above, beside, tuple(left), carry.label), outputs

  def _next_row(self, carry: PixelCarry, row, condition):
    """The vertical stack over the row that begins, whose input is the row before."""
    above, beside, x = [], [], row[:, None]
    for layer, memory in zip(self.layers, carry.above):
      window = jnp.concatenate([memory, x], 1)
      above.append(window[:, 1:])
      x, aside = layer.go_down(window, condition, False)
      beside.append(aside[:, 0])
    return tuple(above), tuple(beside)

  def _scaled(self, tokens: Any) -> Float[Array, "*shape 2"]:
    """From -1 to 1, beside a one that tells the image from its border."""
    x = (2 / (self.levels - 1)) * tokens.astype(self.dtype) - 1
    return jnp.stack([x, jnp.ones_like(x)], -1)

  def _condition(self, label: Labels, batch: int) -> Float[Array, "batch classes"]:
    if not self.num_classes:
      return jnp.zeros((batch, 1), self.dtype)
    return jax.nn.one_hot(label, self.num_classes, dtype=self.dtype)

  def _outputs(self, x):
    return self.output(nn.relu(self.hidden(nn.relu(x)))).astype(jnp.float32)
