"""Scenes of two digits with what is said of them, and one's own images with a caption each.

"a red seven left of a small blue two": a caption names, of each object, whether it is small, its colour and its digit,
and how the first lies to the second.  Some pairs of a digit and a colour are in no caption that is learnt from
(`held_out`): whether they can be asked for tells whether digits and colours were learnt apart.

A caption is tokens [`LENGTH`]: `BEGIN`, then words, then `PAD`, which nothing attends to.
"""

import csv
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key, UInt8

from research import randomness
from research.data import images, procedural, scenes, validation
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError
from research.text.tokenizers import Words

PAD, BEGIN, FIRST = 0, 1, 2  # tokens; `FIRST` that of the tokenizer's first word, which stands for unknown ones
LENGTH = 12  # of a scene's caption: begin, and eleven words at most
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
RELATIONS = ("left of", "right of", "above", "below")
_AXIS, _BEFORE = (1, 1, 0, 0), (True, False, True, False)  # of each relation: 0 down, 1 right; the first is before
_WORDS = ("<unknown>", "a", "small", "left", "right", "of", "above", "below", *scenes.COLOURS, *DIGITS)
SCENES = Words(_WORDS, lower=True)
SMALL = 0.25  # share of the range of sides that small pictures take, at its lower end, and large ones at its upper
JITTER = 0.06  # of an object's centre, at most, as a share of the canvas
FIELD, FILE = "config.data.path", "captions.csv"
KINDS = f"a folder with {FILE}, or such a .csv, of the columns image and caption"


class Plot(NamedTuple):
  """What a caption says, or with a leading axis several.

  Attributes:
    label: digit of each object.
    colour: which of `scenes.COLOURS`.
    small: whether it is small.
    relation: which of `RELATIONS`, of the first to the second.
  """

  label: Int[Array, "*batch 2"]
  colour: Int[Array, "*batch 2"]
  small: Bool[Array, "*batch 2"]
  relation: Int[Array, "*batch"]


def held_out() -> Bool[np.ndarray, "digit colour"]:
  """Pairs that are in no caption learnt from: of each colour one digit, another of each."""
  return (np.arange(len(DIGITS))[:, None] + 3 * np.arange(len(scenes.COLOURS))) % 10 == 7


def random_plot(key: Key[Array, ""], unseen: bool) -> Plot:
  """What is to be drawn; `unseen`: one of the two objects, either, is of a pair that is held out, else neither is."""
  keys = {name: randomness.stream_key(key, name) for name in ("pair", "small", "relation", "held")}
  held = jnp.asarray(held_out()).ravel()
  which = jnp.arange(2) == (jax.random.randint(keys["held"], (), 0, 2) if unseen else -1)
  logits = jnp.where(which[:, None] == held, 0.0, -jnp.inf)
  label, colour = jnp.divmod(jax.random.categorical(keys["pair"], logits), len(scenes.COLOURS))
  small = jax.random.bernoulli(keys["small"], shape=(2,))
  return Plot(label, colour, small, jax.random.randint(keys["relation"], (), 0, len(RELATIONS)))


def tokens(plot: Plot) -> Int[Array, " token"]:
  """The caption of a plot."""
  word = {name: FIRST + i for i, name in enumerate(_WORDS)}
  colours, digits = (jnp.asarray([word[name] for name in names]) for names in (scenes.COLOURS, DIGITS))
  padded = lambda words: [word[part] for part in words] + [PAD] * (2 - len(words))
  relations = jnp.asarray([padded(name.split()) for name in RELATIONS])

  def of(k: int):
    small = jnp.where(plot.small[k], word["small"], PAD)
    return word["a"], small, colours[plot.colour[k]], digits[plot.label[k]]

  row = jnp.stack([jnp.asarray(x) for x in (BEGIN, *of(0), *relations[plot.relation], *of(1))])
  row = jnp.concatenate([row, jnp.full(LENGTH - len(row), PAD, row.dtype)])
  return row[jnp.argsort(row == PAD, stable=True)]  # words in their order, and no holes


def drawn_scene(
  pictures: Float[Array, "picture height width"],
  first: Int[Array, " digit"],
  count: Int[Array, " digit"],
  plot: Plot,
  key: Key[Array, ""],
  style: scenes.Style,
) -> scenes.Scene:
  """A scene of which a plot is true.

  Args:
    pictures: by digit.
    first, count: place of each digit's first picture, and how many it has.
    plot: the plot.
    key: of what the plot leaves open.
    style: of scenes; the picture's side is near the least for what is small, near the largest for what is not.
  """
  keys = {name: randomness.stream_key(key, name) for name in ("which", "side", "centre", "ground")}
  which = first[plot.label] + jax.random.randint(keys["which"], (2,), 0, count[plot.label])
  (least, most), span = style.sides, SMALL * (style.sides[1] - style.sides[0])
  side = jnp.where(plot.small, least, most - span) + jax.random.uniform(keys["side"], (2,), maxval=span)
  down_or_right = jnp.arange(2) == jnp.asarray(_AXIS)[plot.relation]
  before = jnp.asarray([[0.26], [0.74]])
  along = jnp.where(jnp.asarray(_BEFORE)[plot.relation], before, 1 - before)
  jitter = jax.random.uniform(keys["centre"], (2, 2), minval=-JITTER, maxval=JITTER)
  centre = style.size * (jnp.where(down_or_right, along, 0.5) + jitter)
  corner = jnp.clip(centre - side[:, None] / 2, 0, style.size - side[:, None])
  objects = scenes.Objects(pictures[which], plot.label, plot.colour, side, corner, jnp.ones(2))
  return scenes.painted(objects, keys["ground"], style)


