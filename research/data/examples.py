"""Labelled examples, in memory or streamed: what the sources return and what they check."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Int

from research.data.dataset import Source
from research.errors import UserError

if TYPE_CHECKING:
  from research.data.columns import Columns


UNLABELLED = ("unlabelled",)  # the class names of sets that have no labels


@dataclasses.dataclass(frozen=True)
class Examples:
  """A labelled set in memory.

  Attributes:
    name: for messages, such as 'mnist train'.
    inputs: [example, ...], uint8 (pixels 0 to 255) or float32.
    label: int32 [example], 0 to num_classes - 1.
    class_names: one a class.
    columns: of a user's own table, its typed columns, by which other rows are read; else None.
  """

  name: str
  inputs: np.ndarray
  label: Int[np.ndarray, " example"]
  class_names: tuple[str, ...]
  columns: "Columns | None" = None

  def __len__(self) -> int:
    return len(self.label)

  @property
  def num_classes(self) -> int:
    return len(self.class_names)

  @property
  def labelled(self) -> bool:
    """Whether the labels mean something."""
    return self.class_names != UNLABELLED

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """The fields as `pipeline.shuffled` and `pipeline.sequential` take them."""
    return {"inputs": self.inputs, "label": self.label}

  def select(self, index: Int[np.ndarray, " some"] | slice) -> "Examples":
    """The examples at `index`."""
    return dataclasses.replace(self, inputs=self.inputs[index], label=self.label[index])


@dataclasses.dataclass(frozen=True)
class Stream:
  """A labelled set of images too large for memory.

  Attributes:
    name: for messages.
    source: random access to records {'image': encoded bytes, 'label': int, 'where': str}, safe to read from threads.
    image_size: height and width that images are brought to.
    channels: 1 or 3.
    class_names: one a class.
  """

  name: str
  source: Source
  image_size: int
  channels: int
  class_names: tuple[str, ...]

  def __len__(self) -> int:
    return len(self.source)

  @property
  def num_classes(self) -> int:
    return len(self.class_names)

  def select(self, index: slice) -> "Stream":
    """The stretch `index` of the examples."""
    return dataclasses.replace(self, source=_Stretch(self.source, range(len(self))[index]))


class _Stretch:
  """Random access to some records of a source."""

  def __init__(self, source: Source, places: range):
    self._source, self._places = source, places

  def __len__(self) -> int:
    return len(self._places)

  def __repr__(self) -> str:
    return f"_Stretch({self._source!r}, {self._places})"

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    return self._source[self._places[index]]

  def __getitems__(self, indices: Sequence[int]) -> list[Mapping[str, Any]]:
    places = [self._places[index] for index in indices]
    many = getattr(self._source, "__getitems__", None)
    return many(places) if many else [self._source[place] for place in places]


def checked(name: str, inputs: Any, label: Any, class_names: Sequence[str] | None = None) -> Examples:
  """`Examples`, once their types, lengths and ranges are right.

  Args:
    name: for messages.
    inputs: uint8 or floating, [example, ...]; images without a channel axis ([example, height, width]) get one.
    label: integers, [example] or [example, 1].
    class_names: by default the numbers 0 to max(label).

  Raises:
    UserError: another type, unequal lengths, no examples, NaN or infinite inputs, labels out of range.
  """
  inputs, label = np.asarray(inputs), np.asarray(label)
  if inputs.dtype != np.uint8 and inputs.dtype.kind != "f":
    raise UserError(f"{name}: type of the inputs", str(inputs.dtype), "give uint8 (pixels 0 to 255) or floats.")
  if label.dtype.kind not in "iu":
    raise UserError(f"{name}: type of the labels", str(label.dtype), "give integers, 0 for the first class.")
  if label.ndim == 2 and label.shape[1] == 1:
    label = label[:, 0]
  if label.ndim != 1 or inputs.ndim < 2 or len(inputs) != len(label):
    shapes = (inputs.shape, label.shape)
    raise UserError(f"{name}: shapes of inputs and labels", shapes, "give [N, ...] inputs and [N] labels.")
  if not len(label):
    raise UserError(f"{name}: number of examples", 0, "give at least one example.")
  if inputs.dtype.kind == "f":
    with np.errstate(over="ignore"):  # what is too large for float32 is infinite, and told
      inputs = inputs.astype(np.float32, copy=False)
    bad = ~np.isfinite(inputs).reshape(len(inputs), -1).all(1)
    if bad.any():
      remedy = f"remove or repair {bad.sum()} examples with NaN or infinite values; the first is this."
      raise UserError(f"{name}: example", int(bad.argmax()), remedy)
  return Examples(name, inputs[..., None] if inputs.ndim == 3 else inputs, *_labels(name, label, class_names))


def _labels(name: str, label: np.ndarray, class_names: Sequence[str] | None) -> tuple[np.ndarray, tuple[str, ...]]:
  low, high = int(label.min()), int(label.max())
  if low < 0:
    raise UserError(f"{name}: smallest label", low, "number the classes from 0.")
  if class_names is None:
    if high >= 1_000_000:
      raise UserError(f"{name}: largest label", high, "number the classes from 0 without gaps.")
    class_names = [str(number) for number in range(high + 1)]
  if high >= len(class_names):
    raise UserError(
      f"{name}: largest label", high, f"{len(class_names)} classes have labels 0 to {len(class_names) - 1}."
    )
  return label.astype(np.int32), tuple(map(str, class_names))


def label_notes(label: Int[np.ndarray, " example"], class_names: Sequence[str]) -> tuple[str, ...]:
  """What makes a classifier's accuracy mean less than it seems, a line each; none of labels that are as usual."""
  sizes = np.bincount(label, minlength=len(class_names))
  absent = [class_names[i] for i in np.flatnonzero(sizes == 0)]
  notes, most, least, largest = [], sizes.max(), sizes[sizes > 0].min(), class_names[int(sizes.argmax())]
  if most == len(label):
    notes.append(f"all {most:,} training examples are of the class {largest!r}: nothing to tell apart")
  elif absent:
    start = "; labels are to start at 0" if sizes[0] == 0 else ""
    notes.append(f"no training example is of {_several(absent)}{start}")
  if alone := [class_names[i] for i in np.flatnonzero(sizes == 1)]:
    notes.append(f"of {_several(alone)} there is one training example")
  elif most >= 20 * least:
    share = f"to say {largest!r} always is right for {100 * most / len(label):.0f} % of them"
    notes.append(f"classes have from {least:,} to {most:,} training examples: {share}")
  return tuple(notes)


