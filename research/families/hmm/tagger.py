"""A part-of-speech tagger: a second-order hidden Markov model whose states are known in training (Brants 2000, TnT).

Training counts; tagging is Viterbi over pairs of tags.  Of every word only the tags that it can have are tried, so that
the search is exact, and small however many tags there are.

A batch has `inputs` int [batch, time], symbols of a `lexicon.Lexicon`, `length` int [batch], `mask` [batch] over
sentences, and `states` int [batch, time], the tags; -1 for one that training has not.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research.families.hmm.lexicon import Lexicon
from research.metrics import Mean

Params = Mapping[str, Any]
Statistics = Mapping[str, Float[Array, "..."]]

DEFINITIONS = {
  "accuracy": "share of tokens that get their tag, of the whole tag set",
  "accuracy_base": "share of tokens whose tag is right but for FW-, -TL, -HL and -NC, by the same tagger",
  "accuracy_known": "share of tokens that get their tag, of words that training has",
  "accuracy_unknown": "share of tokens that get their tag, of words that training has not",
  "unknown": "share of tokens that are words that training has not",
}
_IMPOSSIBLE = -1e30  # stands for log 0, so that no difference is infinity less infinity


class Tagger(NamedTuple):
  """The functions of a tagger.

  `params` are `interpolation` [3], the weights of unigrams, bigrams and trigrams; `bigram` [tag, tag], what the first
  two say of p(t_3 | t_1, t_2), and `trigram` [row, tag], what the third adds (`Lexicon.context` has the rows); and for
  each symbol the tags that it can have, `tags` [symbol, slot], -1 for none, and `scores` [symbol, slot], log p(symbol |
  tag) but for a constant of the symbol, 0 for none.

  Attributes:
    init: `init(key, batch) -> params`, of no counts.
    count: `count(params, batch, key) -> (statistics, metrics)`: how often words meet tags, and tags other tags.
    maximise: `maximise(params, statistics) -> params`.
    evaluate: `evaluate(params, batch) -> metrics`.
    decode: `decode(params, batch) -> tags [batch, time]`, -1 at padding.
  """

  init: Callable[..., Params]
  count: Callable[..., tuple[Statistics, dict[str, Mean]]]
  maximise: Callable[..., Params]
  evaluate: Callable[..., dict[str, Mean]]
  decode: Callable[..., Int[Array, "batch time"]]


def tagger(lexicon: Lexicon, base: Int[np.ndarray, " tag"], *, strength: float = 10.0, rare: int = 10) -> Tagger:
  """TnT with the vocabulary given.

  Args:
    lexicon: words, tags, classes of unknown words.
    base: for each tag the number of its simplified tag, for `accuracy_base`.
    strength: how many tokens the distribution of a shorter suffix weighs, when that of a longer one is estimated.
    rare: words that occur so often or less teach about unknown ones.
  """
  words, rows, boundary = len(lexicon.words), len(lexicon.second), len(lexicon.tags)
  word_tags, context = jnp.asarray(lexicon.word_tags), jnp.asarray(lexicon.context)

  def count(params, batch, key):
    del params, key
    valid = _valid(batch) & (batch["mask"] > 0)[:, None]
    symbols, tags = batch["inputs"], jnp.where(valid, batch["states"], boundary)
    match = jnp.take(word_tags, symbols, axis=0, mode="fill", fill_value=-2) == tags[..., None]
    lexical = jnp.zeros(word_tags.shape).at[symbols].add(match & valid[..., None], mode="drop")
    # Each sentence is preceded by two boundaries and followed by one.
    padded = jnp.pad(tags, ((0, 0), (2, 1)), constant_values=boundary)
    row = context[padded[:, :-2], padded[:, 1:-1]]
    real = (jnp.arange(row.shape[1]) <= batch["length"][:, None]) & (batch["mask"] > 0)[:, None]
    # An index out of bounds is dropped; -1 would be the last one.
    row = jnp.where(real & (row >= 0), row, rows)
    sequential = jnp.zeros((rows, boundary + 1)).at[row, padded[:, 2:]].add(1, mode="drop")
    return {"lexical": lexical, "sequential": sequential}, {}

  def maximise(params, statistics):
    del params
    interpolation, bigram, trigram = _transitions(statistics["sequential"], jnp.asarray(lexicon.second))
    frequency = bigram.sum(0)[:-1]
    tags, scores = _unknown(lexicon, statistics["lexical"], frequency, strength, rare)
    seen = statistics["lexical"] > 0
    known = jnp.where(seen, jnp.log(statistics["lexical"]) - jnp.log(frequency)[word_tags], 0)
    end = jnp.full((1, tags.shape[1]), -1).at[0, 0].set(boundary)
    lambdas = interpolation[:, None, None]
    ratio = lambda counts: counts / jnp.maximum(counts.sum(-1, keepdims=True), 1)
    unigram = ratio(bigram.sum(0))
    return {
      "interpolation": interpolation,
      "bigram": lambdas[0] * unigram + lambdas[1] * ratio(bigram),
      "trigram": lambdas[2] * jnp.pad(ratio(trigram), ((0, 1), (0, 0))),
      "tags": jnp.concatenate([jnp.where(seen, word_tags, -1), tags, end]),
      "scores": jnp.concatenate([known, scores, jnp.zeros(end.shape)]),
    }

  def init(key, batch):
    del key, batch
    nothing = {"lexical": jnp.zeros(word_tags.shape), "sequential": jnp.zeros((rows, boundary + 1))}
    return maximise({}, jax.lax.optimization_barrier(nothing))  # lest XLA computes it all while it compiles

  def decode(params, batch):
    return _viterbi(params, context, batch["inputs"], batch["length"])

  def evaluate(params, batch):
    tags, valid = decode(params, batch), _valid(batch) & (batch["mask"] > 0)[:, None]
    right = (tags == batch["states"]) & valid
    groups = jnp.asarray(base)
    right_base = (groups[tags] == jnp.where(batch["states"] >= 0, groups[batch["states"]], -1)) & valid
    known = (batch["inputs"] < words) & valid
    share = lambda hits, among: Mean(hits.sum().astype(jnp.float32), among.sum().astype(jnp.float32))
    return {
      "accuracy": share(right, valid),
      "accuracy_base": share(right_base, valid),
      "accuracy_known": share(right & known, known),
      "accuracy_unknown": share(right & ~known, valid & ~known),
      "unknown": share(valid & ~known, valid),
    }

  return Tagger(init, count, maximise, evaluate, decode)


def _valid(batch):
  return jnp.arange(batch["inputs"].shape[1]) < batch["length"][:, None]


def _transitions(trigram: Float[Array, "row tag"], second: Int[Array, " row"]):
  """Interpolation weights, bigram counts and trigram counts.

  Deleted interpolation (Brants 2000, fig. 1): every trigram votes, as often as it occurs, for the order that would
  predict it best if it had occurred once less.
  """
  tags = trigram.shape[1]
  bigram = jnp.zeros((tags, tags)).at[second].add(trigram)
  unigram = bigram.sum(0)
  left = lambda counts, total: jnp.where(total > 1, (counts - 1) / jnp.maximum(total - 1, 1), 0)
  predicted = jnp.stack(
    [
      jnp.broadcast_to(left(unigram, unigram.sum()), trigram.shape),
      left(bigram, bigram.sum(1, keepdims=True))[second],
      left(trigram, trigram.sum(1, keepdims=True)),
    ]
  )
  best = 2 - jnp.argmax(predicted[::-1], axis=0)  # the highest order where several are best
  votes = jnp.stack([jnp.where(best == order, trigram, 0).sum() for order in range(3)])
  return votes / jnp.maximum(votes.sum(), 1), bigram, trigram


def _unknown(lexicon: Lexicon, lexical: Float[Array, "word slot"], frequency: Float[Array, " tag"], strength, rare):
  """For each class of unknown words its most probable tags [class, slot], and their scores log p(tag | class) / p(tag).

  What a longer suffix says of tags is smoothed by what the shorter one says (Samuelsson 1993; Brants 2000, eqs. 7-10),
  with `strength` pseudo-counts in place of TnT's weight, which does not look at how often a suffix was seen.
  """
  depth, parent = lexicon.depth, lexicon.parent
  word_tags = jnp.where(lexicon.word_tags < 0, len(lexicon.tags), lexicon.word_tags)
  weight = jnp.where(lexical.sum(1, keepdims=True) <= rare, lexical, 0)
  counts = jnp.zeros((len(parent), len(lexicon.tags)))
  counts = counts.at[lexicon.word_class[:, None], word_tags].add(weight, mode="drop")
  levels = [np.flatnonzero(depth == level) for level in range(depth.max() + 1)]
  for level in reversed(levels[1:]):
    counts = counts.at[parent[level]].add(counts[level])
  whole = counts[levels[0]].sum(0)
  prior = jnp.broadcast_to(whole / jnp.maximum(whole.sum(), 1), counts.shape)
  posterior = counts
  for number, level in enumerate(levels):
    before = posterior[parent[level]] if number else prior[level]
    smoothed = (counts[level] + strength * before) / (counts[level].sum(-1, keepdims=True) + strength)
    posterior = posterior.at[level].set(smoothed)
  slots = min(lexicon.word_tags.shape[1], len(lexicon.tags))
  best, tags = jax.lax.top_k(posterior, slots)
  possible = (best > 0) & (frequency[tags] > 0)
  scores = jnp.where(possible, jnp.log(best) - jnp.log(frequency[tags]), 0)
  missing = lexicon.word_tags.shape[1] - slots
  pad = lambda x, fill: jnp.pad(x, ((0, 0), (0, missing)), constant_values=fill)
  return pad(jnp.where(possible, tags, -1), -1), pad(scores, 0)


def _viterbi(params: Params, context, symbols: Int[Array, "batch time"], length) -> Int[Array, "batch time"]:
  """The most probable tags: Viterbi over pairs of tags (Brants 2000, eq. 1), of slots rather than of tags."""
  boundary = len(params["tags"]) - 1
  steps = jnp.arange(symbols.shape[1] + 1)
  symbols = jnp.pad(symbols, ((0, 0), (0, 1)))
  symbols = jnp.where(steps < length[:, None], symbols, boundary)  # sentences end in a boundary
  slots = params["tags"].shape[1]
  start = jnp.full((len(length), slots, slots), _IMPOSSIBLE).at[:, 0, 0].set(0)  # and two precede them

  def move(carry, inputs):
    delta, first, second = carry  # best score of two tags, by slot, and the symbols they are of
    t, third = inputs
    x, y, z = (params["tags"][symbol] for symbol in (first, second, third))
    row = context[x[:, :, None], y[:, None, :]]
    p = params["bigram"][y[:, None, :, None], z[:, None, None]] + params["trigram"][row[..., None], z[:, None, None]]
    scores = delta[..., None] + jnp.log(jnp.maximum(p, 1e-30))
    new = scores.max(1) + jnp.where(z >= 0, params["scores"][third], _IMPOSSIBLE)[:, None]
    real = (t <= length)[:, None, None]
    # Beyond its end a sentence stays where it is.
    new = jnp.where(real, new, delta)
    pointer = jnp.where(real, scores.argmax(1), -1)
    return (new, jnp.where(t <= length, second, first), jnp.where(t <= length, third, second)), pointer

  def stay(carry, inputs):
    del inputs
    return carry, jnp.full((len(length), slots, slots), -1)

  def step(carry, inputs):
    # The longest sentence of a corpus is ten times as long as most: batches of short ones are done early.
    return jax.lax.cond(inputs[0] <= length.max(), move, stay, carry, inputs)

  ends = jnp.full(len(length), boundary)
  (delta, _, _), pointers = jax.lax.scan(step, (start, ends, ends), (steps, symbols.T))

  def back(pair, pointer):
    second, third = pair
    before = pointer[jnp.arange(len(second)), second, third]
    moved = before >= 0
    return (jnp.where(moved, before, second), jnp.where(moved, second, third)), third

  last = delta[:, :, 0].argmax(1)  # a boundary has one slot
  _, slot = jax.lax.scan(back, (last, jnp.zeros_like(last)), pointers, reverse=True)
  tags = jnp.take_along_axis(params["tags"][symbols], slot.T[..., None], axis=2)[..., 0]
  return jnp.where(steps[:-1] < length[:, None], tags[:, :-1], -1)
