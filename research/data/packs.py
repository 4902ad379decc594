"""Packs: ragged examples laid side by side in rows of one fixed budget, so that one program fits all.

A row is a pack of several examples; segment ids tell them apart, positions count within each.  Bins are filled by
first-fit in decreasing order of size (Johnson 1973: within 11/9 of the fewest bins, and 6/9 of one).
"""

import functools
from collections.abc import Mapping, Sequence
from fractions import Fraction

import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from research.data.dataset import Batch, Dataset
from research.data.pipeline import Order, in_order
from research.errors import UserError

_OPEN = 256  # bins searched for room; beyond, the fullest is closed


def first_fit(sizes: Int[np.ndarray, "item budget"], budgets: Sequence[int], name: str = "packs") -> list[np.ndarray]:
  """Bins of items, none of which exceeds any budget: for each bin the items in it, int32.

  Args:
    sizes: what each item takes of each budget: tokens [item, 1]; nodes and edges [item, 2].
    budgets: what a bin holds.
    name: for messages.

  Raises:
    UserError: an item that exceeds a budget by itself.
  """
  sizes, limits = np.asarray(sizes, np.int64), np.asarray(budgets, np.int64)
  over = (sizes > limits).any(1)
  if over.any():
    item = int(over.argmax())
    remedy = f"it is over the budget {limits.tolist()}, as {int(over.sum())} of {len(sizes)} are: raise it, or cut."
    raise UserError(f"{name}: size of item {item}", sizes[item].tolist(), remedy)
  smallest = sizes.min(0)
  bins: list[list[int]] = []
  opened: list[int] = []  # bins that still take items, and the room in each
  room = np.zeros((0, len(limits)), np.int64)
  for item in np.argsort(-(sizes / limits).max(1), kind="stable").tolist():
    fits = (room >= sizes[item]).all(1)
    place = int(fits.argmax()) if fits.any() else len(opened)
    if place == len(opened):
      opened.append(len(bins))
      bins.append([])
      room = np.concatenate([room, limits[None]])
    bins[opened[place]].append(item)
    room[place] -= sizes[item]
    full = (room[place] < smallest).any()
    if full or len(opened) > _OPEN:
      closed = place if full else int((room / budgets).min(1).argmin())
      room = np.delete(room, closed, axis=0)
      del opened[closed]
  return [np.array(items, np.int32) for items in bins]


class Packing:
  """Which items stand in which row, epoch by epoch: a pure function of (seed, row), safe to call from several threads.

  Bins have the same sizes in every epoch, so that epochs are equally long and a resume is a seek; from epoch to epoch
  items of equal size change places, and bins come in another order.

  Attributes:
    num_bins: rows of an epoch.
  """

  def __init__(
    self, sizes: Int[np.ndarray, "item budget"], budgets: Sequence[int], *, seed: int | None, name: str = "packs"
  ):
    """Args: as `first_fit`; `seed` of the order, None for one pass in order of the bins."""
    bins = first_fit(sizes, budgets, name)
    self.num_bins = len(bins)
    self._bins, self._seed = bins, seed
    self._order = None if seed is None else Order(len(bins), seed)
    equal = np.unique(np.asarray(sizes), axis=0, return_inverse=True)[1].ravel()
    before = np.argsort(equal, kind="stable")

    @functools.lru_cache(maxsize=2)  # a batch that crosses the end of an epoch needs two
    def exchanged(epoch: int) -> Int[np.ndarray, " item"]:
      bits = np.random.Philox(key=np.array([seed, epoch], np.uint64), counter=[0, 0, 0, 2])  # others than `Order`'s
      names = np.empty(len(equal), np.int32)
      names[before] = np.lexsort((np.random.Generator(bits).random(len(equal)), equal))
      return names

    self._exchanged = exchanged

  def __call__(self, start: int, count: int) -> list[Int[np.ndarray, " item"]]:
    """Items of rows `start` to `start + count - 1`; in one pass, none beyond its end."""
    if self._order is None:
      place = in_order(self.num_bins, start, count)
      return [self._bins[i] if real else self._bins[i][:0] for i, real in zip(place["index"], place["mask"])]
    epochs = self._order.epochs(start, count)["epoch"]
    return [self._exchanged(int(e))[self._bins[i]] for i, e in zip(self._order(start, count), epochs)]


def packed(
  sequences: Mapping[str, Sequence[np.ndarray]],
  budget: int,
  batch_size: int,
  *,
  seed: int | None,
  cut: bool = False,
  name: str = "packs",
) -> Dataset:
  """Ragged sequences in rows of `budget` tokens, each exactly once an epoch and none dropped.

  A batch has every field as [row, budget], 0 where there is none; `segment`, int32 [row, budget], 1 for the first
  sequence of a row, 2 for the second, 0 for padding; `position`, int32, which counts from 0 within a sequence; and
  `mask`, float32 [row, budget], 1 for a token: metrics count tokens.

  Args:
    sequences: fields of one entry a sequence, int [time]; fields of one sequence are equally long.
    budget: tokens of a row.
    batch_size: rows of a batch.
    seed: of the order of training; None for evaluation, one pass whose last batch is padded and masked.
    cut: cut what is over the budget to its first `budget` tokens, in place of an error.
    name: for messages.

  Raises:
    UserError: no sequences, one without a token, fields that differ in length, or, without `cut`, one over the budget.
  """
  lengths = _lengths(sequences, name)
  sizes = np.minimum(lengths, budget) if cut else lengths
  packing = Packing(sizes[:, None], (budget,), seed=seed, name=name)
  flat = {field: np.concatenate(values).astype(np.int32) for field, values in sequences.items()}
  offsets = np.cumsum(lengths) - lengths

  def feed(step: int) -> dict[str, np.ndarray]:
    at, segment, position = (np.zeros((batch_size, budget), np.int32) for _ in range(3))
    for row, items in enumerate(packing(step * batch_size, batch_size)):
      end = 0
      for count, item in enumerate(items.tolist(), 1):
        here, inside = slice(end, end + sizes[item]), np.arange(sizes[item])
        at[row, here], segment[row, here], position[row, here] = offsets[item] + inside, count, inside
        end += sizes[item]
    return {"at": at, "segment": segment, "position": position}

  def assemble(resident, fed) -> Batch:
    real = fed["segment"] > 0
    fields = {field: jnp.where(real, values[fed["at"]], 0) for field, values in resident.items()}
    mask = real.astype(jnp.float32)
    return {**fields, "segment": fed["segment"], "position": fed["position"], "mask": mask}

  share = Fraction(batch_size, packing.num_bins)
  units = {"tokens": share * int(sizes.sum()), "examples": share * len(sizes)}
  return Dataset(name, flat, feed, assemble, batch_size, packing.num_bins, units=units)


def _lengths(sequences: Mapping[str, Sequence[np.ndarray]], name: str) -> Int[np.ndarray, " item"]:
  """Of every sequence, which all fields must agree on."""
  lengths = {field: np.array([len(value) for value in values], np.int64) for field, values in sequences.items()}
  first, *others = lengths
  if not len(lengths[first]):
    raise UserError(f"{name}: number of sequences", 0, "give at least one.")
  if not lengths[first].all():
    raise UserError(f"{name}: sequence", int(lengths[first].argmin()), "it has no token: remove it.")
  for other in others:
    if not np.array_equal(lengths[first], lengths[other]):
      raise UserError(f"{name}: lengths of", other, f"give every sequence as many tokens as {first!r} has.")
  return lengths[first]
