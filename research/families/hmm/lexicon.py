"""The vocabulary of a tagger: known words with their tags, and classes of shape and suffix for all others.

Made from training sentences alone.  Everything that an array can hold is one, so that counting and decoding compile.
"""

import collections
import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from research.errors import UserError

WordClass = tuple[str, str]  # shape and suffix; the suffix '' is all words of the shape


@dataclasses.dataclass(frozen=True)
class Lexicon:
  """Symbols: 0 to V - 1 are the known words, V to V + C - 1 the classes of unknown ones, V + C the sentence boundary.

  Attributes:
    words: the known words, with their symbols.
    tags: in the order of their numbers; `len(tags)` stands for the sentence boundary.
    classes: of unknown words, with their numbers; parents before children.
    lowered: words that are taken as lower case where they begin a sentence.
    word_tags: tags seen with each known word, -1 where there are fewer.
    word_class: the most special class of each known word.
    parent: of each class: the one with a letter less; -1 of a shape.
    depth: of each class: letters of its suffix.
    context: row of the counts of what follows two tags, -1 for two that never met.
    second: the second tag of each row.
  """

  words: Mapping[str, int]
  tags: tuple[str, ...]
  classes: Mapping[WordClass, int]
  lowered: frozenset[str]
  word_tags: Int[np.ndarray, "word slot"]
  word_class: Int[np.ndarray, " word"]
  parent: Int[np.ndarray, " class"]
  depth: Int[np.ndarray, " class"]
  context: Int[np.ndarray, "tag tag"]
  second: Int[np.ndarray, " row"]

  def known(self, symbols: Int[np.ndarray, "..."]) -> Bool[np.ndarray, "..."]:
    """Whether symbols are known words."""
    return symbols < len(self.words)

  def symbols(self, sentence: Sequence[str]) -> Int[np.ndarray, " time"]:
    """The symbols of a sentence's words."""
    return np.array([self._symbol(word, place == 0) for place, word in enumerate(sentence)], np.int32)

  def numbers(self, tags: Sequence[str]) -> Int[np.ndarray, " time"]:
    """The numbers of tags; -1 for those that training has not."""
    places = {tag: index for index, tag in enumerate(self.tags)}
    return np.array([places.get(tag, -1) for tag in tags], np.int32)

  def _symbol(self, word: str, first: bool) -> int:
    word = word.lower() if first and word in self.lowered else word
    symbol = self.words.get(word)
    return symbol if symbol is not None else len(self.words) + deepest(word, self.classes)


def build(
  sentences: Sequence[Sequence[str]],
  tags: Sequence[Sequence[str]],
  *,
  suffix: int = 5,
  rare: int = 10,
  least: int = 3,
) -> Lexicon:
  """The lexicon of training sentences.

  Args:
    sentences, tags: words, and a tag for each.
    suffix: letters of the longest suffix.
    rare: only words that occur so often or less teach about unknown ones (Brants 2000, sec. 2.3).
    least: rare words that a suffix must have to be a class.

  Raises:
    UserError: no sentences.
  """
  if not sentences:
    raise UserError("sentences", 0, "give at least one.")
  names = tuple(sorted({tag for path in tags for tag in path}))
  number = {tag: index for index, tag in enumerate(names)}
  lowered = _lowered(sentences)
  seen: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
  context, second = np.full((len(names) + 1, len(names) + 1), -1, np.int32), []
  for sentence, path in zip(sentences, tags):
    for place, (word, tag) in enumerate(zip(sentence, path)):
      seen[word.lower() if place == 0 and word in lowered else word][number[tag]] += 1
    history = [len(names), len(names), *(number[tag] for tag in path)]
    for pair in itertools.pairwise(history):
      if context[pair] < 0:
        context[pair] = len(second)
        second.append(pair[1])
  words = tuple(sorted(seen))
  classes = _classes([word for word in words if seen[word].total() <= rare], suffix, least)
  word_tags = np.full((len(words), max(map(len, seen.values()))), -1, np.int32)
  for row, word in zip(word_tags, words):
    row[: len(seen[word])] = [tag for tag, _ in seen[word].most_common()]
  return Lexicon(
    words={word: symbol for symbol, word in enumerate(words)},
    tags=names,
    classes=classes,
    lowered=lowered,
    word_tags=word_tags,
    word_class=np.array([deepest(word, classes) for word in words], np.int32),
    parent=np.array([classes[shape, suffix[1:]] if suffix else -1 for shape, suffix in classes], np.int32),
    depth=np.array([len(suffix) for _, suffix in classes], np.int32),
    context=context,
    second=np.array(second, np.int32),
  )


def shape(word: str) -> str:
  """What a word looks like: digits, digits and letters, capitals, a capital first, or lower case; '-' if it has one."""
  if any(letter.isdigit() for letter in word):
    return "9a" if any(letter.isalpha() for letter in word) else "9"
  case = "AA" if word.isupper() and len(word) > 1 else "Aa" if word[:1].isupper() else "a"
  return case + ("-" if "-" in word else "")


SHAPES = ("9", "9a", "AA", "AA-", "Aa", "Aa-", "a", "a-")


def deepest(word: str, classes: Mapping[WordClass, int]) -> int:
  """The class of a word: its shape, with the longest suffix that is one."""
  symbol = 0
  for key in _path(word, len(word)):
    if key not in classes:
      break
    symbol = classes[key]
  return symbol


def _path(word: str, longest: int) -> Iterator[WordClass]:
  for length in range(min(longest, len(word)) + 1):
    yield shape(word), word[len(word) - length :].lower()


def _classes(rare: Sequence[str], suffix: int, least: int) -> dict[WordClass, int]:
  """All shapes, and every suffix that enough rare words of one shape have; short ones first."""
  counts = collections.Counter(key for word in rare for key in _path(word, suffix))
  kept = {key for key, count in counts.items() if count >= least} | {(name, "") for name in SHAPES}
  return {key: number for number, key in enumerate(sorted(kept, key=lambda key: (len(key[1]), key)))}


def _lowered(sentences: Sequence[Sequence[str]]) -> frozenset[str]:
  """Capitalised words that are more frequent in lower case: at the start of a sentence they are taken for that."""
  counts = collections.Counter(word for sentence in sentences for word in sentence)
  return frozenset(word for word in counts if word[:1].isupper() and counts[word.lower()] > counts[word])
