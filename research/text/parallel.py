"""Sentences and their translations: Multi30k, or a user's own two files or `.tsv`."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from research.data import raw
from research.errors import UserError
from research.text import corpora, tokenizers

MULTI30K = "multi30k"
PADDING, BEGIN, END = 0, 1, 2  # tokens that are no text; those of a tokenizer are three higher
SPECIAL = 3
_FILES = {"train": "train", "validation": "val", "test": "test2016"}
KINDS = "a .tsv, sentence and translation a line; or two files with a sentence a line, by a comma: here.txt,there.txt"
_HELD_OUT = {"test": 10, "validation": 20}  # of a user's own: one of so many


class Pairs(NamedTuple):
  """Sentences, and the translation of each at the same place."""

  name: str
  source: tuple[str, ...]
  target: tuple[str, ...]


def load(name: str, split: str, path: str | None = None, languages: tuple[str, str] = ("de", "en")) -> Pairs:
  """A split, 'train', 'validation' or 'test', of pairs of sentences.

  * multi30k: captions of images, tokenised and lower-cased (Elliott et al. 2016), 'test' being test2016; from
    `$GENERA_DATA_DIR/multi30k/{train,val,test2016}.{de,en}`, or the folder `path`.
  * a user's own: a `.tsv`, sentence and translation a line; or two files that have a sentence a line, as
    `path='here.txt,there.txt'`.  A tenth, drawn with seed 0, is to test, a twentieth to validate.

  Raises:
    UserError: no such set or files, files of different lengths, an empty line, or fewer pairs than can be divided.
  """
  named = {part: [f"{_FILES[part]}.{language}" for language in languages] for part in _FILES}
  if raw.is_own(name, path, *(file for files in named.values() for file in files)):
    return _own(path or "", split)
  if name != MULTI30K:
    raise UserError("config.data.name", name, f"choose {MULTI30K}, or give files of your own by config.data.path.")
  files = [raw.locate(MULTI30K, file, path) for file in named[split]]
  return _checked(f"{name} {split}", *map(_lines, files))


def _own(path: str, split: str) -> Pairs:
  parts = path.split(",")
  files = [raw.own(part, KINDS, (pathlib.Path(part).suffix.lower(),)) for part in parts]  # of two, any kind
  if len(files) == 2:
    whole = _checked(path, *map(_lines, files))
  elif len(files) == 1 and files[0].suffix == ".tsv":
    rows = [[cell.strip() for cell in line.split("\t")] for line in _lines(files[0])]
    if unequal := [number for number, row in enumerate(rows, 1) if len(row) != 2]:
      raise UserError(f"{path}: line", unequal[0], "give a sentence and its translation, by one tab.")
    whole = _checked(path, *map(list, zip(*rows)))
  else:
    raise UserError("config.data.path", path, f"this experiment reads {KINDS}.")
  count = len(whole.source)
  if count < 20:
    raise UserError(f"{path}: pairs", count, "they are too few to hold some out: give 20 or more.")
  order = np.random.default_rng(0).permutation(count)
  test, validation = (count // _HELD_OUT[part] for part in ("test", "validation"))
  index = {"test": order[:test], "validation": order[test : test + validation], "train": order[test + validation :]}
  take = lambda sentences: tuple(sentences[i] for i in index[split])
  return Pairs(f"{path} {split}", take(whole.source), take(whole.target))


def _lines(file: pathlib.Path) -> list[str]:
  return [line.strip(" \r") for line in corpora.read(file).rstrip("\n").split("\n")]


def _checked(name: str, source: Sequence[str], target: Sequence[str]) -> Pairs:
  if len(source) != len(target):
    counts = f"{len(source)} and {len(target)}"
    raise UserError(f"{name}: lines", counts, "line i of one file is the translation of line i of the other.")
  for number, pair in enumerate(zip(source, target), 1):
    if not all(pair):
      raise UserError(f"{name}: line", number, "it is empty: remove it, and its translation.")
  return Pairs(name, tuple(source), tuple(target))


def encoded(sentences: Sequence[str], tokenizer: tokenizers.Tokenizer, length: int) -> list[Int[np.ndarray, " token"]]:
  """The tokens of each, `SPECIAL` higher than the tokenizer's, cut to `length` with the `END` behind them."""
  end = np.array([END], np.int32)
  return [np.concatenate([tokenizer.encode(text)[: length - 1] + SPECIAL, end]) for text in sentences]


def decoded(tokens: Int[np.ndarray, " token"], tokenizer: tokenizers.Tokenizer) -> str:
  """The text in front of the first `END`; tokens that are no text are left out."""
  end = np.flatnonzero(tokens == END)
  tokens = tokens[: end[0]] if len(end) else tokens
  return tokenizer.decode((tokens[tokens >= SPECIAL] - SPECIAL).tolist()).strip()
