"""The Transformer (Vaswani et al. 2017): encoder, decoder and both, of layers that one `Style` describes."""

import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research.generation.model import check_length, poisoned
from research.networks import layers
from research.networks.attention import ACTIVATIONS, Attention, KeyValues, Place, Style, Tokens, within
from research.networks.conditioned import sinusoids


class Memory(NamedTuple):
  """What a decoder attends to: an encoder's output [batch, source, feature], and where its tokens stand."""

  tokens: Tokens
  place: Place


@struct.dataclass
class Kept:
  """What one layer keeps while generating: of the tokens so far, and of the memory, if there is one."""

  own: KeyValues
  memory: KeyValues | None


@struct.dataclass
class Carry:
  """What a decoder keeps while generating.

  Attributes:
    layers: a `Kept` of each layer.
    position: int [batch], tokens taken in.
    memory_segments: int [batch, source], of the memory; None where it has none.
  """

  layers: Any
  position: Int[Array, " batch"]
  memory_segments: Int[Array, "batch source"] | None


class Perceptron(nn.Module):
  """f(x W) U, or gated: (f(x W) * x V) U.

  Attributes:
    style: see there.
  """

  style: Style

  @nn.compact
  def __call__(self, x: Tokens) -> Tokens:
    style = self.style
    hidden = (
      style.hidden or (style.features * 8 // 3 + 7) // 8 * 8 if style.gated else style.hidden or 4 * style.features
    )
    dense = functools.partial(layers.Dense, use_bias=style.use_bias, dtype=style.dtype)
    y = dense(hidden * (1 + style.gated), name="up")(x)
    if style.gated:
      y, gate = jnp.split(y, 2, axis=-1)
      y = ACTIVATIONS[style.activation](gate) * y
    else:
      y = ACTIVATIONS[style.activation](y)
    return dense(style.features, name="down")(y)


class Layer(nn.Module):
  """Attention to itself, to a memory where there is one, and a perceptron; each added to what it has read.

  Attributes:
    style: see there.
    causal: of the attention to itself.
    cross: with attention to a memory.
  """

  style: Style
  causal: bool
  cross: bool = False

  def setup(self):
    style = self.style
    self.own = Attention(style, self.causal)
    self.own_norm = normalisation(style)
    if self.cross:
      self.memory, self.memory_norm = Attention(style, False, cross=True), normalisation(style)
    self.perceptron, self.perceptron_norm = Perceptron(style), normalisation(style)
    self.dropout = layers.Dropout(style.dropout)

  def __call__(self, x: Tokens, place: Place, memory: Memory | None, train: bool) -> Tokens:
    """The layer's output, all tokens at once."""
    x = self._branch(x, self.own_norm, lambda y: self.own(y, place), train)
    if self.cross and memory is not None:
      tokens, memory_place = memory.tokens, memory.place
      attend = lambda y: self.memory(y, place, tokens, memory_place)
      x = self._branch(x, self.memory_norm, attend, train)
    return self._branch(x, self.perceptron_norm, self.perceptron, train)

  def keep(self, batch: int, length: int, memory: Memory | None) -> Kept:
    """Room for `length` tokens, and what the layer needs of the memory."""
    kept = self.memory.project_memory(memory.tokens) if self.cross and memory is not None else None
    return Kept(KeyValues.empty(self.style, batch, length), kept)

  def extend(self, x: Tokens, place: Place, write: Int[Array, "batch time"], kept: Kept, memory_segments):
    """The output for some more tokens, and what is kept with them.

    Args:
      x: [batch, time, feature].
      place: whose positions count what the row has already.
      write: where each token's keys are kept; beyond the end: nowhere.
      kept: of this layer.
      memory_segments: as `Carry`.
    """

    def own(y):
      nonlocal kept
      query, new = self.own.project(y, place)
      kept = Kept(kept.own.written(new.keys, new.values, write), kept.memory)
      index = jnp.arange(kept.own.keys.shape[2])
      mask = within(place.positions[:, :, None], index, self.style.window)
      return self.own.attend(query, kept.own, mask, place, Place(jnp.broadcast_to(index, (len(x), len(index)))))

    def memory(y, known: KeyValues):
      query = self.memory._normal(self.memory._heads(self.memory.query(y)), "query")
      mask = None if memory_segments is None else (memory_segments > 0)[:, None]
      return self.memory.attend(query, known, mask, place, None)

    x = self._branch(x, self.own_norm, own, False)
    known = kept.memory
    if known is not None:
      x = self._branch(x, self.memory_norm, lambda y: memory(y, known), False)
    return self._branch(x, self.perceptron_norm, self.perceptron, False), kept

  def _branch(self, x, norm, function, train: bool):
    if self.style.pre_norm:
      return x + self.dropout(function(norm(x)), train)
    return norm(x + self.dropout(function(x), train))


def normalisation(style: Style) -> nn.Module:
  """The normalisation that a style names."""
  if style.norm == "rms":
    return nn.RMSNorm(dtype=style.dtype)
  return nn.LayerNorm(use_bias=style.use_bias, dtype=style.dtype)


class Stack(nn.Module):
  """Layers one after another, and, before a softmax, the last normalisation.

  Attributes:
    style: see there.
    depth: number of layers.
    causal, cross: as `Layer`.
  """

  style: Style
  depth: int
  causal: bool
  cross: bool = False

  def setup(self):
    cls = nn.remat(Layer, static_argnums=(4,)) if self.style.remat else Layer
    if self.style.scan:
      self.layer = cls(self.style, self.causal, self.cross)
    else:
      self.layer = [cls(self.style, self.causal, self.cross) for _ in range(self.depth)]
    if self.style.pre_norm:
      self.norm = normalisation(self.style)

  def __call__(self, x: Tokens, place: Place, memory: Memory | None, train: bool) -> Tokens:
    """All tokens at once."""
    if self.style.scan:
      x, _ = self._scanned(lambda layer, x: (layer(x, place, memory, train), None))(self.layer, x)
    else:
      for layer in self.unrolled:
        x = layer(x, place, memory, train)
    return self.norm(x) if self.style.pre_norm else x

  @property
  def unrolled(self) -> list[Any]:
    """One after another, where they are not scanned."""
    return list(self.layer)  # ty: ignore[invalid-argument-type]

  def keep(self, batch: int, length: int, memory: Memory | None):
    """A `Kept` of each layer; where layers are scanned, one, whose arrays have the layers as their second axis."""
    if self.style.scan:
      return self._scanned(lambda layer, _: (None, layer.keep(batch, length, memory)))(self.layer, None)[1]
    return tuple(layer.keep(batch, length, memory) for layer in self.unrolled)

  def extend(self, x, place: Place, write, kept, memory_segments):
    """The output for some more tokens, and what is kept with them; see `Layer`."""
    if self.style.scan:
      one = lambda layer, x, kept: layer.extend(x, place, write, kept, memory_segments)
      x, kept = self._scanned(one, 1)(self.layer, x, kept)
    else:
      extended = []
      for layer, own in zip(self.unrolled, kept):
        x, own = layer.extend(x, place, write, own, memory_segments)
        extended.append(own)
      kept = tuple(extended)
    return self.norm(x) if self.style.pre_norm else x, kept

  def _scanned(self, function, *in_axes):
    """`function(layer, x, ...)` over the layers: parameters stacked along a first axis, carries along a second."""
    return nn.scan(
      function,
      variable_axes={"params": 0, "intermediates": 0},
      split_rngs={"params": True, "dropout": True},
      in_axes=in_axes,
      out_axes=1,
      length=self.depth,
    )


class Embedding(nn.Module):
  """Tokens as vectors of variance 1, with their positions where those are added; and logits by the same matrix.

  Attributes:
    style: see there.
    vocabulary: number of tokens.
    length: longest sequence, where positions are learned.
    tied: logits are products with the embedding, else with a matrix of their own.
  """

  style: Style
  vocabulary: int
  length: int = 0
  tied: bool = True

  def setup(self):
    style = self.style
    init = nn.initializers.normal(style.features**-0.5)
    self.embed = layers.Embed(self.vocabulary, style.features, embedding_init=init, dtype=style.dtype)
    if style.positions == "learned":
      self.positions = nn.Embed(self.length, style.features, embedding_init=nn.initializers.normal(0.1))
    if not self.tied:
      self.out = layers.Dense(self.vocabulary, use_bias=False, dtype=style.dtype)
    self.dropout = layers.Dropout(style.dropout)

  def __call__(self, tokens: Int[Array, "batch time"], place: Place, train: bool) -> Tokens:
    """Vectors [batch, time, feature]."""
    style = self.style
    x = self.embed(tokens) * style.features**0.5
    if style.positions == "learned":
      x += self.positions(place.positions).astype(style.dtype)
    if style.positions == "sinusoidal":
      x += sinusoids(place.positions.astype(jnp.float32), style.features).astype(style.dtype)
    return self.dropout(x, train)

  def logits(self, x: Tokens) -> Float[Array, "batch time vocabulary"]:
    """float32 logits."""
    return (self.embed.attend(x) if self.tied else self.out(x)).astype(jnp.float32)


class Decoder(nn.Module):
  """A decoder: alone a language model (Radford et al. 2018), with a memory half of a translator.

  `init_carry`, `step` and `prefill` are those of `research.generation.model`.

  Attributes:
    style: see there.
    vocabulary: number of tokens.
    depth: number of layers.
    length: longest sequence where positions are learned; 0 for any.
    tied: as `Embedding`.
    cross: attends to a memory.
  """

  style: Style
  vocabulary: int
  depth: int
  length: int = 0
  tied: bool = True
  cross: bool = False

  def setup(self):
    self.embedding = Embedding(self.style, self.vocabulary, self.length, self.tied)
    self.stack = Stack(self.style, self.depth, True, self.cross)

  def __call__(self, tokens: Int[Array, "batch time"], train: bool, place: Place | None = None, memory=None):
    """Logits [batch, time, vocabulary] of each next token; `place` tells packed sequences apart."""
    place = Place.of(tokens.shape) if place is None else place
    x = self.embedding(tokens, place, train)
    return self.embedding.logits(self.stack(x, place, memory, train))

  def init_carry(self, batch: int, length: int, context: Memory | None = None) -> Carry:
    """Room for `length` tokens a row; the context is a memory, with `batch` rows."""
    if self.style.positions == "learned":
      check_length(length, self.length)
    segments = None if context is None else context.place.segments
    return Carry(self.stack.keep(batch, length, context), jnp.zeros(batch, jnp.int32), segments)

  def extend(self, carry: Carry, tokens: Int[Array, "batch time"], lengths: Int[Array, " batch"]):
    """carry, logits [batch, time, vocabulary] behind each of the first `lengths` tokens; NaN where there is no room."""
    kept = carry.layers if self.style.scan else carry.layers[0]
    room = kept.own.keys.shape[-2]
    time = jnp.arange(tokens.shape[1])
    positions = carry.position[:, None] + time
    write = jnp.where(time < lengths[:, None], positions, room)
    place = Place(positions)
    x, kept = self.stack.extend(self.embedding(tokens, place, False), place, write, carry.layers, carry.memory_segments)
    logits = poisoned(self.embedding.logits(x), carry.position + lengths > room)
    return Carry(kept, carry.position + lengths, carry.memory_segments), logits

  def step(self, carry: Carry, token: Int[Array, " batch"]):
    """carry, logits [batch, vocabulary] of the next token."""
    carry, logits = self.extend(carry, token[:, None], jnp.ones_like(token))
    return carry, logits[:, 0]

  def prefill(self, carry: Carry, tokens: Int[Array, "batch time"], lengths: Int[Array, " batch"]) -> Carry:
    """The carry after the first `lengths` of the tokens."""
    return self.extend(carry, tokens, lengths)[0]


class Encoder(nn.Module):
  """An encoder: every token sees all of its segment.

  Attributes:
    style, vocabulary, depth, length, tied: as `Decoder`.
  """

  style: Style
  vocabulary: int
  depth: int
  length: int = 0
  tied: bool = True

  def setup(self):
    self.embedding = Embedding(self.style, self.vocabulary, self.length, self.tied)
    self.stack = Stack(self.style, self.depth, False)

  def __call__(self, tokens: Int[Array, "batch time"], train: bool, place: Place | None = None) -> Tokens:
    """Vectors [batch, time, feature]."""
    place = Place.of(tokens.shape) if place is None else place
    return self.stack(self.embedding(tokens, place, train), place, None, train)

  def logits(self, x: Tokens) -> Float[Array, "batch time vocabulary"]:
    """Of masked tokens (Devlin et al. 2019)."""
    return self.embedding.logits(x)


class Pretrained(nn.Module):
  """An encoder that fills in what is hidden, its parameters where `TransformerClassifier` has those of its own.

  Attributes:
    style, vocabulary, depth, length, tied: as `Decoder`.
  """

  style: Style
  vocabulary: int
  depth: int
  length: int = 0
  tied: bool = True

  def setup(self):
    self.encoder = Encoder(self.style, self.vocabulary, self.depth, self.length, self.tied)

  def __call__(self, tokens: Int[Array, "batch time"], train: bool) -> Tokens:
    """Vectors [batch, time, feature]."""
    return self.encoder(tokens, train)

  def logits(self, x: Tokens) -> Float[Array, "batch time vocabulary"]:
    """Of hidden tokens."""
    return self.encoder.logits(x)


class EncoderDecoder(nn.Module):
  """A translator: an encoder of the source, and a decoder that attends to it.

  `init_carry`, whose context is `(source, segments)`, `step` and `prefill` are those of `research.generation.model`.

  Attributes:
    style: of both.
    vocabulary: of both, shared: the three matrices are one where `tied` (Vaswani et al. 2017, section 3.4).
    depths: layers of the encoder and of the decoder.
    length: longest sequence where positions are learned.
    tied: as `Embedding`.
  """

  style: Style
  vocabulary: int
  depths: tuple[int, int]
  length: int = 0
  tied: bool = True

  def setup(self):
    style, (encoder, _) = self.style, self.depths
    self.decoder = Decoder(style, self.vocabulary, self.depths[1], self.length, self.tied, cross=True)
    self.encoder = Stack(style, encoder, False)

  def __call__(
    self,
    source: Int[Array, "batch source"],
    target: Int[Array, "batch time"],
    train: bool,
    segments=None,
    place=None,
    positions=None,
  ) -> Float[Array, "batch time vocabulary"]:
    """Logits of each next target token.

    Args:
      source: tokens.
      target: tokens, the one that begins a sentence first.
      train: with dropout.
      segments: int [batch, source], 0 where the source is padding.
      place: of the target; packed pairs have equal segments in both.
      positions: int [batch, source], of the source within its segment; by default counted along the row.
    """
    memory = self.encode(source, train, segments, positions)
    if place is None and segments is not None:
      place = Place.of(target.shape, jnp.ones_like(target))  # a target sees the source's segment 1
    return self.decoder(target, train, place, memory)

  def encode(self, source, train: bool, segments=None, positions=None) -> Memory:
    """The memory of a source."""
    place = Place.of(source.shape, segments, positions)
    return Memory(self.encoder(self.decoder.embedding(source, place, train), place, None, train), place)

  def init_carry(self, batch: int, length: int, context) -> Carry:
    """Room for `length` tokens of the translation of `context`, source and segments [batch, source]."""
    return self.decoder.init_carry(batch, length, self.encode(context[0], False, context[1]))

  def step(self, carry: Carry, token):
    """carry, logits [batch, vocabulary] of the next token."""
    return self.decoder.step(carry, token)

  def prefill(self, carry: Carry, tokens, lengths) -> Carry:
    """The carry after the first `lengths` of the tokens."""
    return self.decoder.prefill(carry, tokens, lengths)


def attention_maps(intermediates, module: str = "") -> list[Float[Array, "batch head time length"]]:
  """Weights of every layer, in order, of a network applied with `mutable=["intermediates"]`.

  Args:
    intermediates: that collection.
    module: only of modules of that name, such as `memory`, what a decoder attends to its memory by.
  """
  weights = jax.tree_util.tree_leaves_with_path(intermediates)
  weights = [item for item in weights if not module or module in [getattr(key, "key", key) for key in item[0]]]
  order = lambda item: [(len(k), k) for k in (str(getattr(p, "key", p)) for p in item[0])]
  leaves = [leaf for _, leaf in sorted(weights, key=order)]
  return [layer for leaf in leaves for layer in (leaf if leaf.ndim == 5 else leaf[None])]  # scanned: all in one


class TransformerClassifier(nn.Module):
  """Classes of sequences of tokens, 0 for padding: the mean of what an encoder makes of them, and a softmax.

  Attributes:
    num_classes: number of logits.
    style, vocabulary, depth, length: as `Encoder`.
  """

  num_classes: int
  style: Style
  vocabulary: int
  depth: int
  length: int = 0

  @nn.compact
  def __call__(self, tokens: Int[Array, "batch time"], train: bool) -> Float[Array, "batch classes"]:
    real = tokens > 0
    place = Place.of(tokens.shape, real.astype(jnp.int32))
    encoder = Encoder(self.style, self.vocabulary, self.depth, self.length, name="encoder")
    y = encoder(tokens, train, place).astype(jnp.float32) * real[:, :, None]
    return nn.Dense(self.num_classes)(y.sum(1) / jnp.maximum(real.sum(1), 1)[:, None])
