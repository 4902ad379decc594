"""Plain texts: Shakespeare, Python's own manual, and a user's files."""

import pathlib
import pydoc_data.topics
from collections.abc import Callable
from typing import Any, NamedTuple

from research.data import prepared, raw
from research.errors import UserError

SUFFIXES = (".txt", ".text", ".md", "")  # of files that are plain text
NAMES = ("pydoc", "shakespeare", "tiny_shakespeare")


class Text(NamedTuple):
  """A text in the parts that it comes in; a part may be empty."""

  train: str
  validation: str
  test: str


def load(name: str = "pydoc", path: str | None = None, data_dir: str | None = None) -> Text:
  """A text by name, or a user's own.

  * pydoc: the topics of Python's `help`, which every installation has: 0.7 million characters; the last tenth of the
    topics, by their names, is the test set.
  * shakespeare: Karpathy's file of 1,115,394 characters as nanoGPT divides it: the first 90 % to train, the rest to
    test; from `$GENERA_DATA_DIR/tinyshakespeare/input.txt`.
  * tiny_shakespeare: the same with TFDS's split, 90 %, 5 % and 5 %.
  * a user's own `.txt` file, or all in a folder, by their names: the last tenth of the characters is the test set.

  Args:
    name: one of `NAMES`; unused with a path of one's own.
    path: a file or folder; of shakespeare also that of `input.txt`.
    data_dir: of prepared TFDS sets.

  Raises:
    UserError: no such text; a file that is not UTF-8; nothing in it.
  """
  if raw.is_own(name, path, *(("input.txt",) if name == "shakespeare" else ())):
    return _nine_tenths(own(path))
  readers: dict[str, Callable[[], Text]] = {
    "pydoc": _pydoc,
    "shakespeare": lambda: _nine_tenths(read(raw.locate("tinyshakespeare", "input.txt", path))),
    "tiny_shakespeare": lambda: _tiny_shakespeare(data_dir),
  }
  if name not in readers:
    raise UserError("config.data.name", name, f"choose one of {', '.join(NAMES)}, or give config.data.path.")
  return readers[name]()


def read(file: pathlib.Path) -> str:
  """The text of a file; UserError where it is not UTF-8, or empty."""
  try:
    text = file.read_text(encoding="utf-8")
  except UnicodeDecodeError as error:
    remedy = f"it is not UTF-8 text ({error}): save it as that."
    raise UserError("config.data.path", str(file), remedy) from error
  except OSError as error:
    raise UserError("config.data.path", str(file), f"it cannot be read ({error}).") from error
  if not text.strip():
    raise UserError("config.data.path", str(file), "there is no text in it.")
  return text


def own(path: str | None) -> str:
  """The text of a `.txt` file, or of all in a folder and its subfolders, in order of their names.

  Raises:
    UserError: nothing there, something else, or as `read`.
  """
  place = raw.own(path, "a .txt file, or a folder of them", SUFFIXES, "*.txt")
  return read(place) if place.is_file() else "\n".join(map(read, sorted(place.rglob("*.txt"))))


def _nine_tenths(text: str) -> Text:
  kept = int(0.9 * len(text))
  if not text[kept:]:
    raise UserError("config.data.path", len(text), "the text is too short to hold a tenth of it out: give more.")
  return Text(text[:kept], "", text[kept:])


def _pydoc() -> Text:
  topics = pydoc_data.topics.topics
  names = sorted(topics)
  kept = int(0.9 * len(names))
  join = lambda names: "\n".join(topics[name].strip() + "\n" for name in names)
  return Text(join(names[:kept]), "", join(names[kept:]))


def _tiny_shakespeare(data_dir: str | None) -> Text:
  import tensorflow_datasets as tfds

  folder = prepared.described("tiny_shakespeare", data_dir)[0]
  builder: Any = tfds.builder_from_directory(str(folder))
  text = lambda split: builder.as_data_source(split=split)[0]["text"].decode()
  return Text(text("train"), text("validation"), text("test"))
