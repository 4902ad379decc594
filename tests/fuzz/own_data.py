"""A user's own data with something wrong, and what becomes of them: a run, or a paragraph that says what is wrong.

Begins with a valid small file of every kind (`tests.mock_data.own`), and a command of docs/data.md that reads it.
"""

import importlib
import pathlib
import random
import re
import shlex
import shutil
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import numpy as np

from experiments.command import cli, session
from research.data import remembered
from research.training.precision import precision
from tests.fuzz import configs

DOCUMENT = (cli.ROOT / "docs" / "data.md").read_text()
SMALL = {"lda": {"data.least": "2"}}  # of the smoke variants, too much for small files
CELLS = (
  "",
  " ",
  "nan",
  "inf",
  "-1",
  "1e400",
  "1_000",
  "0.5",
  "é",
  '"',
  "a\tb",
  "\x00",
  "9" * 40,
  "x" * 300,
  "True",
  "NA",
)
DTYPES = ("float64", "float16", "int64", "int8", "uint16", "bool", "complex64", "U3", "S3", "datetime64[D]", "object")
TEXTS = {".csv", ".tsv", ".txt", ".jsonl", ".json", ".bif"}


class Command(NamedTuple):
  """A command of docs/data.md: its experiment and its flags."""

  experiment: str
  flags: str

  @property
  def names(self) -> list[str]:
    """Of the files or folders that it reads."""
    match = re.search(r"data\.path=(\S+)", self.flags)
    assert match is not None
    return match[1].split(",")


COMMANDS = [Command(*pair) for pair in re.findall(r"`python -m experiments\.(\w+)([^`]*)`", DOCUMENT)]


def config_of(command: Command, **also: str):
  """The smoke variant of what a command asks for, on one device."""
  module = importlib.import_module(f"experiments.{command.experiment}")
  flags, overrides = cli.parse(shlex.split(command.flags), module.DEFAULT)
  spec = flags["config"] + ("" if ":" in flags["config"] else ":smoke")
  one = {"run.num_devices": "1", **SMALL.get(command.experiment, {})}
  return module.experiment, cli.load_config(spec, {**one, **overrides, **also})


def prepared(command: Command, **also: str) -> session.Prepared:
  """What a command has built before its first step."""
  build, config = config_of(command, **also)
  with precision(config.train.precision):
    return session.prepared(build, config, remembered.Memory(), "train")


def outcome(command: Command) -> configs.Outcome:
  """Builds what a command asks for, of the files where it is called, and traces an update and an evaluation."""
  try:
    with configs.patience(configs.PATIENCE):
      build, config = config_of(command)
      with precision(config.train.precision):
        configs.trace(session.prepared(build, config, remembered.Memory(), "train"))
  except Exception as error:
    return configs.Outcome(error)
  return configs.Outcome(None)


def damaged(originals: pathlib.Path, command: Command, dice: random.Random, folder: pathlib.Path) -> list[str]:
  """Copies what a command reads into a folder, and does one to three things to it; what was done."""
  for name in command.names:
    copy = shutil.copytree if (originals / name).is_dir() else shutil.copy
    copy(originals / name, folder / name)
  return [mutate(folder, dice) for _ in range(dice.choice((1, 1, 1, 2, 3)))]


def mutate(folder: pathlib.Path, dice: random.Random) -> str:
  """Does something to a file below a folder; what."""
  files = sorted(file for file in folder.rglob("*") if file.is_file())
  if not files:
    return "nothing is left"
  file = dice.choice(files)
  of_kind = {".npz": _arrays, ".npy": _arrays, ".parquet": _columns, **dict.fromkeys(TEXTS, _cells)}
  ways: list[Callable[[pathlib.Path, random.Random], str]] = [_bytes, _names]
  ways += 4 * [of_kind[file.suffix]] if file.suffix in of_kind else 2 * [_bytes]
  try:
    return f"{file.name}: {dice.choice(ways)(file, dice)}"
  except Exception:  # it was damaged before
    return f"{file.name}: {_bytes(file, dice)}"


def _bytes(file: pathlib.Path, dice: random.Random) -> str:
  """Some bytes are others, or gone, or come twice."""
  contents = bytearray(file.read_bytes())
  start = dice.randrange(min(len(contents), dice.choice((64, len(contents)))) + 1)  # where a header is, or anywhere
  size = dice.choice((1, 1, 4, 40, len(contents)))
  match way := dice.choice(("change", "change", "cut", "end", "twice", "empty")):
    case "change":
      stretch = range(start, min(start + min(size, 40), len(contents)))
      for place in stretch:
        contents[place] = dice.randrange(256)
    case "cut":
      del contents[start : start + size]
    case "end":
      del contents[start:]
    case "twice":
      contents[start:start] = contents[start : start + size]
    case "empty":
      contents.clear()
  file.write_bytes(bytes(contents))
  return f"{way} {size} bytes at {start}"


def _names(file: pathlib.Path, dice: random.Random) -> str:
  """A file is gone, or has another name, or is a folder, or lies twice."""
  other = file.with_name(
    dice.choice((f"é {file.name}", file.name.upper(), f"{file.stem}.png", f".{file.name}", "0.txt"))
  )
  match way := dice.choice(("remove", "rename", "copy", "folder", "link")):
    case "remove":
      file.unlink()
    case "rename":
      file.rename(other)
    case "copy":
      other.write_bytes(file.read_bytes())
    case "folder":
      file.unlink()
      file.mkdir()
    case "link":
      file.unlink()
      file.symlink_to("nowhere")
  return f"{way} {other.name}"


