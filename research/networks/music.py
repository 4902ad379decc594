"""A network of chords: each time step given those before it, and each key given the keys below it.

RNN-NADE (Boulanger-Lewandowski et al. 2012): a recurrent network sets the biases of a neural autoregressive density
estimator of the frame (Larochelle & Murray 2011, equations 4 to 6).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research.networks import layers
from research.networks.recurrent import Recurrent

Frames = Float[Array, "batch time key"]


class RecurrentNade(nn.Module):
  """Logits of every key of every frame.

  Attributes:
    recurrent: the layers, in one direction.
    keys: of a frame.
    hidden: units of the estimator within a frame.
  """

  recurrent: Recurrent
  keys: int
  hidden: int

  def setup(self):
    init = nn.initializers.normal(0.05)
    self.into = self.param("into", init, (self.keys, self.hidden))
    self.out = self.param("out", init, (self.keys, self.hidden))
    self.hidden_bias, self.key_bias = layers.Dense(self.hidden), layers.Dense(self.keys)

  def __call__(self, frames: Frames, train: bool) -> Frames:
    """Logits [batch, time, key]: those of a key see the frames before, and of its own the keys below it alone."""
    before = jnp.pad(frames, ((0, 0), (1, 0), (0, 0)))[:, :-1]
    y, _ = self.recurrent(before, train)
    terms = frames[..., None] * self.into
    below = jnp.cumsum(terms, 2) - terms
    units = nn.relu(self.hidden_bias(y)[:, :, None] + below)
    return (units * self.out).sum(-1) + self.key_bias(y)

  def init_carry(self, batch: int, length: int = 0, context=None):
    """The carry before the first frame; of any length."""
    del length, context
    return self.recurrent.zero_state(batch)

  def step(self, carry, frame: Float[Array, "batch key"]):
    """carry, and what the next frame's keys are drawn by: biases of hidden units and of keys."""
    y, carry = self.recurrent(frame[:, None], False, carry)
    return carry, (self.hidden_bias(y[:, 0]), self.key_bias(y[:, 0]))

  def draw(self, biases, keys: Key[Array, " batch"], temperature: float) -> Int[Array, "batch key"]:
    """A frame, key after key from the lowest."""

    def one(units, at):
      into, out, bias, place = at
      logit = (nn.relu(units) * out).sum(-1) + bias
      uniform = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, place)))(keys)
      bit = (uniform < jax.nn.sigmoid(logit / temperature)).astype(jnp.float32)
      return units + bit[:, None] * into, bit

    units, key_bias = biases
    _, bits = jax.lax.scan(one, units, (self.into, self.out, key_bias.T, jnp.arange(self.keys)))
    return bits.T.astype(jnp.int32)
