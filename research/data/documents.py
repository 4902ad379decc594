"""Documents as counts of words: the Brown corpus in passages, the topics of Python's help, or one's own texts."""

import dataclasses
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from research.data import raw
from research.errors import UserError
from research.text import corpora

BROWN, HELP, _BROWN_FILE = "brown", "python_help", "brown.txt"
_WORD = re.compile(r"[^\W\d_]{3,}")  # three letters and more
TEST_SHARE = 0.1


@dataclasses.dataclass(frozen=True)
class Documents:
  """Documents over one vocabulary.

  Attributes:
    name: for messages.
    words: of each document, as numbers in the vocabulary: in its order, each once.
    counts: how often each of them stands in it; 0 where a document has no more words.
    vocabulary: the words.
  """

  name: str
  words: Int[np.ndarray, "document place"]
  counts: Float[np.ndarray, "document place"]
  vocabulary: tuple[str, ...]

  def __len__(self) -> int:
    return len(self.counts)

  def select(self, index) -> "Documents":
    """The documents at `index`, an array or a slice."""
    return dataclasses.replace(self, words=self.words[index], counts=self.counts[index])


def load(
  name: str, path: str | None = None, *, least: int = 5, most: float = 0.5, passage: int = 100
) -> tuple[Documents, Documents]:
  """(training, test) documents; a tenth is the test set: the first of a permutation by `Philox(key=0)`.

  Args:
    name: `python_help` (embedded: `pydoc_data.topics`, the pages of Python's `help`) or `brown` (in passages); unused
      with a path of one's own.
    path: a folder of `.txt` files, a document each, or one file, a document a line; or of `brown` its folder, by
      default `$GENERA_DATA_DIR/brown`.
    least: training documents that a word of the vocabulary stands in, at least.
    most: share of the training documents that it stands in, at most.
    passage: sentences of `brown` that are a document.

  Raises:
    UserError: no such set, fewer than ten documents, or no word that is left.
  """
  if raw.is_own(name, path, *((_BROWN_FILE,) if name == BROWN else ())):
    name, texts = str(path), _own(path)
  else:
    texts = _texts(name, path, passage)
  tokens = [_WORD.findall(text.lower()) for text in texts]
  tokens = [words for words in tokens if words]
  if len(tokens) < 10:
    raise UserError("config.data.path", path or name, f"documents of words in it: {len(tokens)}; give ten or more.")
  order = np.random.Generator(np.random.Philox(key=0)).permutation(len(tokens))
  size = max(round(TEST_SHARE * len(tokens)), 1)
  train, test = ([tokens[i] for i in index] for index in (order[size:], order[:size]))
  vocabulary = choose_vocabulary(train, least, most)
  if not vocabulary:
    remedy = f"no word stands in {least} documents and in at most {most:.0%} of them: lower one, or raise the other."
    raise UserError("config.data.least, config.data.most", (least, most), remedy)
  counted = lambda part, split: Documents(f"{name} {split}", *count(part, vocabulary), vocabulary)
  return counted(train, "train"), counted(test, "test")


def choose_vocabulary(documents: Sequence[Sequence[str]], least: int, most: float) -> tuple[str, ...]:
  """The words, sorted, that stand in at least `least` documents and in at most a share `most` of them."""
  frequency = Counter(word for words in documents for word in set(words))
  return tuple(sorted(w for w, n in frequency.items() if least <= n <= most * len(documents)))


def count(
  documents: Sequence[Sequence[str]], vocabulary: Sequence[str]
) -> tuple[Int[np.ndarray, "document place"], Float[np.ndarray, "document place"]]:
  """The `words` and `counts` of `Documents`; words that are not in the vocabulary are left out."""
  number = {word: i for i, word in enumerate(vocabulary)}
  counted = [sorted(Counter(number[word] for word in words if word in number).items()) for words in documents]
  flat = np.array([pair for pairs in counted for pair in pairs], np.int32).reshape(-1, 2)
  return padded(np.array([len(pairs) for pairs in counted], int), flat[:, 0], flat[:, 1].astype(np.float32))


def padded(
  lengths: Int[np.ndarray, " document"], words: Int[np.ndarray, " entry"], counts: Float[np.ndarray, " entry"]
) -> tuple[Int[np.ndarray, "document place"], Float[np.ndarray, "document place"]]:
  """Documents one after the other, each of its length, as rows of the longest one's, filled up with counts of 0."""
  places = np.arange(max(int(lengths.max(initial=0)), 1)) < lengths[:, None]
  of_rows = np.zeros(places.shape, np.int32), np.zeros(places.shape, counts.dtype)
  for rows, values in zip(of_rows, (words, counts)):
    rows[places] = values
  return of_rows


def completion(
  documents: Documents, seed: int = 0
) -> tuple[Float[np.ndarray, "document place"], Float[np.ndarray, "document place"]]:
  """`counts` of two halves of each document, (observed, held out), divided word by word at random."""
  generator = np.random.Generator(np.random.Philox(key=seed))
  observed = generator.binomial(documents.counts.astype(np.int64), 0.5).astype(np.float32)
  return observed, documents.counts - observed


def words_of(text: str) -> list[str]:
  """The words of a text, as those of training were taken."""
  return _WORD.findall(text.lower())


def _texts(name: str, path: str | None, passage: int) -> list[str]:
  match name:
    case "python_help":
      from pydoc_data import topics

      return [text for _, text in sorted(topics.topics.items())]
    case "brown":
      sentences = raw.locate(BROWN, _BROWN_FILE, path).read_text(encoding="utf-8").splitlines()
      return ["\n".join(sentences[i : i + passage]) for i in range(0, len(sentences), max(passage, 1))]
  raise UserError("config.data.name", name, "choose python_help or brown, or give texts by config.data.path.")


def _own(path: str | None) -> list[str]:
  kinds = "a folder of .txt files, a document each; a .txt file, a document a line"
  place = raw.own(path, kinds, corpora.SUFFIXES, "*.txt")
  if place.is_file():
    return corpora.read(place).splitlines()
  return [corpora.read(file) for file in sorted(place.rglob("*.txt"))]
