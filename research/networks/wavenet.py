"""WaveNet: dilated causal convolutions over a waveform, and their ring buffers (van den Oord et al. 2016c).

`(tokens, label, train) -> outputs [batch, time, features]`; tokens are int32 levels [batch, time].  The output at t is
a function of the tokens before t.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research.networks import layers

Labels = Int[Array, " batch"] | None


@struct.dataclass
class WaveCarry:
  """What generation keeps: of each layer as many inputs as its dilation, whatever the length.

  Attributes:
    position: samples taken in so far.
    rings: of each layer, [batch, dilation, width]; input t lies at t modulo the dilation.
    label: of each row; zeros where nothing is conditioned on.
  """

  position: Int[Array, " batch"]
  rings: tuple[Float[Array, "batch dilation width"], ...]
  label: Int[Array, " batch"]


class DilatedBlock(nn.Module):
  """A gated convolution of two taps, `dilation` apart (equation 2), with a residual and a skip connection.

  Attributes:
    width: channels of the residual.
    skip: channels of the skip connection.
    dtype: compute type.
  """

  width: int
  skip: int
  dtype: jnp.dtype = jnp.float32

  @nn.compact
  def __call__(self, past, x, condition):
    """From the input `dilation` ago and the present one [batch, ..., width]: (the next input, skip)."""
    y = layers.Dense(2 * self.width, dtype=self.dtype)(jnp.concatenate([past, x], -1))
    shift = layers.Dense(2 * self.width, use_bias=False, dtype=self.dtype)(condition)
    value, gate = jnp.split(y + shift.reshape(len(x), *(1,) * (x.ndim - 2), -1), 2, axis=-1)
    out = layers.Dense(self.width + self.skip, dtype=self.dtype)(jnp.tanh(value) * nn.sigmoid(gate))
    return x + out[..., : self.width], out[..., self.width :]


class WaveNet(nn.Module):
  """The network of section 2, conditioned on a label for the whole of a sound (section 2.5).

  Attributes:
    features: outputs a sample.
    levels: that a sample has.
    dilations: of the blocks.
    width: channels of the residuals.
    skip: channels of the skip connections, and of the layers behind them.
    num_classes: 0 for no label.
    dtype: compute type; outputs are float32.
  """

  features: int
  levels: int
  dilations: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256)
  width: int = 32
  skip: int = 64
  num_classes: int = 0
  dtype: jnp.dtype = jnp.float32

  def setup(self):
    self.embedding = nn.Embed(self.levels + 1, self.width, dtype=self.dtype)
    self.blocks = [DilatedBlock(self.width, self.skip, self.dtype) for _ in self.dilations]
    self.hidden = layers.Dense(self.skip, dtype=self.dtype)
    self.output = layers.logits_layer(self.features)

  def __call__(self, tokens: Int[Array, "batch time"], label: Labels = None, train: bool = False):
    """Outputs [batch, time, features]."""
    del train  # nothing in it differs between training and use
    before = jnp.pad(tokens, ((0, 0), (1, 0)), constant_values=self.levels)[:, :-1]
    x, total, condition = self.embedding(before), 0.0, self._condition(label, len(tokens))
    for dilation, block in zip(self.dilations, self.blocks):
      past = jnp.pad(x, ((0, 0), (dilation, 0), (0, 0)))[:, : x.shape[1]]
      x, skip = block(past, x, condition)
      total += skip
    return self._outputs(total)

  def init_carry(self, batch: int, label: Labels = None) -> WaveCarry:
    """Before the first sample."""
    rings = tuple(jnp.zeros((batch, dilation, self.width), self.dtype) for dilation in self.dilations)
    return WaveCarry(jnp.zeros(batch, jnp.int32), rings, jnp.zeros(batch, jnp.int32) if label is None else label)

  def step(self, carry: WaveCarry, token: Int[Array, " batch"]) -> tuple[WaveCarry, Float[Array, "batch features"]]:
    """Takes in the sample before `position` (at the first there is none: what is given is not looked at)."""
    rows, condition = jnp.arange(len(token)), self._condition(carry.label, len(token))
    x, total, rings = self.embedding(jnp.where(carry.position > 0, token, self.levels)), 0.0, []
    for dilation, block, ring in zip(self.dilations, self.blocks, carry.rings):
      place = carry.position % dilation
      rings.append(ring.at[rows, place].set(x))
      x, skip = block(ring[rows, place], x, condition)
      total += skip
    return WaveCarry(carry.position + 1, tuple(rings), carry.label), self._outputs(total)

  def _condition(self, label: Labels, batch: int):
    if not self.num_classes:
      return jnp.zeros((batch, 1), self.dtype)
    return jax.nn.one_hot(label, self.num_classes, dtype=self.dtype)

  def _outputs(self, x):
    return self.output(nn.relu(self.hidden(nn.relu(x))))