def _cells(file: pathlib.Path, dice: random.Random) -> str:
  """A cell, a line or a column is another, or gone, or comes twice."""
  text = file.read_text(errors="replace")
  by = {".csv": ",", ".jsonl": ",", ".json": ",", ".tsv": "\t"}.get(file.suffix, " ")
  rows = [line.split(by) for line in text.split("\n")]
  row = dice.randrange(len(rows))
  column = dice.randrange(len(rows[row]))
  match way := dice.choice(
    ("cell", "cell", "cell", "name", "line", "lines", "column", "twice", "ones", "longer", "key")
  ):
    case "cell":
      rows[row][column] = dice.choice(CELLS)
    case "name":
      rows[0][dice.randrange(len(rows[0]))] = dice.choice(CELLS)
    case "line":
      del rows[row]
    case "lines":
      del rows[min(1 + dice.randrange(6), row) :]
    case "column":
      rows = [line[:column] + line[column + 1 :] for line in rows]
    case "twice":
      rows = [line[: column + 1] + line[column:] for line in rows]
    case "ones":  # every cell of a column is the same
      value = dice.choice((*CELLS, "1"))
      rows = [rows[0], *([*line[:column], value, *line[column + 1 :]] for line in rows[1:])]
    case "longer":
      rows[row] = rows[row] + [dice.choice(CELLS)] * dice.choice((1, 3))
    case "key":
      file.write_text(text.replace(*dice.choice((('"', "'"), (":", ""), ("{", "["), ("60", "600"), ("\n", "\r")))))
      return "key"
  file.write_text("\n".join(by.join(line) for line in rows))
  return f"{way} at {row}, {column}"


def _arrays(file: pathlib.Path, dice: random.Random) -> str:
  """An array is of another type or shape, has other values or another name, or is gone."""
  contents = np.load(file)
  arrays = {"": contents} if file.suffix == ".npy" else dict(contents)
  name = dice.choice(sorted(arrays))
  way, arrays[name] = _another(arrays[name], dice)
  if file.suffix == ".npy":
    np.save(file, arrays[name], allow_pickle=True)
    return way
  if (chosen := dice.randrange(8)) == 0:
    del arrays[name]
  elif chosen == 1:
    arrays[dice.choice(("x", "labels", "test_inputs", "train_label", "é"))] = arrays.pop(name)
  np.savez(file, **arrays)
  return f"{name} {way} {chosen}"


def _another(array: np.ndarray, dice: random.Random) -> tuple[str, Any]:
  way = dice.choice(("type", "type", "fewer", "none", "axis", "flat", "number", "value", "constant", "order"))
  match way:
    case "type":
      dtype = dice.choice(DTYPES)
      try:
        return dtype, array.astype(dtype)
      except (ValueError, TypeError):
        return "object", array.astype(object)
    case "fewer":
      return way, array[: dice.randrange(6)]
    case "none":
      return way, array[:0] if dice.random() < 0.5 else array.reshape(len(array), -1)[:, :0]
    case "axis":
      return way, array[None] if dice.random() < 0.5 else array[..., None]
    case "flat":
      return way, array.ravel() if dice.random() < 0.5 else array.reshape(len(array), -1)
    case "number":
      return way, array.ravel()[0]
    case "value" if array.dtype.kind in "iufb":
      value = dice.choice((-1, 2**31, 255, float("nan"), float("inf"), 1e30))
      changed = array.astype(np.float64 if dice.random() < 0.5 else np.float32)
      changed.ravel()[dice.randrange(changed.size)] = value
      return f"{value}", changed.astype(array.dtype) if np.isfinite(value) and abs(value) < 100 else changed
    case "constant":
      return way, np.broadcast_to(array.ravel()[0], array.shape)
  return "order", np.asfortranarray(array)


def _columns(file: pathlib.Path, dice: random.Random) -> str:
  """A column of Parquet is of another type, or gone, or missing in places."""
  import pyarrow
  import pyarrow.parquet

  table = pyarrow.parquet.read_table(file)
  columns = {name: table.column(name).to_pylist() for name in table.column_names}
  if not columns:
    return "nothing is left"
  name = dice.choice(sorted(columns))
  values = columns[name]
  match way := dice.choice(
    ("null", "nulls", "lists", "dates", "bytes", "bools", "gone", "fewer", "none", "record", "name")
  ):
    case "null":
      values = [None if i == len(values) // 2 else value for i, value in enumerate(values)]
    case "nulls":
      values = [None] * len(values)
    case "lists":
      values = [[value] for value in values]
    case "dates":
      values = [np.datetime64("2020-01-01", "D") + i for i in range(len(values))]
    case "bytes":
      values = [b"\xff\x00"] * len(values)
    case "bools":
      values = [i % 2 == 0 for i in range(len(values))]
    case "record":
      values = [{"a": 1}] * len(values)
  if way == "gone":
    del columns[name]
  elif way == "name":
    columns[dice.choice(CELLS)] = columns.pop(name)
  else:
    columns[name] = values
  rows = {"fewer": dice.randrange(6), "none": 0}.get(way)
  pyarrow.parquet.write_table(pyarrow.table({key: column[:rows] for key, column in columns.items()}), file)
  return f"{way} {name}"


def commands(only: Collection[str] = ()) -> list[Command]:
  """Those of some experiments, or all."""
  return [command for command in COMMANDS if not only or command.experiment in only]
