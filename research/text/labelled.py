"""Labelled texts, from tables: SST-2 as GLUE has it, or a user's own `.csv`, `.tsv`, `.parquet` or `.jsonl`."""

import dataclasses
import json
import pathlib

import numpy as np
from jaxtyping import Int

from research.data import cells, raw
from research.data.examples import Examples, choose, held_out
from research.errors import UserError
from research.text import corpora, tokenizers

SST2, FILES = "sst2", ("train.tsv", "dev.tsv")
SUFFIXES = (*cells.SUFFIXES, ".jsonl")
KINDS = "a table of texts and labels (.csv, .tsv, .parquet, .jsonl)"
_CALLED = ("text", "sentence", "content")  # columns of texts
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


def load(name: str, split: str, path: str | None = None, text: str = "", label: str = "") -> LabelledTexts:
  """A split of a set, 'train' or 'test', its training part in an order drawn with seed 0.

  * sst2: phrases and sentences of film reviews, negative or positive (Socher et al. 2013; Wang et al. 2019); 'test' is
    GLUE's dev set, which is what the literature scores, its test labels being secret.  From
    `$GENERA_DATA_DIR/sst2/{train,dev}.tsv`, or the folder `path`.
  * a user's own table at `path`: a stratified fifth of it, drawn with seed 0, is 'test'.

  Args:
    name: unused with a path of one's own.
    split: see above.
    path: of a table, or the folder of `sst2`.
    text, label: columns, as of `table`.

  Raises:
    UserError: no such set or file, and as `table`.
  """
  if raw.is_own(name, path, *FILES):
    whole = table(raw.own(path, KINDS, SUFFIXES, known=FILES), text, label)
    return whole.select(choose(held_out(whole.label), split))
  if name != SST2:
    raise UserError("config.data.name", name, f"choose {SST2}, or give a table by config.data.path.")
  file = raw.locate(SST2, FILES[("train", "test").index(split)], path)
  return _shuffled(table(file)) if split == "train" else table(file)


def table(file: pathlib.Path, text: str = "", label: str = "") -> LabelledTexts:
  """Texts and labels of a table with a line of names (`cells.read`), or of a `.jsonl`, an object a line.

  Args:
    file: UTF-8.
    text: name of the column of texts; by default `text`, `sentence` or `content`, whichever there is.
    label: name of that of labels, by default `label`, of any values: classes are in order of their names.

  Raises:
    UserError: as `cells.read`; no such columns, an empty text or label, one class only.
  """
  given = _objects(file) if file.suffix.lower() == ".jsonl" else cells.read(file, header=True, quotes=False)
  text = text or next((name for name in _CALLED if name in given.header), _CALLED[0])
  columns = {}
  for field, column in (("config.data.text", text), ("config.data.target", label or "label")):
    if column not in given.header:
      raise UserError(field, column, f"{file} has no such column: choose one of {', '.join(given.header[:12])}.")
    place = given.header.index(column)
    columns[field] = [row[place] for _, row in given.rows]
    for number, row in given.rows:
      if not row[place]:
        raise UserError(f"{file}, {given.unit} {number}, column {column}", "", "it is empty: remove the row.")
  texts, labels = columns.values()
  names = sorted(set(labels))
  if len(names) < 2:
    raise UserError(f"{file}: classes", names, "there is one only: give examples of two at least.")
  place = {name: i for i, name in enumerate(names)}
  return LabelledTexts(file.name, tuple(texts), np.array([place[l] for l in labels], np.int32), tuple(names))


def _objects(file: pathlib.Path) -> cells.Cells:
  """The cells of a `.jsonl`; the first line's names are the columns'."""
  header: tuple[str, ...] = ()
  rows = []
  for number, line in enumerate(corpora.read(file).splitlines(), 1):
    if not line.strip():
      continue
    try:
      record = dict(json.loads(line))
    except (ValueError, TypeError) as error:
      raise UserError(f"{file}, line", number, f"it is no JSON object ({error}).") from error
    header = header or tuple(map(str, record))
    rows.append((number, ["" if record.get(name) is None else str(record[name]).strip() for name in header]))
  return cells.Cells(str(file), header, rows)


def _shuffled(texts: LabelledTexts) -> LabelledTexts:
  return texts.select(np.random.Generator(np.random.Philox(key=0)).permutation(len(texts)))


def encoded(texts: LabelledTexts, tokenizer: tokenizers.Tokenizer, length: int) -> Examples:
  """`inputs` int32 [example, length]: tokens, one higher than the tokenizer's, cut at `length`; `PADDING` behind."""
  inputs = np.full((len(texts), length), PADDING, np.int32)
  for row, text in zip(inputs, texts.texts):
    tokens = tokenizer.encode(text)[:length] + 1
    row[: len(tokens)] = tokens
  return Examples(texts.name, inputs, texts.label, texts.class_names)
