"""Token after token: in a scan, or, where a token ends a row, for as long as a row goes on."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from research import randomness
from research.errors import UserError
from research.generation.choosing import Choose, greedy, log_probability
from research.generation.model import Carry, Model


class _State(NamedTuple):
  """Of the loop: what goes on, and what has been written."""

  time: Int[Array, ""]
  carry: Carry
  token: Array
  seen: Bool[Array, "batch vocabulary"] | None
  going: Bool[Array, " batch"]
  tokens: Array
  log_probs: Float[Array, "batch length"]


def generate(
  step: Callable[[Carry, Array], tuple[Carry, Any]],
  carry: Carry,
  first: Array,
  key: Key[Array, "*batch"],
  length: int,
  *,
  choose: Choose = greedy,
  log_prob: Callable[[Any, Array], Float[Array, " batch"]] = log_probability,
  forced: Array | None = None,
  forced_mask: Bool[Array, "batch length"] | None = None,
  stop: int | None = None,
  seen: Bool[Array, "batch vocabulary"] | None = None,
) -> tuple[Array, Float[Array, "batch length"], Carry]:
  """`length` tokens for every row.

  Args:
    step: `step(carry, token) -> carry, logits`.
    carry: with everything before `first` taken in, and with room for `length` more.
    first: [batch, ...]: the last token of the prompt, or the one that begins every sequence; not returned.
    key: one for all rows, from which each has its own by its place in the global batch; or one a row [batch].  Token t
      of a row is drawn by `fold_in(row key, t)`: it does not depend on the batch that the row is in.
    length: tokens to generate.
    choose: `choose(keys, logits, seen) -> token`: see `choosing`.
    log_prob: `log_prob(logits, token)` [batch], by default of a categorical distribution.
    forced, forced_mask: [batch, length, ...] and [batch, length]: tokens taken in place of the chosen where the mask is
      true.  Their log-probabilities are returned as those of the others.
    stop: token that ends a row.  Behind it there are only `stop` tokens, of log-probability 0, and once all rows have
      ended the loop does.  None: all go on to the end, in a scan.
    seen: which tokens a repetition penalty counts as used at the start; updated.

  Returns:
    tokens [batch, length, ...]; float32 log p of each under the logits as the model gave them, whatever `choose` did
    to them; and the carry, which holds all tokens but the last.  Of a row that has stopped the carry is of no use.
  """
  if (forced is None) != (forced_mask is None):
    raise UserError("forced_mask", forced_mask, "forced tokens and their mask come together.")
  batch = len(first)
  keys = key if key.ndim else randomness.example_keys(key, batch)
  tokens = jnp.full((batch, length, *first.shape[1:]), 0 if stop is None else stop, first.dtype)
  state = _State(
    jnp.zeros((), jnp.int32), carry, first, seen, jnp.ones(batch, bool), tokens, jnp.zeros((batch, length))
  )

  def advance(state: _State) -> _State:
    time = state.time
    carry, logits = step(state.carry, state.token)
    token = choose(jax.vmap(jax.random.fold_in, (0, None))(keys, time), logits, state.seen).astype(first.dtype)
    if forced is not None and forced_mask is not None:
      token = jnp.where(_spread(forced_mask[:, time], token), forced[:, time].astype(token.dtype), token)
    chosen, going = log_prob(logits, token), state.going
    if stop is not None:
      token, chosen = jnp.where(going, token, stop), jnp.where(going, chosen, 0)
      going &= token != stop
    seen = None if state.seen is None else state.seen.at[jnp.arange(batch), token].set(True)
    written = state.tokens.at[:, time].set(token), state.log_probs.at[:, time].set(chosen)
    return _State(time + 1, carry, token, seen, going, *written)

  if stop is None:
    state = jax.lax.scan(lambda state, _: (advance(state), None), state, length=length)[0]
  else:
    state = jax.lax.while_loop(lambda state: (state.time < length) & state.going.any(), advance, state)
  return state.tokens, state.log_probs, state.carry


def _spread(mask: Array, like: Array) -> Array:
  return mask.reshape(mask.shape + (1,) * (like.ndim - mask.ndim))


class Continuations(NamedTuple):
  """What was generated behind each prompt, the stop token left out.

  Attributes:
    tokens: of every prompt, int [at most length].
    log_probs: of every prompt, float32, one for each of `tokens` and for the stop token where there is one.
  """

  tokens: list[np.ndarray]
  log_probs: list[np.ndarray]


def continuer(
  model: Model, choose: Choose = greedy, *, stop: int | None = None, vocabulary: int = 0
) -> Callable[..., Continuations]:
  """`continue_(variables, prompts, key, length, context=None)`: what follows prompts of any lengths.

  Compiled once for each number of prompts and bucket of lengths (eight between two powers of two), the variables being
  arguments: keep it.  A row's continuation does not depend on the prompts beside it, only on its place.

  Args:
    model: with its variables apart.
    choose: see `choosing`.
    stop: as `generate`.
    vocabulary: number of tokens, where `choose` has a repetition penalty: the prompt's tokens then count as seen.
  """

  @functools.partial(jax.jit, static_argnums=(5, 6))
  def run(variables, tokens, lengths, key, context, length, room):
    # The last token of a prompt is the first that is fed; what comes before it is taken in at once.
    batch, rows = len(tokens), jnp.arange(len(tokens))
    carry = model.init_carry(variables, batch, room, context)
    carry = model.prefill(variables, carry, tokens, lengths - 1)
    seen = None
    if vocabulary:
      real = jnp.arange(tokens.shape[1]) < lengths[:, None]
      seen = jnp.zeros((batch, vocabulary), bool).at[rows[:, None], jnp.where(real, tokens, vocabulary)].set(True)
    step = lambda carry, token: model.step(variables, carry, token)
    first = tokens[rows, lengths - 1]
    return generate(step, carry, first, key, length, choose=choose, stop=stop, seen=seen)[:2]

  def continue_(
    variables, prompts: Sequence[np.ndarray], key: Key[Array, "*batch"], length: int, context=None
  ) -> Continuations:
    lengths = np.array([len(prompt) for prompt in prompts], np.int32)
    if not len(lengths) or not lengths.all():
      raise UserError("prompt", "", "give at least one token to go on from.")
    width, bucket = _bucket(int(lengths.max())), _bucket(length)
    tokens = np.zeros((len(prompts), width), np.int32)
    for row, prompt in zip(tokens, prompts):
      row[: len(prompt)] = prompt
    # What is asked for must fit; the bucket, if it does not, is cut to what fits.
    need, room = int(lengths.max()) - 1 + length, width - 1 + bucket
    try:
      jax.eval_shape(lambda v: model.init_carry(v, len(prompts), room, context), variables)
    except UserError:
      width, bucket, room, tokens = int(lengths.max()), length, need, tokens[:, : lengths.max()]
    generated = jax.device_get(run(variables, tokens, lengths, key, context, bucket, room))
    return _cut(*generated, length, stop)

  return continue_


def _bucket(size: int) -> int:
  """The next of eight lengths between two powers of two, 8 at least: few programs, an eighth at most in vain."""
  grain = max(8, (1 << (size - 1).bit_length()) // 16)
  return -(-size // grain) * grain


def _cut(tokens, log_probs, length: int, stop: int | None) -> Continuations:
  cut_tokens, cut_logs = [], []
  for row, logs in zip(tokens[:, :length], log_probs[:, :length]):
    ends = np.flatnonzero(row == stop) if stop is not None else np.empty(0, int)
    end = int(ends[0]) if len(ends) else length
    cut_tokens.append(row[:end])
    cut_logs.append(logs[: end + 1])
  return Continuations(cut_tokens, cut_logs)
