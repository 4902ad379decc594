"""What a full disk raises, wherever it is met, as an error that says what is safe."""

import contextlib
import errno
import os
from collections.abc import Generator

from research.errors import UserError

_CODES = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Orbax and TensorStore wrap the system's error in text.
_TEXTS = ("no space left", "resource_exhausted", "disk quota", "file too large")


@contextlib.contextmanager
def disk_errors(workdir: str | os.PathLike) -> Generator[None]:
  """Turns the error of a full disk, raised within, into a UserError that names the workdir."""
  try:
    yield
  except UserError:
    raise
  except Exception as error:
    if not _is_full(error):
      raise
    remedy = (
      "the disk is full: free space and run again. Checkpoints saved before are intact; the run resumes from them."
    )
    raise UserError("--workdir", str(workdir), remedy) from error


def _is_full(error: BaseException | None) -> bool:
  """Whether the error, or what caused it, comes of a full disk."""
  while error is not None:
    if isinstance(error, OSError) and error.errno in _CODES:
      return True
    if any(text in str(error).lower() for text in _TEXTS):
      return True
    error = error.__cause__ or error.__context__
  return False
