"""From text to tokens and back: characters, words, bytes, and byte-pair encoding.

A tokenizer is a value: it is learned from the training part alone, and `dumps` and `loads` keep it as a line of JSON.
"""

import collections
import dataclasses
import functools
import json
import re
from collections.abc import Iterable
from typing import Any, Protocol

import numpy as np
from jaxtyping import Int

from research.errors import UserError

UNKNOWN = "<unk>"
_WORDS = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]|\n")


class Tokenizer(Protocol):
  """Attributes:
  kind: one of `KINDS`.
  size: number of tokens, 0 to size - 1.
  """

  @property
  def kind(self) -> str: ...

  @property
  def size(self) -> int: ...

  def encode(self, text: str) -> Int[np.ndarray, " token"]:
    """Tokens, int32.  UserError where the text has what there is no token for."""
    ...

  def decode(self, tokens: Iterable[int]) -> str:
    """Text; of what `encode` returned, the text itself (of words: but for its spaces)."""
    ...


def names(tokenizer: Tokenizer, first: int = 0) -> dict[str, Any]:
  """For other programs: the tokenizer as JSON, and the number of the first of its tokens."""
  return {"tokenizer": json.loads(dumps(tokenizer)), "first_token": first}


@dataclasses.dataclass(frozen=True)
class Characters:
  """One token a character.

  Attributes:
    alphabet: the characters, in order of their tokens.
  """

  alphabet: str
  kind: str = dataclasses.field(default="characters", init=False)

  @classmethod
  def learned(cls, text: str) -> "Characters":
    """Of the characters of a text, in order of their code points."""
    return cls("".join(sorted(set(text))))

  @property
  def size(self) -> int:
    return len(self.alphabet)

  @functools.cached_property
  def _place(self) -> dict[str, int]:
    return {character: i for i, character in enumerate(self.alphabet)}

  def encode(self, text: str) -> Int[np.ndarray, " token"]:
    place = self._place
    if unknown := sorted(set(text) - place.keys()):
      known = "the training text has none of them"
      raise UserError("text", "".join(unknown[:20]), f"{known}: leave them out, or use tokens of kind bytes or bpe.")
    return np.fromiter((place[character] for character in text), np.int32, len(text))

  def decode(self, tokens: Iterable[int]) -> str:
    return "".join(self.alphabet[token] for token in tokens)


@dataclasses.dataclass(frozen=True)
class Bytes:
  """One token a byte of UTF-8: any text, nothing to learn."""

  kind: str = dataclasses.field(default="bytes", init=False)

  @property
  def size(self) -> int:
    return 256

  def encode(self, text: str) -> Int[np.ndarray, " token"]:
    return np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8).astype(np.int32)

  def decode(self, tokens: Iterable[int]) -> str:
    octets = bytes(np.asarray(list(tokens), np.uint8))
    try:
      return octets.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:  # what a model has written need be no UTF-8
      return octets.decode("utf-8", "replace")


@dataclasses.dataclass(frozen=True)
class Words:
  """One token a word, a sign of punctuation or a line's end; words that are not in the vocabulary are one token.

  Attributes:
    vocabulary: the words, in order of their tokens; the first is that of all others.
    lower: whether words are lower-cased.
  """

  vocabulary: tuple[str, ...]
  lower: bool = False
  kind: str = dataclasses.field(default="words", init=False)

  @classmethod
  def learned(cls, text: str, size: int = 0, least: int = 1, lower: bool = False) -> "Words":
    """The most frequent words of a text.

    Args:
      text: the training part.
      size: of the vocabulary at most; 0 for any.
      least: occurrences of a word that is in it.
      lower: as the attribute.
    """
    counts = collections.Counter(_split(text, lower))
    frequent = sorted((word for word, count in counts.items() if count >= least), key=lambda w: (-counts[w], w))
    frequent = [word for word in frequent if word != UNKNOWN]
    return cls((UNKNOWN, *(frequent[: size - 1] if size else frequent)), lower)

  @property
  def size(self) -> int:
    return len(self.vocabulary)

  @functools.cached_property
  def _place(self) -> dict[str, int]:
    return {word: i for i, word in enumerate(self.vocabulary)}

  def encode(self, text: str) -> Int[np.ndarray, " token"]:
    place = self._place
    return np.array([place.get(word, 0) for word in _split(text, self.lower)], np.int32)

  def decode(self, tokens: Iterable[int]) -> str:
    text = " ".join(self.vocabulary[token] for token in tokens)
    return re.sub(r" ?\n ?", "\n", text)


def _split(text: str, lower: bool) -> list[str]:
  return _WORDS.findall(text.lower() if lower else text)


@dataclasses.dataclass(frozen=True)
class BytePairs:
  """Byte-pair encoding (Sennrich et al. 2016) of bytes, so that any text has tokens, by the `tokenizers` library.

  Attributes:
    model: the library's tokenizer, as its JSON.
  """

  model: str
  kind: str = dataclasses.field(default="bpe", init=False)

  @classmethod
  def learned(cls, text: str, size: int) -> "BytePairs":
    """Of the merges that are most frequent in a text, `size` tokens in all; UserError below 256, the bytes."""
    if size < 256:
      raise UserError("config.data.vocabulary", size, "byte pairs are merged from 256 bytes: give more.")
    library = _library()
    tokenizer = library.Tokenizer(library.models.BPE())
    tokenizer.pre_tokenizer = library.pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = library.decoders.ByteLevel()
    alphabet = library.pre_tokenizers.ByteLevel.alphabet()
    trainer = library.trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(text.splitlines(keepends=True), trainer)
    return cls(tokenizer.to_str())

  @functools.cached_property
  def _tokenizer(self):
    return _library().Tokenizer.from_str(self.model)

  @property
  def size(self) -> int:
    return self._tokenizer.get_vocab_size()

  def encode(self, text: str) -> Int[np.ndarray, " token"]:
    return np.array(self._tokenizer.encode(text).ids, np.int32)

  def decode(self, tokens: Iterable[int]) -> str:
    return self._tokenizer.decode([int(token) for token in tokens])


def _library() -> Any:
  try:
    import tokenizers
  except ImportError as error:
    raise UserError(
      "config.data.tokens", "bpe", "it takes the tokenizers library: pip install 'genera[text]'."
    ) from error
  return tokenizers


KINDS = {"characters": Characters, "bytes": Bytes, "words": Words, "bpe": BytePairs}


def learned(kind: str, text: str, size: int = 0) -> Tokenizer:
  """The tokenizer of that kind, learned from a text.

  Args:
    kind: one of `KINDS`.
    text: the training part.
    size: of the vocabulary, where it is chosen: of words at most, of byte pairs.

  Raises:
    UserError: no such kind, or no text.
  """
  if not text:
    raise UserError("text", "", "it is empty: give some.")
  match kind:
    case "characters":
      return Characters.learned(text)
    case "bytes":
      return Bytes()
    case "words":
      return Words.learned(text, size)
    case "bpe":
      return BytePairs.learned(text, size)
  raise UserError("config.data.tokens", kind, f"choose one of {', '.join(KINDS)}.")


def dumps(tokenizer: Any) -> str:
  """A tokenizer as a line of JSON."""
  return json.dumps(dataclasses.asdict(tokenizer), ensure_ascii=False)


def loads(text: str) -> Tokenizer:
  """The tokenizer that `dumps` has written."""
  fields = json.loads(text)
  kind = fields.pop("kind")
  options: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()}
  return KINDS[kind](**options)