def dataset(
  examples: Examples,
  style: scenes.Style,
  batch_size: int,
  *,
  seed: int,
  count: int = 0,
  name: str,
  unseen: bool = False,
) -> Dataset:
  """Scenes with captions, as `scenes.dataset`: `count` of them in order, or without end.

  A batch has `inputs` [batch, size, size, 3] from -1 to 1, `label` [batch, `LENGTH`], the captions, `boxes` [batch, 2,
  4], `index`, `mask`, and the fields of `Plot` by the names `digit`, `colour`, `small`, `relation`.

  Raises:
    UserError: examples that are no grey images of bytes of ten classes.
  """
  pictures = procedural.grey(examples, "captions")
  if examples.num_classes != len(DIGITS):
    raise UserError("config.data.name", examples.name, "captions are of ten digits: name one of digits, mnist.")
  order = np.argsort(examples.label, kind="stable")
  numbers = np.bincount(examples.label, minlength=len(DIGITS)).astype(np.int32)
  starts = np.concatenate([[0], np.cumsum(numbers)[:-1]]).astype(np.int32)

  def one(resident, key):
    plot = random_plot(key, unseen)
    scene = drawn_scene(procedural.shades(resident), resident["first"], resident["count"], plot, key, style)
    told = {"digit": plot.label, "colour": plot.colour, "small": plot.small, "relation": plot.relation}
    return {"inputs": 2 * scene.inputs - 1, "label": tokens(plot), "boxes": scene.boxes, **told}

  return procedural.dataset(
    f"{name} of {examples.name}",
    {"pictures": pictures[order], "first": starts, "count": numbers},
    one,
    batch_size,
    stream=procedural.stream_of(seed, name),
    count=count,
  )


def encoded(texts: Sequence[str], tokenizer: Words, length: int, field: str) -> Int[np.ndarray, "caption token"]:
  """Captions as tokens.

  Raises:
    UserError: a caption that is longer than `length`, or has a word that the tokenizer does not know.
  """
  rows = np.full((len(texts), length), PAD, np.int32)
  for row, text in zip(rows, texts):
    words = tokenizer.encode(text)
    if len(words) >= length:
      raise UserError(field, text, f"it has {len(words)} words: give {length - 1} at most.")
    if (words == 0).any():
      known = ", ".join(tokenizer.vocabulary[1:20])
      raise UserError(field, text, f"one of its words is in no caption that was learnt from; those are {known}, ...")
    row[: len(words) + 1] = BEGIN, *(FIRST + words)
  return rows


@dataclasses.dataclass(frozen=True)
class Captioned:
  """Images of one size with a caption each, in memory.

  Attributes:
    name: for messages.
    inputs: bytes.
    label: tokens of the captions.
    tokenizer: of the captions.
  """

  name: str
  inputs: UInt8[np.ndarray, "image size size 3"]
  label: Int[np.ndarray, "image token"]
  tokenizer: Words

  def __len__(self) -> int:
    return len(self.inputs)

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """The fields as `pipeline.shuffled` and `pipeline.sequential` take them."""
    return {"inputs": self.inputs, "label": self.label}

  def select(self, index) -> "Captioned":
    """Those images."""
    return dataclasses.replace(self, inputs=self.inputs[index], label=self.label[index])


def at(path: str) -> bool:
  """Whether there is a table at a path."""
  return bool(path) and _table(path).suffix.lower() == ".csv" and _table(path).is_file()


def _table(path: str) -> Path:
  root = Path(path).expanduser()
  return root / FILE if root.is_dir() else root


def load(path: str, size: int, share: float) -> tuple[Captioned, Captioned | None, Captioned]:
  """Images to learn from, to choose by and to measure on: a fifth, drawn with seed 0, is for the last.

  Args:
    path: of a .csv with the columns `image`, a file's path from the table's folder, and `caption`; or of a folder with
      such a `captions.csv`.
    size: side of the square that images are brought to: cut to their centre.
    share: of the images that are left, held out to choose by; 0 for none.

  Raises:
    UserError: no such table or columns, an image that is missing or damaged, an empty caption, fewer than two rows.
  """
  file = _table(path)
  if not at(path):
    raise UserError(FIELD, path, f"this experiment reads {KINDS}.")
  try:
    with file.open(encoding="utf-8-sig", newline="") as opened:
      rows = list(csv.DictReader(opened))
  except (ValueError, csv.Error) as error:
    raise UserError(FIELD, path, f"it cannot be read as a table in UTF-8 ({error}).") from error
  if len(rows) < 2 or not {"image", "caption"} <= set(rows[0]):
    raise UserError(FIELD, path, "give two rows or more with the columns image and caption.")
  for line, row in enumerate(rows, 2):
    if not (row["image"] or "").strip() or not (row["caption"] or "").strip():
      raise UserError(f"{file.name}: line {line}", row, "give an image and a caption.")
    if images.beside(file.parent, row["image"]) is None:
      raise UserError(f"{file.name}: line {line}", row["image"], "there is no such file beside the table.")
  inputs = np.stack([images.decode(file.parent / row["image"], 3, size, row["image"]) for row in rows])
  texts = [row["caption"] for row in rows]
  tokenizer = Words.learned("\n".join(texts), lower=True)
  length = 1 + max(len(tokenizer.encode(text)) for text in texts)
  whole = Captioned(file.stem, inputs, encoded(texts, tokenizer, length, FIELD), tokenizer)
  rest, test = validation.fifth(len(rows))
  train, held = validation.apart(whole.select(rest), share)
  return train, held, whole.select(test)
