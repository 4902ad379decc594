"""Data sets that are plain files and no TFDS builder has: where they lie, and where a user's own lie instead."""

import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from research.errors import UserError

VARIABLE = "GENERA_DATA_DIR"
OWN = "own"  # the name of a set that only its path tells of


def locate(name: str, file: str, path: str | None = None) -> Path:
  """The file of a data set.

  Args:
    name: of the set, which is the name of its folder.
    file: its name in the folder.
    path: the user's own: the file itself, or the folder that holds it; by default `$GENERA_DATA_DIR/<name>`.

  Raises:
    UserError: there is no such file.
  """
  root = Path(path).expanduser() if path else Path(os.environ.get(VARIABLE, ".")) / name
  location = root if root.is_file() else root / file
  if not location.is_file():
    remedy = f"set it to the folder that holds {file}, or {VARIABLE} to the folder that holds {name}/{file}."
    raise UserError("config.data.path", path or "", f"there is no file {location}: {remedy}")
  return location


def arrays(file: Path, names: Collection[str] = ()) -> dict[str, np.ndarray]:
  """The arrays of an `.npz` archive.

  Args:
    file: of the archive.
    names: of those that are read; () for all.

  Raises:
    UserError: it cannot be read, or lacks one of them.
  """
  try:
    with np.load(file, allow_pickle=False) as archive:
      if absent := [name for name in names if name not in archive.files]:
        remedy = f"it has no {', '.join(absent)}, but {', '.join(archive.files[:12])}: give an .npz archive with all."
        raise UserError("config.data.path", str(file), remedy)
      return {name: archive[name] for name in names or archive.files}
  except UserError:
    raise
  except Exception as error:  # zipfile, zlib and NumPy raise many kinds for damaged archives
    remedy = f"it cannot be read ({error}): write an .npz with np.savez, without arrays of objects."
    raise UserError("config.data.path", str(file), remedy) from error


def contents(file: Path) -> bytes:
  """The bytes of a file; UserError where it cannot be read."""
  try:
    return file.read_bytes()
  except OSError as error:
    raise UserError("config.data.path", str(file), f"it cannot be read ({error}).") from error


def is_own(name: str, path: str | None, *files: str) -> bool:
  """Whether what is asked for is the user's own: there is a path, and it is not where the files of a known set lie.

  Args:
    name: of the set, or `OWN`.
    path: what `config.data.path` has.
    files: of the set of that name; a path to them is their folder, or, of a set of one, the file by its name.
  """
  if name == OWN or not path:
    return name == OWN
  root = Path(path).expanduser()
  if root.is_file():
    return files != (root.name,)
  return not files or not all((root / file).is_file() for file in files)


def own(
  path: str | None, kinds: str, suffixes: Collection[str] = (), folder: str = "", known: Collection[str] = ()
) -> Path:
  """The user's own file or folder.

  Args:
    path: what `config.data.path` has.
    kinds: what may be there, in words.
    suffixes: of a file, in lower case.
    folder: pattern of the files that a folder has, anywhere below it; "" where no folder is read.
    known: files of the known set whose folder the path could be too, for messages.

  Raises:
    UserError: there is nothing, or something of another kind; the remedy is what may be there.
  """
  root = Path(path or "").expanduser()
  kinds += f"; or the folder that holds {', '.join(known)}" if known else ""
  if not path or not root.exists():
    raise UserError("config.data.path", path or "", f"there is no such file or folder. This experiment reads {kinds}.")
  if root.is_file() and root.suffix.lower() in suffixes:
    return root
  if root.is_dir() and folder and next(root.rglob(folder), None):
    return root
  raise UserError("config.data.path", str(path), f"this experiment reads {kinds}.")
