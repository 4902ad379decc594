"""Every experiment and config: what it reproduces and what it costs.

  python -m experiments            all of them
  python -m experiments cnn mlp    some

Read from the docstrings, without importing anything: a config's first line is its title, and its lines `Paper:`,
`Command:`, `Hardware:`, `Time:` and `Expected:` say the rest, each going on over the lines indented below it.
"""

import ast
import dataclasses
import difflib
import pathlib
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence

from experiments.command import cli
from research.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]
FIELDS = ("Paper", "Command", "Hardware", "Time", "Expected")


@dataclasses.dataclass(frozen=True)
class Entry:
  """A config file, as its docstring describes it.

  Attributes:
    family: the experiment that runs it, which is the name of its folder.
    path: from the root of the repository.
    title: the docstring's first line.
    fields: of `FIELDS`, those that the docstring has.
  """

  family: str
  path: str
  title: str
  fields: Mapping[str, str]


def docstring(path: pathlib.Path) -> str:
  """A module's docstring, unexecuted; empty where it has none or the file does not parse."""
  try:
    return ast.get_docstring(ast.parse(path.read_text())) or ""
  except SyntaxError:
    return ""


def describe(text: str) -> tuple[str, dict[str, str]]:
  """The title of a config's docstring, and its fields."""
  title, _, rest = text.partition("\n")
  fields: dict[str, str] = {}
  current = None
  for line in rest.splitlines():
    match = re.match(rf"({'|'.join(FIELDS)}):\s*(.*)", line)
    if match:
      current = match[1]
      fields[current] = match[2].strip()
    elif current and line.startswith(" ") and line.strip():
      fields[current] = f"{fields[current]} {line.strip()}".strip()
    else:
      current = None  # prose between or after the fields
  return title.strip().rstrip("."), fields


def entries(root: pathlib.Path = ROOT) -> list[Entry]:
  """Every config below `configs/<family>/`."""
  return [
    Entry(path.parent.name, path.relative_to(root).as_posix(), *describe(docstring(path)))
    for path in cli.config_files(root)
  ]


def experiments(root: pathlib.Path = ROOT) -> dict[str, str]:
  """Name of every experiment file -> first line of its docstring; experiments are the files with a DEFAULT config."""
  files = [path for path in sorted((root / "experiments").glob("*.py")) if not path.stem.startswith("_")]
  names_default = lambda path: re.search(r"^DEFAULT = ", path.read_text(), re.MULTILINE)
  return {path.stem: docstring(path).partition("\n")[0] for path in files if names_default(path)}


def listing(root: pathlib.Path = ROOT, only: Sequence[str] = (), width: int = 100) -> str:
  """The page that `python -m experiments` prints.

  Raises:
    UserError: a name in `only` that is no experiment.
  """
  named, configs = experiments(root), entries(root)
  families = sorted({*named, *(entry.family for entry in configs)})
  for name in only:
    if name not in families:
      near = difflib.get_close_matches(name, families, 1)
      hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(families)}"
      raise UserError("experiment", name, f"there is no such experiment: {hint}")
  blocks = []
  for family in only or families:
    about = named.get(family, "no experiment file yet").rstrip(".")
    blocks.append(textwrap.fill(f"{family}: {about}", width, subsequent_indent="  "))
    blocks += [_block(entry, width) for entry in configs if entry.family == family]
  usage = "Run one:  python -m experiments.NAME [--config=CONFIG[:smoke]] [--workdir=DIR] [--config.FIELD=VALUE]"
  return "\n\n".join([*blocks, usage])


def _block(entry: Entry, width: int) -> str:
  """A config's title and fields, indented; what its docstring leaves out is not shown."""
  lines = [f"  {entry.path}", textwrap.fill(entry.title or "(no docstring)", width, initial_indent=" " * 4)]
  for field in FIELDS:
    if entry.fields.get(field):
      if field == "Command":  # never broken, so that it can be copied
        lines.append(f"    {field.lower():<9} {entry.fields[field].strip('`')}")
        continue
      start, hanging = f"    {field.lower():<9} ", " " * 14
      lines.append(textwrap.fill(entry.fields[field], width, initial_indent=start, subsequent_indent=hanging))
  return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the listing; 2 for an unknown name."""
  names = list(sys.argv[1:] if argv is None else argv)
  if any(name in ("-h", "--help") for name in names):
    print((__doc__ or "").strip())
    return 0
  try:
    print(listing(only=names, width=min(shutil.get_terminal_size((100, 24)).columns, 100)))
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  return 0
