"""Words and what stands around them: windows of a resident stream of tokens, made on the device.

Frequent words are left out at random before windows are laid, so that these reach further, and every window has a
random reach (Mikolov et al. 2013b, section 2.3; 2013a, section 3.2).  What is left out and how far a window reaches
depends on (seed, epoch, place in the stream) alone: on no batch, no row and no device.
"""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped, UInt

from research import randomness
from research.data import pipeline
from research.data.dataset import Dataset
from research.errors import UserError


def keep_probabilities(counts: Int[np.ndarray, " word"], threshold: float) -> Float[np.ndarray, " word"]:
  """How probably an occurrence of each word is kept: as word2vec.c has it, (sqrt(f / t) + 1) t / f for frequency f.

  (Mikolov et al. 2013b, equation 5, has sqrt(t / f).)  A threshold t of 0 keeps all.
  """
  if not threshold:
    return np.ones(len(counts), np.float32)
  ratio = threshold * counts.sum() / np.maximum(counts, 1)
  return np.minimum(np.sqrt(ratio) + ratio, 1).astype(np.float32)


def contexts(
  tokens: Int[np.ndarray, " token"],
  units: Int[np.ndarray, " token"],
  keep: Float[np.ndarray, " word"],
  batch_size: int,
  *,
  length: int,
  window: int,
  seed: int | None,
  block: int = 32,
  shuffled: bool = True,
  name: str = "contexts",
) -> Dataset:
  """Rows of a stream for training, or in order for evaluation, with the words around them.

  A batch has, for every row, the places of the stream that are left, in order, padded behind: `word`, int32 [row,
  slot]; and `mask`, float32 [row].  Slots stand in blocks, `around` each of which are the slots that its windows may
  reach: `context`, float32 [row, block, own, around], is 1 where the second is within the window of the first.  Places
  before and behind a row's own, which belong to other rows, are context only, so that a pass makes every pair once.

  Args:
    tokens: the stream, words of the vocabulary.
    units: which sentence, or other unit, each token stands in; no window crosses one's end.
    keep: how probably an occurrence of each word is kept.
    batch_size: rows, over all devices.
    length: tokens of the stream that a row stands for.
    window: the furthest that a window reaches on each side; how far is drawn evenly from 1 to `window`.
    block: slots of a block.
    shuffled: whether training takes the rows in random order; else in that of the text, as word2vec.c does, epoch after
      epoch.
    seed: for training; None: one pass in order, always the same draws.
    name: for messages.

  Raises:
    UserError: no two tokens, or a size below 1.
  """
  for field, value in {"rows": batch_size, "length": length, "window": window, "block": block}.items():
    if value < 1:
      raise UserError(f"{name}: {field}", value, "give 1 or more.")
  if len(tokens) < 2:
    raise UserError(f"{name}: tokens", len(tokens), "give two at least.")
  rows, halo = -(-len(tokens) // length), reach(keep[tokens], window)
  slots = -(-capacity(keep[tokens], length, halo) // block) * block
  order = None if seed is None else pipeline.Order(rows, seed)

  def feed(step: int) -> dict[str, np.ndarray]:
    first = step * batch_size
    if order is None:
      place = pipeline.in_order(rows, first, batch_size)
      return {"row": place["index"], "mask": place["mask"], "epoch": np.zeros(batch_size, np.int32)}
    if not shuffled:
      return {"row": ((first + np.arange(batch_size)) % rows).astype(np.int32), **order.epochs(first, batch_size)}
    return {"row": order(first, batch_size), **order.epochs(first, batch_size)}

  def assemble(resident, fed):
    start = fed["row"] * length
    mask = fed.get("mask", jnp.ones(start.shape, jnp.float32))
    base = randomness.stream_key(jax.random.key(seed or 0), "contexts")
    sizes = (length, halo, window, slots, block)
    one = lambda start, epoch: _row(resident, jax.random.fold_in(base, epoch), start, sizes)
    word, context = jax.vmap(one)(start, fed["epoch"])
    return {"word": word, "context": context * mask[:, None, None, None], "mask": mask}

  resident = {"stream": np.asarray(tokens, np.int32), "unit": np.asarray(units, np.int32), "keep": keep}
  per_step = {"tokens": Fraction(len(tokens) * batch_size, rows)}
  return Dataset(name, resident, feed, assemble, batch_size, rows, units=per_step)


def reach(keep: Float[np.ndarray, " token"], window: int) -> int:
  """Places of the stream beyond a row's own that it looks at on either side: so many that, but for one place in a
  thousand, they hold `window` words that are kept, to three standard deviations."""
  most = min(16 * window, len(keep))
  for halo in range(min(window, most), most):
    total, spread = _moments(keep, halo)
    if np.quantile(total - 3 * spread, 1e-3) >= window:
      return halo
  return most


def capacity(keep: Float[np.ndarray, " token"], length: int, halo: int) -> int:
  """Slots of a row: the most words that are kept of it and around it, to four standard deviations.

  More, which is one row in thirty thousand at the worst place, and the last of them are left out.
  """
  total, spread = _moments(keep, min(length + 2 * halo, len(keep)))
  return int(min(np.ceil((total + 4 * spread).max()), length + 2 * halo))


def _moments(keep: Float[np.ndarray, " token"], size: int) -> tuple[np.ndarray, np.ndarray]:
  """Mean and standard deviation of how many of `size` adjoining tokens are kept, at every place."""

  def sums(values):
    until = np.concatenate([[0], np.cumsum(values, dtype=np.float64)])
    return until[size:] - until[: len(until) - size]

  return sums(keep), np.sqrt(np.maximum(sums(keep * (1 - keep)), 0))


def around(slots: Shaped[Array, "slot ..."], block: int, window: int, fill=0) -> Shaped[Array, "block around ..."]:
  """The slots of each block, with `window` of them before it and behind it; `fill` beyond the ends."""
  edge = jnp.full((window, *slots.shape[1:]), fill, slots.dtype)
  padded = jnp.concatenate([edge, slots, edge])
  return jnp.stack([padded[first : first + block + 2 * window] for first in range(0, len(slots), block)])


def _row(
  resident, key: Key[Array, ""], start: Int[Array, ""], sizes: tuple[int, ...]
) -> tuple[Int[Array, " slot"], Float[Array, "block own around"]]:
  """The words and contexts of the row that begins at `start`; `sizes`: its length, halo, window, slots and block."""
  length, halo, window, slots, block = sizes
  place = start - halo + jnp.arange(length + 2 * halo)
  inside = (place >= 0) & (place < len(resident["stream"]))
  place = jnp.where(inside, place, 0)
  word, bits = resident["stream"][place], _bits(key, place)
  uniform = (bits[:, 0] >> 8) * jnp.float32(2**-24)
  kept = inside & (uniform < resident["keep"][word])
  slot = jnp.where(kept, jnp.cumsum(kept) - 1, slots)
  source = jnp.full(slots, len(place), jnp.int32).at[slot].set(jnp.arange(len(place)), mode="drop")
  take = lambda array, fill: array.at[source].get(mode="fill", fill_value=fill)
  own = (place >= start) & (place < start + length)
  furthest = take(jnp.where(own, 1 + (bits[:, 1] % window).astype(jnp.int32), 0), 0)
  unit = take(resident["unit"][place], -1)
  apart = jnp.abs(jnp.arange(block)[:, None] + window - jnp.arange(block + 2 * window))
  blocks = lambda array: array.reshape(-1, block, 1)
  near = (apart > 0) & (apart <= blocks(furthest)) & (blocks(unit) == around(unit, block, window, -1)[:, None])
  return take(word, 0), near.astype(jnp.float32)


def _bits(key: Key[Array, ""], place: Int[Array, " place"]) -> UInt[Array, "place 2"]:
  """Two words of random bits for each place."""
  return jax.vmap(lambda place: jax.random.bits(jax.random.fold_in(key, place), (2,)))(place)
