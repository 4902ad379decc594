"""Vectors of words in use: neighbours, analogies, vectors of texts; and the files of word2vec, text and binary."""

import dataclasses
import difflib
import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from research.errors import UserError
from research.text.vocabulary import Subwords, words_of


@dataclasses.dataclass(frozen=True)
class WordVectors:
  """Words and their vectors.

  Attributes:
    words: the vocabulary.
    vectors: of each.
    subwords, buckets: how words are cut and the vectors of the parts, where words never seen have a vector too.
  """

  words: tuple[str, ...]
  vectors: Float[np.ndarray, "word feature"]
  subwords: Subwords | None = None
  buckets: Float[np.ndarray, "bucket feature"] | None = None

  @functools.cached_property
  def place(self) -> dict[str, int]:
    """Of each word in the vocabulary."""
    return {word: i for i, word in enumerate(self.words)}

  @functools.cached_property
  def unit(self) -> Float[np.ndarray, "word feature"]:
    """The vectors, of length 1."""
    return _normalised(self.vectors)

  def __contains__(self, word: str) -> bool:
    return word in self.place

  def vector(self, word: str) -> Float[np.ndarray, " feature"]:
    """Of a word; of one never seen the mean of its subwords', where there are any.

    Raises:
      UserError: it is not known; the nearest spellings are named.
    """
    if word in self.place:
      return self.vectors[self.place[word]]
    if self.subwords is not None and self.buckets is not None and (parts := self.subwords.of(word)):
      return self.buckets[parts].mean(0)
    near = difflib.get_close_matches(word, self.words, 5, 0.6)
    remedy = f"nearest spellings: {', '.join(near)}." if near else "no word is spelt like it."
    raise UserError("word", word, f"it is not among the {len(self.words)} words that have vectors; {remedy}")

  def similarity(self, one: str, other: str) -> float:
    """Cosine of the angle between the vectors of two words."""
    return float(_normalised(self.vector(one)) @ _normalised(self.vector(other)))

  def most_similar(
    self, positive: Sequence[str], negative: Sequence[str] = (), count: int = 10, multiply: bool = False
  ) -> list[tuple[str, float]]:
    """The words nearest to some and furthest from others, with their scores; those given are left out.

    Args:
      positive, negative: a is to b as c is to ? is positive b and c, negative a.
      count: how many.
      multiply: 3CosMul (Levy & Goldberg 2014): products and quotients of cosines, moved to 0 to 1; else 3CosAdd: the
        cosine with the mean of the unit vectors.

    Raises:
      UserError: a word that is not known, or none given.
    """
    if not [*positive, *negative]:
      raise UserError("words", "", "give one at least.")
    vectors = [_normalised(self.vector(word)) for word in (*positive, *negative)]
    signs = np.array([1.0] * len(positive) + [-1.0] * len(negative), np.float32)
    score = score_of(self.unit, np.stack(vectors)[None], signs, multiply)[0]
    given = [self.place[word] for word in (*positive, *negative) if word in self.place]
    score[given] = -np.inf
    best = np.argsort(-score, kind="stable")[: min(count, len(score) - len(given))]
    return [(self.words[i], float(score[i])) for i in best]

  def document_vectors(self, texts: Sequence[str]) -> Float[np.ndarray, "text feature"]:
    """The mean of the unit vectors of each text's words; zeros where none is known."""
    result = np.zeros((len(texts), self.vectors.shape[1]), np.float32)
    for row, text in zip(result, texts):
      known = [self.place[word] for word in words_of(text) if word in self.place]
      if known:
        row[:] = self.unit[known].mean(0)
    return result


def score_of(unit, given: Float[np.ndarray, "query term feature"], signs: Float[np.ndarray, " term"], multiply: bool):
  """How well each word fits queries [query, word]: 3CosAdd, or 3CosMul with ε of 0.001."""
  if not multiply:
    mean = _normalised((given * signs[:, None]).mean(1))
    return mean @ unit.T
  cosines = (1 + given @ unit.T) / 2
  plus, minus = cosines[:, signs > 0].prod(1), cosines[:, signs < 0].prod(1)
  return plus / (minus + 1e-3)


def _normalised(vectors):
  length = np.linalg.norm(vectors, axis=-1, keepdims=True)
  return vectors / np.where(length > 0, length, 1)


def dumps(vectors: WordVectors, binary: bool) -> bytes:
  """The words and their vectors as word2vec.c writes them.

  A line of the two sizes; then for each word itself, a space, and its numbers: in digits, or as little-endian float32.
  """
  rows = np.asarray(vectors.vectors, "<f4")
  header = f"{rows.shape[0]} {rows.shape[1]}\n".encode()
  if binary:
    return header + b"".join(f"{word} ".encode() + row.tobytes() + b"\n" for word, row in zip(vectors.words, rows))
  digits = (f"{word} {' '.join(np.format_float_positional(x, trim='-') for x in row)}\n" for word, row in _zip(vectors))
  return header + "".join(digits).encode()


def _zip(vectors: WordVectors):
  return zip(vectors.words, np.asarray(vectors.vectors, np.float32))


def read(path: str | pathlib.Path) -> WordVectors:
  """The vectors of a file in one of word2vec's formats, told apart by its contents.

  Raises:
    UserError: no such file, or not of either format, or it ends early.
  """
  file = pathlib.Path(path)
  if not file.is_file():
    raise UserError("vectors", str(path), "there is no such file.")
  contents = file.read_bytes()
  header, _, body = contents.partition(b"\n")
  try:
    words, features = map(int, header.split())
  except ValueError as error:
    remedy = "its first line is not the number of words and of features: give a file in word2vec's format."
    raise UserError("vectors", str(path), remedy) from error
  lines = body.split(b"\n", 1)[0].split(b" ")
  try:
    text = len(lines) == features + 1 and all(np.isfinite(float(x)) for x in lines[1:])
  except ValueError:
    text = False
  try:
    return _of_text(body, words, features) if text else _of_bytes(body, words, features)
  except (ValueError, IndexError) as error:
    raise UserError("vectors", str(path), f"it is damaged, or ends early ({error}): write it again.") from error


def _of_text(body: bytes, words: int, features: int) -> WordVectors:
  lines = [line.rstrip().split(" ") for line in body.decode("utf-8").splitlines()[:words]]
  if len(lines) < words or any(len(line) != features + 1 for line in lines):
    raise ValueError(f"of {words} words of {features} numbers there are {len(lines)} lines")
  return WordVectors(tuple(line[0] for line in lines), np.array([line[1:] for line in lines], np.float32))


def _of_bytes(body: bytes, words: int, features: int) -> WordVectors:
  names, place, size = [], 0, 4 * features
  rows = np.empty((words, features), np.float32)
  for row in rows:
    end = body.index(b" ", place)
    names.append(body[place:end].lstrip(b"\n").decode("utf-8"))
    row[:] = np.frombuffer(body[end + 1 : end + 1 + size], "<f4")
    place = end + 1 + size
  return WordVectors(tuple(names), rows)
