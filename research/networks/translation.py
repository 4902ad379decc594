"""A recurrent translator with attention: Bahdanau et al. 2015; attention behind the decoder, as Luong et al. 2015.

The decoder does not wait for what it attended to (no input feeding), so that in training all of its steps are one scan,
and all attention is one product.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research.networks import layers
from research.networks.recurrent import LockedDropout, Recurrent, State

_EXCLUDED = -1e30


@struct.dataclass
class Memory:
  """What the decoder attends to, and where the source is."""

  tokens: Float[Array, "batch source feature"]
  real: Int[Array, "batch source"]


@struct.dataclass
class Carry:
  """What is kept while generating: the decoder's states and the memory."""

  states: tuple[State, ...]
  memory: Memory


class RecurrentTranslator(nn.Module):
  """An encoder in both directions, and a decoder that begins where it ends and attends to all of it.

  `init_carry`, whose context is `(source, segments)`, `step` and `prefill` are those of `research.generation.model`.

  Attributes:
    vocabulary: of both languages, shared.
    encoder: bidirectional layers.
    decoder: layers in one direction.
    embedding: size of a token's vector, which is the softmax's kernel too.
  """

  vocabulary: int
  encoder: Recurrent
  decoder: Recurrent
  embedding: int

  def setup(self):
    init = nn.initializers.normal(self.embedding**-0.5)
    self.embed = layers.Embed(self.vocabulary, self.embedding, embedding_init=init)
    dtype = self.decoder.dtype
    self.starts = [nn.Dense(self.decoder.features, dtype=dtype) for _ in self.decoder.zero_state(1) for _ in range(2)]
    self.keys = layers.Dense(self.decoder.features, dtype=dtype)
    self.combine = layers.Dense(self.embedding, dtype=dtype)
    self.dropout = LockedDropout(self.decoder.dropout)

  def __call__(
    self,
    source: Int[Array, "batch source"],
    target: Int[Array, "batch time"],
    train: bool,
    segments: Int[Array, "batch source"] | None = None,
  ) -> Float[Array, "batch time vocabulary"]:
    """Logits of each next target token; `segments` are 0 where the source is padding."""
    memory, states = self.encode(source, train, segments)
    return self._decode(target, train, memory, states)[0]

  def encode(self, source, train: bool, segments=None) -> tuple[Memory, tuple[State, ...]]:
    """The memory of a source, and the states that the decoder begins with."""
    real = jnp.ones_like(source) if segments is None else jnp.minimum(segments, 1)
    y, ends = self.encoder(self._embedded(source), train, None, real.sum(1))
    last = jnp.concatenate([end[0] for end in ends[-2:]], -1)
    starts = [jnp.tanh(start(last)).astype(jnp.float32) for start in self.starts]
    zero = self.decoder.zero_state(len(source))
    states = tuple(tuple(starts[2 * i : 2 * i + len(state)]) for i, state in enumerate(zero))
    return Memory(y, real), states

  def _embedded(self, tokens):
    return self.embed(tokens) * self.embedding**0.5

  def _decode(self, target, train: bool, memory: Memory, states):
    y, states = self.decoder(self._embedded(target), train, states)
    logits = (y @ self.keys(memory.tokens).mT).astype(jnp.float32) / self.decoder.features**0.5
    weights = jax.nn.softmax(jnp.where(memory.real[:, None] > 0, logits, _EXCLUDED))
    self.sow("intermediates", "attention", weights[:, None])
    attended = weights.astype(y.dtype) @ memory.tokens
    combined = self.dropout(jnp.tanh(self.combine(jnp.concatenate([attended, y], -1))), train)
    return self.embed.attend(combined).astype(jnp.float32), states

  def init_carry(self, batch: int, length: int, context) -> Carry:
    """The carry in front of a translation of `context`, source and segments [batch, source]; of any length."""
    del batch, length
    memory, states = self.encode(context[0], False, context[1])
    return Carry(states, memory)

  def step(self, carry: Carry, token: Int[Array, " batch"]):
    """carry, logits [batch, vocabulary] of the next token."""
    logits, states = self._decode(token[:, None], False, carry.memory, carry.states)
    return Carry(states, carry.memory), logits[:, 0]

  def prefill(self, carry: Carry, tokens: Int[Array, "batch time"], lengths: Int[Array, " batch"]) -> Carry:
    """The carry after the first `lengths` of the tokens."""
    states = self.decoder(self._embedded(tokens), False, carry.states, lengths)[1]
    return Carry(states, carry.memory)
