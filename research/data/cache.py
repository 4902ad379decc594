"""A cache of decoded arrays: decode a set of images once, read it in a fraction of a second ever after.

It only ever saves time.  A damaged, unreadable or unwritable cache is passed over with a warning; a changed source has
another key and so is decoded again.
"""

import hashlib
import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from research.errors import UserError

_log = logging.getLogger(__name__)

Arrays = Mapping[str, np.ndarray]


def folder() -> Path:
  """`$GENERA_CACHE`, else `$XDG_CACHE_HOME/genera`, else `~/.cache/genera`."""
  if chosen := os.environ.get("GENERA_CACHE"):
    return Path(chosen)
  return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "genera"


def fingerprint(files: Iterable[Path]) -> str:
  """A digest of the names, sizes and times of `files`: it changes when one of them is replaced.

  Raises:
    UserError: one of them cannot be read, such as a link to nowhere.
  """
  digest = hashlib.sha256()
  for file in files:
    try:
      status = file.stat()
    except OSError as error:
      raise UserError("file", str(file), f"it cannot be read ({error}): remove it, or bring it back.") from error
    digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
  return digest.hexdigest()


def cached(name: str, key: Mapping[str, Any], build: Callable[[], Arrays]) -> Arrays:
  """`build()`, or what it returned when last called with this key.

  Args:
    name: the start of the file's name, for people.
    key: everything that the arrays depend on, as JSON can hold it.
    build: makes the arrays.
  """
  digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:20]
  path = folder() / f"{name.replace('/', '-')}-{digest}.npz"
  arrays = _read(path)
  if arrays is None:
    arrays = build()
    _write(path, arrays)
  return arrays


def _read(path: Path) -> Arrays | None:
  try:
    # An uncompressed zip holds a checksum of every array, so a damaged file is noticed, not trained on.
    with np.load(path, allow_pickle=False) as archive:
      return {key: archive[key] for key in archive.files}
  except FileNotFoundError:
    return None
  except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
    _log.warning("Cannot read the cache %s (%s): reading the source again.", path, error)
    return None


def _write(path: Path, arrays: Arrays) -> None:
  """Written beside its place and renamed into it, so that no one ever sees half of it."""
  temporary = None
  try:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.stem, suffix=".part", delete=False) as file:
      temporary = file.name
      np.savez(file, allow_pickle=False, **arrays)
    os.replace(temporary, path)
  except OSError as error:
    _log.warning("Cannot write the cache %s (%s): the source will be read again next time.", path, error)
    if temporary is not None:
      Path(temporary).unlink(missing_ok=True)