def _several(names: Sequence[str]) -> str:
  listed = ", ".join(repr(name) for name in names[:5])
  more = f" and {len(names) - 5} more" if len(names) > 5 else ""
  return f"the class{'es' if len(names) > 1 else ''} {listed}{more}"


def ranks(label: Int[np.ndarray, " example"], seed: int) -> Int[np.ndarray, " example"]:
  """The place of every example among those of its class, at random: 0 to (size of the class) - 1."""
  shuffled = np.random.Generator(np.random.Philox(key=seed)).permutation(len(label))
  by_class = shuffled[np.argsort(label[shuffled], kind="stable")]
  _, first, sizes = np.unique(label[by_class], return_index=True, return_counts=True)
  result = np.empty(len(label), np.int64)
  result[by_class] = np.arange(len(label)) - np.repeat(first, sizes)
  return result


def stratified_order(label: Int[np.ndarray, " example"], seed: int) -> Int[np.ndarray, " example"]:
  """A seeded shuffle in which any stretch has the classes in their proportions, as nearly as can be."""
  sizes = np.bincount(label)[label]
  # Spread each class evenly over [0, 1); equal places keep the order of classes.
  return np.lexsort((label, (ranks(label, seed) + 0.5) / sizes))


def held_out(label: Int[np.ndarray, " example"], seed: int = 0, fraction: float = 0.2) -> dict[str, np.ndarray]:
  """Indices of 'train', 'test' and 'all' of a set that has no test set: a stratified `fraction` is held out."""
  order = stratified_order(label, seed)
  size = max(1, round(fraction * len(label)))
  return {"train": order[size:], "test": order[:size], "all": np.arange(len(label))}


def parse_split(split: str) -> tuple[str, str, str]:
  """('train', '', '90%') of 'train[:90%]': name, start and stop as written.

  Raises:
    UserError: not of that form.
  """
  match = re.fullmatch(r"(\w+)(?:\[(-?\d+%?)?:(-?\d+%?)?\])?", split)
  if not match:
    raise UserError("split", split, "write a split as 'train', 'train[:90%]' or 'train[1000:2000]'.")
  return match[1], match[2] or "", match[3] or ""


def part(split: str, length: int) -> slice:
  """The stretch of a split of `length` examples that `split`, such as 'train[90%:]', names; TFDS's rule.

  Raises:
    UserError: nothing is left.
  """
  _, start, stop = parse_split(split)

  def place(text: str, default: int) -> int:
    if not text:
      return default
    number = round(int(text[:-1]) * length / 100) if text.endswith("%") else int(text)
    return min(max(number + length if number < 0 else number, 0), length)

  result = slice(place(start, 0), place(stop, length))
  if result.start >= result.stop:
    raise UserError("split", split, f"name a part that has examples: the whole has {length}.")
  return result


def choose(splits: Any, split: str) -> Any:
  """`splits[name]` for the name in `split`.

  Raises:
    UserError: there is none; names those that there are.
  """
  name = parse_split(split)[0]
  if name not in splits:
    raise UserError("split", split, f"choose one of {', '.join(sorted(splits))}.")
  return splits[name]
