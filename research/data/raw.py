"""Data sets that are plain files and no TFDS builder has: where they lie."""

import os
from pathlib import Path

from research.errors import UserError

VARIABLE = "GENERA_DATA_DIR"


def locate(name: str, file: str, path: str | None = None) -> Path:
  """The file of a data set.

  Args:
    name: of the set, which is the name of its folder.
    file: its name in the folder.
    path: the user's own: the file itself, or the folder that holds it; by default `$GENERA_DATA_DIR/<name>`.

  Raises:
    UserError: there is no such file.
  """
  root = Path(path) if path else Path(os.environ.get(VARIABLE, ".")) / name
  location = root if root.is_file() else root / file
  if not location.is_file():
    remedy = f"set it to the folder that holds {file}, or {VARIABLE} to the folder that holds {name}/{file}."
    raise UserError("config.data.path", path or "", f"there is no file {location}: {remedy}")
  return location
