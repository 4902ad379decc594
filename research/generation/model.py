"""What generates: a model that is fed one token of every row at a time, and keeps in a carry what it needs of the past.

Every leaf of a carry has the batch as its leading axis, its position included, so that rows may stand at different
places and that reordering rows (beam search) is one gather.  The carry is (h, c) of an LSTM, keys and values of a
Transformer, the last samples of a WaveNet.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research.errors import UserError

Carry = Any  # a tree of arrays [batch, ...]
Variables = Any


class Model(NamedTuple):
  """A model of the next token, as functions of its variables.

  Attributes:
    init_carry: `init_carry(variables, batch, length, context=None) -> carry` with room for `length` tokens a row;
      `context` is what is generated from, such as a source sentence.  Raises UserError where the model cannot hold as
      many.
    step: `step(variables, carry, token) -> carry, logits`: takes in one token of every row, [batch, ...], and predicts
      the next, logits [batch, vocabulary].
    prefill: `prefill(variables, carry, tokens, lengths) -> carry`: takes in the first `lengths` [batch] of `tokens`
      [batch, time, ...] at once.
  """

  init_carry: Callable[..., Carry]
  step: Callable[[Variables, Carry, Array], tuple[Carry, Any]]
  prefill: Callable[[Variables, Carry, Array, Int[Array, " batch"]], Carry]


def model(init_carry: Callable, step: Callable, prefill: Callable | None = None) -> Model:
  """A model whose `prefill`, unless it has one of its own, scans `step`."""
  return Model(init_carry, step, prefill or scanned(step))


def scanned(step: Callable) -> Callable:
  """A `prefill` by `step`, token after token; a row whose prompt has ended keeps its carry."""

  def prefill(variables, carry, tokens, lengths):
    def one(carry, inputs):
      time, token = inputs
      return select_rows(time < lengths, step(variables, carry, token)[0], carry), None

    times = jnp.arange(tokens.shape[1])
    return jax.lax.scan(one, carry, (times, jnp.moveaxis(tokens, 1, 0)))[0]

  return prefill


@struct.dataclass
class Buffer:
  """The carry of a model that has none: the tokens so far, and how many."""

  tokens: Array
  position: Int[Array, " batch"]


def buffered(forward: Callable, limit: int | None = None, token_shape: tuple[int, ...] = (), dtype=jnp.int32) -> Model:
  """A model that computes everything anew for every token: slow, right by construction, and what the others are held
  against.

  Args:
    forward: `forward(variables, tokens [batch, time, ...]) -> logits [batch, time, vocabulary]`, causal.
    limit: longest sequence that it takes; None for any.
    token_shape, dtype: of one token.
  """

  def init_carry(variables, batch, length, context=None):
    del variables, context
    check_length(length, limit)
    return Buffer(jnp.zeros((batch, length, *token_shape), dtype), jnp.zeros(batch, jnp.int32))

  def step(variables, carry, token):
    rows = jnp.arange(len(token))
    tokens = carry.tokens.at[rows, carry.position].set(token, mode="drop")
    logits = forward(variables, tokens)
    full = carry.position >= tokens.shape[1]
    current = jax.tree.map(lambda x: poisoned(x[rows, carry.position], full), logits)
    return Buffer(tokens, carry.position + 1), current

  def prefill(variables, carry, tokens, lengths):
    del variables
    times, rows = jnp.arange(tokens.shape[1]), jnp.arange(len(tokens))[:, None]
    beyond = carry.tokens.shape[1]
    places = jnp.where(times < lengths[:, None], carry.position[:, None] + times, beyond)
    return Buffer(carry.tokens.at[rows, places].set(tokens, mode="drop"), carry.position + lengths)

  return Model(init_carry, step, prefill)


def check_length(length: int, limit: int | None) -> None:
  """Raises UserError where a model of at most `limit` tokens is asked for more."""
  if limit is not None and length > limit:
    raise UserError("length", length, f"the model holds {limit} tokens, prompt included: ask for fewer.")


def poisoned(logits: Float[Array, "batch ..."], full: Array) -> Array:
  """NaN in those rows whose carry was full before this token: never a silent overwrite."""
  return jnp.where(full.reshape(-1, *(1,) * (logits.ndim - 1)), jnp.nan, logits)


def select_rows(condition: Array, new, old):
  """`new` in those rows [batch] where the condition holds, else `old`, leaf by leaf."""
  spread = lambda leaf: condition.reshape(condition.shape + (1,) * (leaf.ndim - 1))
  return jax.tree.map(lambda a, b: jnp.where(spread(a), a, b), new, old)


def take_rows(tree, index: Int[Array, " rows"]):
  """The rows at `index` of every leaf."""
  return jax.tree.map(lambda leaf: jnp.take(leaf, index, axis=0), tree)
