"""Sentences as a stream of words of one vocabulary; phrases of words that go together; subwords of words never seen."""

import collections
import dataclasses
import itertools
import pathlib
import pydoc_data.topics
import re
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from research.data import raw
from research.errors import UserError
from research.text import corpora, labelled

NAMES = ("pydoc", "brown", "sst2", raw.OWN)
_FILES = {"brown": ("brown.txt",), "sst2": labelled.FILES}
BLOCK = 10_000  # words that are taken for a sentence where sentences are not told apart, as gensim's Text8Corpus does
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_END = re.compile(r"(?<=[.!?:])\s+|\n\s*\n")

Sentences = list[list[str]]


@dataclasses.dataclass(frozen=True)
class Stream:
  """A text as words of a vocabulary.

  Attributes:
    words: the vocabulary, most frequent first.
    counts: occurrences of each.
    tokens: the text, words that are too rare left out.
    units: which sentence each token stands in.
    total: words of the text, those left out included.
  """

  words: tuple[str, ...]
  counts: Int[np.ndarray, " word"]
  tokens: Int[np.ndarray, " token"]
  units: Int[np.ndarray, " token"]
  total: int


def words_of(text: str) -> list[str]:
  """The words of a text, lower-cased; those with hyphens and apostrophes are one."""
  return _WORD.findall(text.lower())


def sentences_of(text: str) -> Sentences:
  """The words of a text's sentences, which end with a mark of punctuation or an empty line."""
  return [words for sentence in _END.split(text) if (words := words_of(sentence))]


def load(name: str, path: str | None = None, units: str = "sentence") -> Sentences:
  """A text's sentences of lower-case words.

  Args:
    name: `pydoc` (embedded: the pages of Python's help), `brown` (as it is tokenised, less what has neither letter nor
      digit), `sst2` (the training reviews); unused with a path of one's own.
    path: a .txt file or a folder of them; or where the named set's files lie, by default `$GENERA_DATA_DIR/<name>`.
    units: `sentence`, or `block`: runs of 10,000 words, so that windows cross the ends of sentences.

  Raises:
    UserError: no such text or unit, or fewer than two words.
  """
  if units not in ("sentence", "block"):
    raise UserError("config.data.units", units, "choose sentence or block.")
  match raw.OWN if raw.is_own(name, path, *_FILES.get(name, ())) else name:
    case "pydoc":
      texts = [text for _, text in sorted(pydoc_data.topics.topics.items())]
      sentences = [words for text in texts for words in sentences_of(text)]
    case "brown":
      lines = corpora.read(raw.locate("brown", "brown.txt", path)).lower().splitlines()
      sentences = [[w for w in line.split(" ") if any(map(str.isalnum, w))] for line in lines]
    case "sst2":
      sentences = [words_of(text) for text in labelled.load("sst2", "train", path).texts]
    case raw.OWN:
      sentences = sentences_of(corpora.own(path))
    case _:
      raise UserError("config.data.name", name, f"choose one of {', '.join(NAMES)}.")
  sentences = [words for words in sentences if words]
  if sum(map(len, sentences)) < 2:
    raise UserError("config.data.path", str(pathlib.Path(path or name)), "it has fewer than two words: give more text.")
  return sentences if units == "sentence" else in_blocks(sentences)


def in_blocks(sentences: Sentences, size: int = BLOCK) -> Sentences:
  """The same words in runs of `size`."""
  joined = [word for words in sentences for word in words]
  return [joined[first : first + size] for first in range(0, len(joined), size)]


def stream(sentences: Sentences, least: int, words: Sequence[str] = ()) -> Stream:
  """The stream of a text.

  Args:
    sentences: of words.
    least: occurrences of a word that is in the vocabulary.
    words: the vocabulary, where there is one already.

  Raises:
    UserError: fewer than two words are left.
  """
  occurrences = collections.Counter(word for words in sentences for word in words)
  if not words:
    words = sorted(
      (word for word, count in occurrences.items() if count >= least), key=lambda word: (-occurrences[word], word)
    )
  if len(words) < 2:
    raise UserError("config.data.least", least, f"{len(words)} words occur so often: lower it, or give more text.")
  place = {word: i for i, word in enumerate(words)}
  tokens = [(place[word], unit) for unit, words in enumerate(sentences) for word in words if word in place]
  table = np.array(tokens, np.int32).reshape(-1, 2)
  counts = np.array([occurrences[word] for word in words], np.int64)
  return Stream(tuple(words), counts, table[:, 0], table[:, 1], sum(occurrences.values()))


def phrases(sentences: Sentences, least: int = 5, threshold: float = 10.0) -> dict[tuple[str, str], float]:
  """Pairs of adjoining words that are one phrase, with their scores (Mikolov et al. 2013b, equation 6).

  The score, (count(a b) - least) / (count(a) count(b)), is here multiplied by the number of words and pairs that there
  are, as gensim has it, so that `threshold` depends less on the text.
  """
  single = collections.Counter(word for words in sentences for word in words)
  double = collections.Counter(pair for words in sentences for pair in itertools.pairwise(words))
  size = len(single) + len(double)
  scores = {
    (a, b): (count - least) / single[a] / single[b] * size
    for (a, b), count in double.items()
    if count >= least and single[a] >= least and single[b] >= least
  }
  return {pair: score for pair, score in scores.items() if score > threshold}


def joined(sentences: Sentences, phrases: dict[tuple[str, str], float]) -> Sentences:
  """Sentences whose phrases are one word, by an underscore; from the left, no word in two."""
  return [_join(words, phrases) for words in sentences]


def _join(words: list[str], phrases) -> list[str]:
  result, i = [], 0
  while i < len(words):
    pair = tuple(words[i : i + 2])
    result.append("_".join(pair) if pair in phrases else words[i])
    i += 2 if pair in phrases else 1
  return result


@dataclasses.dataclass(frozen=True)
class Subwords:
  """n-grams of characters, hashed (Bojanowski et al. 2017, section 3.2).

  Attributes:
    shortest, longest: characters of an n-gram.
    buckets: numbers that they are hashed to.
  """

  shortest: int
  longest: int
  buckets: int

  def of(self, word: str) -> list[int]:
    """Numbers of the n-grams of `<word>`, hashed as fastText does."""
    marked = f"<{word}>"
    grams = [
      marked[i : i + n]
      for i in range(len(marked))
      for n in range(self.shortest, self.longest + 1)
      if i + n <= len(marked) and not (n == 1 and i in (0, len(marked) - 1))
    ]
    return [fnv1a(gram) % self.buckets for gram in grams]

  def table(self, words: Sequence[str]) -> Int[np.ndarray, "word n"]:
    """Rows of a table that holds the words' own vectors first, for each word: its own, and those of its n-grams; -1
    behind the end."""
    rows = [[i, *(len(words) + bucket for bucket in self.of(word))] for i, word in enumerate(words)]
    table = np.full((len(rows), max(map(len, rows))), -1, np.int32)
    for row, entries in zip(table, rows):
      row[: len(entries)] = entries
    return table


def fnv1a(text: str) -> int:
  """The 32-bit hash of a text, its bytes taken as signed ones, as fastText's files need it."""
  value = 2166136261
  for octet in text.encode("utf-8"):
    signed = octet | 0xFFFFFF00 if octet > 127 else octet
    value = ((value ^ signed) * 16777619) & 0xFFFFFFFF
  return value
