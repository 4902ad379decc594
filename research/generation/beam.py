"""Beam search: the most probable sequences, nearly, with length normalisation (Wu et al. 2016, section 7)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from research.errors import UserError
from research.generation.model import Carry, take_rows

_IMPOSSIBLE = -1e9  # finite: differences of two stay numbers


class Beams(NamedTuple):
  """Sequences, best first.

  Attributes:
    tokens: [batch, beam, length]: the stop token and what comes behind it are `stop`.
    scores: [batch, beam]: log-probability over ((5 + tokens, stop included) / 6) ** alpha.
  """

  tokens: Int[Array, "batch beam length"]
  scores: Float[Array, "batch beam"]


class _State(NamedTuple):
  """Of the search: beams that go on, by log-probability, and those that have stopped, by score."""

  time: Int[Array, ""]
  carry: Carry
  log_probs: Float[Array, "batch beam"]
  tokens: Int[Array, "batch beam length"]
  finished: Beams


def beam_search(
  step: Callable[[Carry, Array], tuple[Carry, Any]],
  carry: Carry,
  first: Int[Array, " batch"],
  length: int,
  *,
  beams: int,
  stop: int | None = None,
  alpha: float = 0.6,
) -> Beams:
  """The `beams` best sequences of every row.

  Of every beam that goes on, all next tokens are weighed.  Those that stop compete by score with the sequences that
  have stopped before; of the others the most probable go on.  The search ends at `length`, or where nothing that goes
  on could still win.  A sequence that has not stopped by then counts only where fewer than `beams` have.

  Args:
    step, carry, first: as `generate`, of [batch] rows; every leaf of the carry is repeated for the beams.
    length: longest sequence.
    beams: kept at each step; at least 1.
    stop: token that ends a sequence; None: all have `length` tokens.
    alpha: strength of the normalisation; 0 for none.

  Raises:
    UserError: fewer than one beam.
  """
  if beams < 1:
    raise UserError("beams", beams, "give 1 or more.")
  batch = len(first)
  carry = take_rows(carry, jnp.repeat(jnp.arange(batch), beams))
  blank = jnp.full((batch, beams, length), 0 if stop is None else stop, jnp.int32)
  alone = jnp.where(jnp.arange(beams) == 0, 0.0, _IMPOSSIBLE)  # at first all beams are the same: one counts
  nothing = Beams(blank, jnp.full((batch, beams), _IMPOSSIBLE))
  state = _State(jnp.zeros((), jnp.int32), carry, jnp.tile(alone, (batch, 1)), blank, nothing)
  penalty = lambda count: ((5 + count) / 6) ** alpha

  def going(state: _State) -> Bool[Array, ""]:
    # Log-probabilities only fall, and no penalty is larger than the last.
    attainable = state.log_probs.max(1) / penalty(length)
    return (state.time < length) & (attainable > state.finished.scores.min(1)).any()

  def advance(state: _State) -> _State:
    previous = state.tokens[:, :, jnp.maximum(state.time - 1, 0)].reshape(-1)
    fed = jnp.where(state.time == 0, jnp.repeat(first, beams), previous)
    carry, logits = step(state.carry, fed)
    logs = jax.nn.log_softmax(logits.astype(jnp.float32)).reshape(batch, beams, -1)
    vocabulary = logs.shape[-1]
    total = (state.log_probs[:, :, None] + logs).reshape(batch, -1)
    # Each beam has one way to stop, so of twice as many candidates at least `beams` go on.
    best, place = jax.lax.top_k(total, min(2 * beams, total.shape[1]))
    beam, token = place // vocabulary, (place % vocabulary).astype(jnp.int32)
    tokens = jnp.take_along_axis(state.tokens, beam[:, :, None], 1).at[:, :, state.time].set(token)
    stopped = jnp.zeros_like(best, bool) if stop is None else token == stop
    scores = jnp.where(stopped, best, _IMPOSSIBLE) / penalty(state.time + 1)
    finished = _best(state.finished, Beams(tokens, scores), beams)
    log_probs, index = jax.lax.top_k(jnp.where(stopped, _IMPOSSIBLE, best), beams)
    rows = (jnp.arange(batch)[:, None] * beams + jnp.take_along_axis(beam, index, 1)).reshape(-1)
    tokens = jnp.take_along_axis(tokens, index[:, :, None], 1)
    return _State(state.time + 1, take_rows(carry, rows), log_probs, tokens, finished)

  state = jax.lax.while_loop(going, advance, state)
  unfinished = Beams(state.tokens, state.log_probs / penalty(state.time))
  few = state.finished.scores <= _IMPOSSIBLE / 2 / penalty(length)
  return _fill(state.finished, few, unfinished)


def _best(one: Beams, other: Beams, count: int) -> Beams:
  """The best `count` of both."""
  scores, index = jax.lax.top_k(jnp.concatenate([one.scores, other.scores], 1), count)
  tokens = jnp.concatenate([one.tokens, other.tokens], 1)
  return Beams(jnp.take_along_axis(tokens, index[:, :, None], 1), scores)


def _fill(finished: Beams, few: Bool[Array, "batch beam"], unfinished: Beams) -> Beams:
  """Those that have stopped, and in the places left over the best of those that have not."""
  index = jnp.maximum(jnp.cumsum(few, 1) - 1, 0)  # the n-th empty place takes the n-th best
  tokens = jnp.take_along_axis(unfinished.tokens, index[:, :, None], 1)
  scores = jnp.take_along_axis(unfinished.scores, index, 1)
  return Beams(jnp.where(few[:, :, None], tokens, finished.tokens), jnp.where(few, scores, finished.scores))
