"""Attention (Vaswani et al. 2017), and how it knows places: rotary, ALiBi; with the variations that are in use.

Masks are of one kind: a token attends to those of its own segment, and, where attention is causal, to those before it.
Padding is a segment of its own, packed sequences are several.
"""

import dataclasses
import math
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from research import target
from research.errors import UserError
from research.networks import layers

Tokens = Float[Array, "batch time feature"]
POSITIONS = ("sinusoidal", "learned", "rotary", "alibi", "none")
_EXCLUDED = -1e30  # finite: a query that may attend to nothing gets a mean, not NaN


@dataclasses.dataclass(frozen=True)
class Style:
  """What the layers of one Transformer have in common; a config's `model` section, by the same names.

  Attributes:
    features: width of the residual stream.
    heads: of queries; divides `features`.
    kv_heads: of keys and values, each shared by heads / kv_heads queries (Ainslie et al. 2023); 0 for as many.
    hidden: width of the perceptron; 0 for 4 features, or two thirds of that where gated, so that as many parameters.
    positions: `sinusoidal`, `learned` (both added to the embedding), `rotary` (Su et al. 2021), `alibi` (Press et al.
      2022) or `none`.
    norm: `layer` or `rms` (Zhang & Sennrich 2019).
    pre_norm: normalise in front of each branch and at the end, rather than behind each sum.
    activation: `relu`, `gelu`, `silu`; `relu2`, its square (So et al. 2021).
    gated: perceptron of the form (f(x W) * x V) U: SwiGLU with silu (Shazeer 2020).
    qk_norm: queries and keys are normalised, RMS, before their product (Henry et al. 2020).
    cap: logits of attention are bounded softly: cap tanh(logits / cap) (Gemma 2, 2024); 0 does not.
    window: causal attention reaches so many tokens, itself included (Beltagy et al. 2020, section 3.1), so that what is
      written is as long as one likes and no distance is larger than those learnt; 0 for all.
    use_bias: of all projections and of the layer norms.
    dropout: rate behind each branch and behind the embedding.
    remat: recompute each layer in the backward pass, to save memory.
    scan: layers are one compiled loop with stacked parameters, to save compilation.
    dtype: compute type; parameters, norms' statistics, softmax and logits are float32.
  """

  features: int = 128
  heads: int = 4
  kv_heads: int = 0
  hidden: int = 0
  positions: str = "rotary"
  norm: str = "rms"
  pre_norm: bool = True
  activation: str = "gelu"
  gated: bool = False
  qk_norm: bool = False
  cap: float = 0.0
  window: int = 0
  use_bias: bool = False
  dropout: float = 0.0
  remat: bool = False
  scan: bool = False
  dtype: jnp.dtype = jnp.float32

  def __post_init__(self):
    if self.features % self.heads or (self.features // self.heads) % 2:
      remedy = f"it must divide the {self.features} features into even sizes."
      raise UserError("config.model.heads", self.heads, remedy)
    if self.heads % (self.kv_heads or self.heads):
      raise UserError("config.model.kv_heads", self.kv_heads, f"it must divide the {self.heads} heads.")
    choices = {"positions": POSITIONS, "norm": ("layer", "rms"), "activation": tuple(ACTIVATIONS)}
    for field, names in choices.items():
      if getattr(self, field) not in names:
        raise UserError(f"config.model.{field}", getattr(self, field), f"choose one of {', '.join(names)}.")

  @property
  def size(self) -> int:
    """Of a head."""
    return self.features // self.heads


ACTIVATIONS = {"relu": nn.relu, "gelu": nn.gelu, "silu": nn.silu, "relu2": lambda x: jnp.square(nn.relu(x))}


class Place(NamedTuple):
  """Where tokens stand.

  Attributes:
    positions: int [batch, time], within their own segment.
    segments: int [batch, time], 0 for padding; None: all are of one.
  """

  positions: Int[Array, "batch time"]
  segments: Int[Array, "batch time"] | None = None

  @classmethod
  def of(cls, shape: tuple[int, ...], segments=None, positions=None) -> "Place":
    """Of tokens [batch, time] in order, unless positions are given."""
    if positions is None:
      positions = jnp.broadcast_to(jnp.arange(shape[1]), shape)
    return cls(positions, segments)


@struct.dataclass
class KeyValues:
  """Keys and values that are kept, [batch, kv_head, length, size]."""

  keys: Float[Array, "batch kv_head length size"]
  values: Float[Array, "batch kv_head length size"]

  @classmethod
  def empty(cls, style: Style, batch: int, length: int) -> "KeyValues":
    """Room for `length` tokens."""
    shape = (batch, style.kv_heads or style.heads, length, style.size)
    return cls(jnp.zeros(shape, style.dtype), jnp.zeros(shape, style.dtype))

  def written(self, keys, values, places: Int[Array, "batch time"]) -> "KeyValues":
    """With new ones [batch, kv_head, time, size] at `places`; those at and beyond the end are dropped."""
    # Indexed by batch and time, an array has these two axes first.
    rows = jnp.arange(len(places))[:, None]
    put = lambda kept, new: kept.at[rows, :, places].set(new.swapaxes(1, 2).astype(kept.dtype), mode="drop")
    return KeyValues(put(self.keys, keys), put(self.values, values))


class Attention(nn.Module):
  """Multi-head attention of tokens to themselves, or to a memory.

  Attributes:
    style: see there.
    causal: to those before alone.
    cross: to a memory [batch, source, feature] rather than to themselves.
  """

  style: Style
  causal: bool = True
  cross: bool = False

  def setup(self):
    style = self.style
    dense = lambda width, **options: layers.Dense(width, use_bias=style.use_bias, dtype=style.dtype, **options)
    queries, kept = style.features, 2 * (style.kv_heads or style.heads) * style.size
    if self.cross:
      self.query, self.key_value = dense(queries), dense(kept)
    else:
      self.query_key_value = dense(queries + kept)
    self.out = dense(style.features)
    if style.qk_norm:
      self.query_norm, self.key_norm = nn.RMSNorm(dtype=style.dtype), nn.RMSNorm(dtype=style.dtype)

  def __call__(
    self, x: Tokens, place: Place, memory: Tokens | None = None, memory_place: Place | None = None
  ) -> Tokens:
    """What is attended to, in full."""
    query, keys_values = self.project(x, place, memory)
    key_place = place if memory_place is None else memory_place
    mask = visible(place, key_place, self.causal, self.style.window)
    return self.attend(query, keys_values, mask, place, key_place)

  def project(self, x, place: Place, memory: Any = None) -> tuple[Array, KeyValues]:
    """Queries [batch, head, time, size], and the keys and values of x, or of the memory."""
    if self.cross:
      query = self._heads(self.query(x))
      return self._normal(query, "query"), self.project_memory(memory)
    style = self.style
    query, kept = jnp.split(self.query_key_value(x), [style.features], axis=-1)
    query = self._normal(self._heads(query), "query")
    own = self._kept(kept)
    if style.positions == "rotary":
      query, keys = rotary(query, place.positions), rotary(own.keys, place.positions)
      own = KeyValues(keys, own.values)
    return query, own

  def project_memory(self, memory: Tokens) -> KeyValues:
    """Keys and values of a memory."""
    return self._kept(self.key_value(memory))

  def attend(self, query, kept: KeyValues, mask, place: Place, key_place: Place | None) -> Tokens:
    """Outputs [batch, time, feature] of queries over what is kept.

    Args:
      query: [batch, head, time, size].
      kept: keys and values.
      mask: bool [batch or 1, time, length], which of them each may see; None for all.
      place, key_place: of queries and keys, for ALiBi.
    """
    style = self.style
    bias = None
    if style.positions == "alibi" and key_place is not None and not self.cross:
      distance = place.positions[:, :, None] - key_place.positions[:, None]
      bias = -alibi_slopes(style.heads)[:, None, None] * jnp.abs(distance)[:, None]
    weights_wanted = self.is_mutable_collection("intermediates")
    if target.platform() == "gpu" and not style.cap and not weights_wanted:
      y = _library(query, kept, mask, bias)
    else:
      weights = attention_weights(query, kept.keys, mask, bias, style.cap)
      self.sow("intermediates", "attention", weights)
      groups = weights.reshape(len(weights), kept.values.shape[1], -1, weights.shape[-1])
      y = (groups.astype(kept.values.dtype) @ kept.values).reshape(query.shape).swapaxes(1, 2)
    return self.out(y.reshape(*y.shape[:2], -1))

  def _heads(self, x):
    """[batch, time, head * size] with the heads beside the batch: what follows are plain matrix products."""
    return x.reshape(*x.shape[:2], -1, self.style.size).swapaxes(1, 2)

  def _kept(self, x) -> KeyValues:
    keys, values = jnp.split(x, 2, axis=-1)
    return KeyValues(self._normal(self._heads(keys), "key"), self._heads(values))

  def _normal(self, x, which: str):
    return getattr(self, f"{which}_norm")(x) if self.style.qk_norm else x


def visible(place: Place, key_place: Place, causal: bool, window: int = 0) -> Bool[Array, "rows time length"] | None:
  """Which keys each query may see: those of its segment, and none behind it in the row where attention is causal.

  Both are of one row of tokens where attention is causal.  None: all.
  """
  mask = None
  if causal:
    time = jnp.arange(place.positions.shape[1])
    mask = within(time[:, None], time, window)[None]
  if place.segments is not None and key_place.segments is not None:
    same = place.segments[:, :, None] == key_place.segments[:, None]
    mask = same if mask is None else mask & same
  return mask


def within(time: Int[Array, "*time 1"], key_time: Int[Array, " length"], window: int) -> Bool[Array, "*time length"]:
  """Which keys causal attention reaches: those until then, of a window the last so many."""
  mask = time >= key_time
  return mask & (time - key_time < window) if window else mask


def attention_weights(query, keys, mask, bias, cap: float) -> Float[Array, "batch head time length"]:
  """softmax(q k / sqrt(size)), float32 (Vaswani et al. 2017, equation 1)."""
  batch, heads, time, size = query.shape
  grouped = query.reshape(batch, keys.shape[1], -1, size)  # queries of one group follow one another
  logits = (grouped @ keys.mT).astype(jnp.float32).reshape(batch, heads, time, -1) / math.sqrt(size)
  if cap:
    logits = cap * jnp.tanh(logits / cap)
  if bias is not None:
    logits += bias
  if mask is not None:
    logits = jnp.where(mask[:, None], logits, _EXCLUDED)
  return jax.nn.softmax(logits)


def _library(query, kept: KeyValues, mask, bias):
  """The same by `jax.nn.dot_product_attention`, [batch, time, head, size]: cuDNN's flash attention in 16 bits."""
  half = query.dtype in (jnp.bfloat16, jnp.float16)
  spread = lambda x: x.swapaxes(1, 2)
  return jax.nn.dot_product_attention(
    spread(query),
    spread(kept.keys),
    spread(kept.values),
    bias=None if bias is None else bias.astype(query.dtype),
    mask=None if mask is None else mask[:, None],
    implementation="cudnn" if half else "xla",
  )


def rotary(x: Float[Array, "batch head time size"], positions: Int[Array, "batch time"], base: float = 10_000.0):
  """Each pair (x_i, x_{i + size/2}) turned by position * base^(-2i/size) (Su et al. 2021, equation 34).

  So the product of a query and a key depends on their distance alone.
  """
  half = x.shape[-1] // 2
  angles = positions[:, None, :, None] * base ** (-jnp.arange(half) / half)
  cos, sin = jnp.cos(angles).astype(x.dtype), jnp.sin(angles).astype(x.dtype)
  a, b = x[..., :half], x[..., half:]
  return jnp.concatenate([a * cos - b * sin, a * sin + b * cos], axis=-1)


def alibi_slopes(heads: int) -> Float[Array, " head"]:
  """2^(-8 i / heads), i = 1 to heads (Press et al. 2022, section 3)."""
  return 2.0 ** (-8 * jnp.arange(1, heads + 1) / heads)
