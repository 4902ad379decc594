"""Labelled texts, from tables: SST-2 as GLUE has it, or a user's own `.csv`, `.tsv` or `.jsonl`."""

import csv
import dataclasses
import io
import json
import pathlib

import numpy as np
from jaxtyping import Int

from research.data import raw
from research.data.examples import Examples, choose, held_out
from research.errors import UserError
from research.text import corpora, tokenizers

SST2 = "sst2"
PADDING = 0  # the token of what is no token; those of a tokenizer are one higher


@dataclasses.dataclass(frozen=True)
class LabelledTexts:
  """Texts and their classes.

  Attributes:
    name: for messages.
    texts: one an example.
    label: int32 [example].
    class_names: one a class.
  """

  name: str
  texts: tuple[str, ...]
  label: Int[np.ndarray, " example"]
  class_names: tuple[str, ...]

  def __len__(self) -> int:
    return len(self.label)

  def select(self, index: Int[np.ndarray, " some"] | slice) -> "LabelledTexts":
    """The examples at `index`."""
    chosen = np.arange(len(self))[index]
    return dataclasses.replace(self, texts=tuple(self.texts[i] for i in chosen), label=self.label[chosen])


def load(name: str, split: str, path: str | None = None) -> LabelledTexts:
  """A split of a set, 'train' or 'test', its training part in an order drawn with seed 0.

  * sst2: phrases and sentences of film reviews, negative or positive (Socher et al. 2013; Wang et al. 2019); 'test' is
    GLUE's dev set, which is what the literature scores, its test labels being secret.  From
    `$GENERA_DATA_DIR/sst2/{train,dev}.tsv`, or the folder `path`.
  * a user's own table at `path`: a stratified fifth of it, drawn with seed 0, is 'test'.

  Raises:
    UserError: no such set or file, and as `table`.
  """
  if name == SST2:
    file = raw.locate(SST2, {"train": "train.tsv", "test": "dev.tsv"}[split], path)
    return _shuffled(table(file)) if split == "train" else table(file)
  if not path:
    raise UserError("config.data.name", name, f"choose {SST2}, or give a table by config.data.path.")
  whole = table(pathlib.Path(path))
  return whole.select(choose(held_out(whole.label), split))


def table(file: pathlib.Path, text: str = "", label: str = "label") -> LabelledTexts:
  """Texts and labels of a `.csv` or `.tsv` with a header, or of a `.jsonl`.

  Args:
    file: UTF-8.
    text: name of the column of texts; by default `text`, `sentence` or `content`, whichever there is.
    label: name of that of labels, of any values: classes are in order of their names.

  Raises:
    UserError: no such file, no such columns, an empty text, one class only.
  """
  rows = _rows(file)
  if not rows:
    raise UserError("config.data.path", str(file), "it has no rows.")
  columns = rows[0].keys()
  text = text or next((name for name in ("text", "sentence", "content") if name in columns), "text")
  for column in (text, label):
    if column not in columns:
      raise UserError(
        "config.data.path", str(file), f"it has no column {column!r}, but {', '.join(map(str, columns))}."
      )
  texts, labels = [str(row[text] or "") for row in rows], [str(row[label]) for row in rows]
  if empty := [number for number, words in enumerate(texts, 1) if not words.strip()]:
    raise UserError(f"{file}: row", empty[0], f"its text is empty, as are {len(empty)} in all: remove them.")
  names = sorted(set(labels))
  if len(names) < 2:
    raise UserError(f"{file}: classes", names, "there is one only: give examples of two at least.")
  place = {name: i for i, name in enumerate(names)}
  return LabelledTexts(file.name, tuple(texts), np.array([place[l] for l in labels], np.int32), tuple(names))


def _rows(file: pathlib.Path) -> list[dict]:
  kinds = {".csv": ",", ".tsv": "\t"}
  if not file.is_file() or file.suffix not in (*kinds, ".jsonl"):
    raise UserError("config.data.path", str(file), "give a .csv, .tsv or .jsonl file.")
  contents = corpora.read(file)
  if file.suffix != ".jsonl":
    quoting = csv.QUOTE_NONE if file.suffix == ".tsv" else csv.QUOTE_MINIMAL  # tabs need no quotes
    return list(csv.DictReader(io.StringIO(contents), delimiter=kinds[file.suffix], quoting=quoting))
  rows = []
  for number, line in enumerate(filter(str.strip, contents.splitlines()), 1):
    try:
      rows.append(dict(json.loads(line)))
    except (ValueError, TypeError) as error:
      raise UserError(f"{file}: line", number, f"it is no JSON object ({error}).") from error
  return rows


def _shuffled(texts: LabelledTexts) -> LabelledTexts:
  return texts.select(np.random.Generator(np.random.Philox(key=0)).permutation(len(texts)))


def encoded(texts: LabelledTexts, tokenizer: tokenizers.Tokenizer, length: int) -> Examples:
  """`inputs` int32 [example, length]: tokens, one higher than the tokenizer's, cut at `length`; `PADDING` behind."""
  inputs = np.full((len(texts), length), PADDING, np.int32)
  for row, text in zip(inputs, texts.texts):
    tokens = tokenizer.encode(text)[:length] + 1
    row[: len(tokens)] = tokens
  return Examples(texts.name, inputs, texts.label, texts.class_names)
