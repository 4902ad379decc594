"""Sentences of words with their parts of speech: the Brown corpus (Francis & Kučera 1979)."""

import dataclasses
import re
from pathlib import Path

import numpy as np

from research.data import raw
from research.data.examples import choose, part
from research.errors import UserError

NAME, WORDS, TAGS = "brown", "brown.txt", "brown_pos.txt"
HELD_OUT = 0.1  # share of the sentences that are the test set


@dataclasses.dataclass(frozen=True)
class Tagged:
  """Sentences and their tags.

  Attributes:
    name: for messages.
    words: of every sentence.
    tags: of every word of every sentence.
  """

  name: str
  words: tuple[tuple[str, ...], ...]
  tags: tuple[tuple[str, ...], ...]

  def __len__(self) -> int:
    return len(self.words)

  def select(self, index: slice) -> "Tagged":
    """The sentences at `index`."""
    return dataclasses.replace(self, words=self.words[index], tags=self.tags[index])


def load(split: str = "train", path: str | None = None) -> Tagged:
  """A split of a tagged corpus.

  The corpus has none of its own.  A tenth of the sentences is the test set: the first ones of a permutation by
  `Philox(key=0)`, so always the same ones; the rest is for training, in the permutation's order.

  Args:
    split: 'train' or 'test', or part of one ('train[:90%]').
    path: a folder of `brown.txt` and `brown_pos.txt`, Brown's or one's own, tokens and their tags, separated by single
      spaces, a sentence a line; by default `$GENERA_DATA_DIR/brown`.

  Raises:
    UserError: no such files or split, or lines of the two that do not belong together.
  """
  if path and not all((Path(path).expanduser() / file).is_file() for file in (WORDS, TAGS)):
    kinds = f"a folder that holds {WORDS}, a sentence a line, and {TAGS}, the tags of its words"
    raise UserError("config.data.path", path, f"there are none. This experiment reads {kinds}.")
  words, tags = _read(raw.locate(NAME, WORDS, path), raw.locate(NAME, TAGS, path))
  order = np.random.Generator(np.random.Philox(key=0)).permutation(len(words))
  size = max(1, round(HELD_OUT * len(words)))
  index = choose({"train": order[size:], "test": order[:size]}, split)
  index = index[part(split, len(index))]
  return Tagged(f"{NAME} {split}", tuple(words[i] for i in index), tuple(tags[i] for i in index))


def base_tag(tag: str) -> str:
  """A Brown tag without what it says of the text: FW- (foreign word), -TL (title), -HL (headline), -NC (cited word).

  Compound tags of contractions, such as PPS+BEZ, stay as they are.
  """
  return re.sub(r"-(TL|HL|NC)", "", tag.removeprefix("FW-"))


def _read(words: Path, tags: Path) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
  lines = [_lines(words), _lines(tags)]
  if len(lines[0]) != len(lines[1]):
    counts = (len(lines[0]), len(lines[1]))
    raise UserError(f"{words}, {tags}: lines", counts, "give as many lines of tags as of words.")
  if len(lines[0]) < 2:
    raise UserError(f"{words}: sentences", len(lines[0]), "give at least two: one to train and one to test.")
  for number, (sentence, path) in enumerate(zip(*lines), 1):
    if len(sentence) != len(path) or not all(sentence) or not all(path):
      counted = f"it has {len(sentence)} words and {len(path)} tags: give one tag for each word, single spaces between."
      raise UserError(f"{words}: line", number, counted)
  return lines[0], lines[1]


def _lines(file: Path) -> list[tuple[str, ...]]:
  try:
    return [tuple(line.split(" ")) for line in file.read_text(encoding="utf-8").splitlines()]
  except UnicodeDecodeError as error:
    raise UserError("config.data.path", str(file), f"it is not UTF-8 text ({error}).") from error
