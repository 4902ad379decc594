"""Pairs of sequences, source and target, in batches of one shape: packed side by side, or padded, one a row.

A batch has `source`, int32 [rows, length], with `source_segment` and `source_position`; `inputs` and `targets`, the
token after, with `segment` and `position`; and `mask`, float32, 1 for a target.  Of a pair that is packed with others
source and target have one number in the segments; 0 is padding.
"""

from collections.abc import Sequence
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from research.data import pipeline
from research.data.dataset import Batch, Dataset
from research.data.packs import Packing

Tokens = Sequence[Int[np.ndarray, " token"]]


def packed(
  source: Tokens, target: Tokens, begin: int, budget: int, batch_size: int, *, seed: int | None, name: str = "pairs"
) -> Dataset:
  """Rows of `budget` tokens on either side, each pair exactly once an epoch.

  Args:
    source, target: ints above 0, a sequence a pair.
    begin: what the decoder is fed first.
    budget: tokens of a row, of the source and of the target.
    batch_size: rows of a batch.
    seed: of the order of training; None for evaluation, one pass.
    name: for messages.

  Raises:
    UserError: a sequence over the budget.
  """
  lengths = np.stack([[len(tokens) for tokens in side] for side in (source, target)], axis=-1)
  packing = Packing(lengths, (budget, budget), seed=seed, name=name)
  resident = {"source": np.concatenate(source).astype(np.int32), "target": np.concatenate(target).astype(np.int32)}
  offsets = np.cumsum(lengths, 0) - lengths

  def feed(step: int) -> dict[str, np.ndarray]:
    at, segment, position = (np.zeros((batch_size, 2, budget), np.int32) for _ in range(3))
    for row, items in enumerate(packing(step * batch_size, batch_size)):
      end = [0, 0]
      for count, item in enumerate(items.tolist(), 1):
        for side in (0, 1):
          size = int(lengths[item, side])
          here, inside = slice(end[side], end[side] + size), np.arange(size)
          at[row, side, here], position[row, side, here] = offsets[item, side] + inside, inside
          segment[row, side, here] = count
          end[side] += size
    return {"at": at, "segment": segment, "position": position}

  def assemble(resident, fed) -> Batch:
    take = lambda side, i: jnp.where(fed["segment"][:, i] > 0, resident[side][fed["at"][:, i]], 0)
    places = {"segment": fed["segment"][:, 1], "position": fed["position"][:, 1]}
    places |= {"source_segment": fed["segment"][:, 0], "source_position": fed["position"][:, 0]}
    return _batch(take("source", 0), take("target", 1), places, begin)

  share = Fraction(batch_size, packing.num_bins)
  units = {"tokens": share * int(lengths[:, 1].sum()), "examples": share * len(lengths)}
  return Dataset(name, resident, feed, assemble, batch_size, packing.num_bins, units=units)


def padded(
  source: Tokens, target: Tokens, begin: int, batch_size: int, *, seed: int | None, name: str = "pairs"
) -> Dataset:
  """One pair a row, padded to the longest of either side; arguments as `packed`."""
  arrays = {"source": _padded(source), "target": _padded(target)}

  def assemble(resident, fed) -> Batch:
    batch = pipeline.rows(resident, fed)
    segments = {side: (batch[side] > 0).astype(jnp.int32) for side in ("source", "target")}
    order = lambda x: jnp.broadcast_to(jnp.arange(x.shape[1]), x.shape)
    places = {"segment": segments["target"], "position": order(batch["target"])}
    places |= {"source_segment": segments["source"], "source_position": order(batch["source"])}
    joined = dict(_batch(batch["source"], batch["target"], places, begin))
    return {**joined, "mask": joined["mask"] * batch["mask"][:, None]}

  if seed is None:
    return pipeline.sequential(arrays, batch_size, name=name, assemble=assemble)
  return pipeline.shuffled(arrays, batch_size, seed=seed, name=name, assemble=assemble)


def _batch(source, target, places, begin: int) -> Batch:
  real = places["segment"] > 0
  before = jnp.pad(target, ((0, 0), (1, 0)))[:, :-1]
  inputs = jnp.where(real, jnp.where(places["position"] == 0, begin, before), 0)
  return {"source": source, "inputs": inputs, "targets": target, "mask": real.astype(jnp.float32), **places}


def _padded(sequences: Tokens) -> Int[np.ndarray, "pair length"]:
  array = np.zeros((len(sequences), max(map(len, sequences))), np.int32)
  for row, tokens in zip(array, sequences):
    row[: len(tokens)] = tokens
  return array
