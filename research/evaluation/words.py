"""How well vectors of words agree with people: similarity of pairs, and analogies."""

import pathlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from research.errors import UserError
from research.text.word_vectors import WordVectors, score_of


class Similarity(NamedTuple):
  """Attributes:
  spearman: rank correlation of cosines and of people's judgements over the pairs both of whose words are known.
  covered: how many these are.
  pairs: how many there are in all.
  """

  spearman: float
  covered: int
  pairs: int


def pairs(file: pathlib.Path) -> list[tuple[str, str, float]]:
  """Pairs of words, lower-cased, with people's mean judgement: by tabs, a pair a line, lines of # left out.

  Raises:
    UserError: a line of another form.
  """
  scored_pairs = []
  for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
    if line.startswith("#") or not line.strip():
      continue
    try:
      one, other, score = line.lower().split("\t")[:3]
      scored_pairs.append((one, other, float(score)))
    except ValueError as error:
      raise UserError(f"{file}: line", number, "it is not two words and a number, by tabs.") from error
  return scored_pairs


def similarity(vectors: WordVectors, judged: list[tuple[str, str, float]]) -> Similarity:
  """Of the pairs in the vocabulary; NaN where fewer than three are."""
  known = [pair for pair in judged if pair[0] in vectors and pair[1] in vectors]
  if len(known) < 3:
    return Similarity(float("nan"), len(known), len(judged))
  ours = [vectors.similarity(one, other) for one, other, _ in known]
  return Similarity(float(spearmanr(ours, [score for *_, score in known])[0]), len(known), len(judged))


def questions(file: pathlib.Path) -> dict[str, list[list[str]]]:
  """Analogies, four words a line, lower-cased, by the section that a line of ": name" begins."""
  sections: dict[str, list[list[str]]] = {}
  name = "all"
  for line in file.read_text(encoding="utf-8").splitlines():
    if line.startswith(":"):
      name = line[1:].strip()
    elif line.strip():
      sections.setdefault(name, []).append(line.lower().split())
  return sections


def analogies(
  vectors: WordVectors, sections: dict[str, list[list[str]]], multiply: bool = False
) -> dict[str, tuple[int, int]]:
  """(right, asked) by section, of the questions all of whose words are known: a is to b as c is to d.

  The answer is the best word of the vocabulary but a, b and c, by `WordVectors.most_similar`'s rule.
  """
  result = {}
  for name, asked in sections.items():
    known = [[vectors.place[word] for word in words] for words in asked if all(word in vectors for word in words)]
    right = sum(int((_answers(vectors, part, multiply) == part[:, 3]).sum()) for part in _parts(known))
    result[name] = right, len(known)
  return result


def _parts(known: list[list[int]], size: int = 256) -> Iterator[np.ndarray]:
  for first in range(0, len(known), size):
    yield np.array(known[first : first + size])


def _answers(vectors: WordVectors, known: np.ndarray, multiply: bool) -> np.ndarray:
  signs = np.array([-1.0, 1.0, 1.0], np.float32)
  score = score_of(vectors.unit, vectors.unit[known[:, :3]], signs, multiply)
  np.put_along_axis(score, known[:, :3], -np.inf, 1)
  return score.argmax(1)
