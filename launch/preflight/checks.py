"""What can be told without a compiler: the data, the workdir, the disk."""

import math
import os
import pathlib
import shutil
import tempfile

import jax
import numpy as np

from research.errors import UserError
from research.training.loop import Settings


def nearest_folder(workdir: str | os.PathLike) -> pathlib.Path:
  """The workdir, or what exists of the path to it."""
  path = pathlib.Path(workdir).absolute()
  return next(folder for folder in (path, *path.parents) if folder.exists())


def writable(workdir: str | os.PathLike) -> None:
  """Tries to write where the run will; leaves nothing behind.

  Raises:
    UserError: it cannot be written.
  """
  try:
    with tempfile.TemporaryFile(dir=nearest_folder(workdir)):
      pass
  except OSError as error:
    remedy = f"it cannot be written ({error.strerror}): name a folder that can."
    raise UserError("--workdir", str(workdir), remedy) from error


def state_bytes(abstract_state) -> float:
  """Bytes of a state's leaves, the whole of sharded ones: a checkpoint is at most a little larger."""
  plain = jax.eval_shape(
    lambda state: jax.tree.map(
      lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x, state
    ),
    abstract_state,
  )
  return float(sum(math.prod(leaf.shape) * np.dtype(leaf.dtype).itemsize for leaf in jax.tree.leaves(plain)))


def checkpoints_kept(settings: Settings) -> int:
  """The most checkpoints that lie there at once: those that the policy keeps, and the one that is being written."""
  saved = 1 + (settings.total_steps // settings.save_every if settings.save_every else 0)
  kept = settings.keep + bool(settings.best_metric)
  if settings.keep_every:
    kept += settings.total_steps // settings.keep_every
  return min(saved, kept) + 1


def disk(workdir: str | os.PathLike, needed: float) -> float:
  """Free bytes where the workdir will be.

  Raises:
    UserError: fewer than are needed.
  """
  free = shutil.disk_usage(nearest_folder(workdir)).free
  if free < needed:
    remedy = (
      f"its checkpoints take up to {needed / 2**30:.2f} GiB and {free / 2**30:.2f} GiB are free: free space, name "
      "another workdir, or keep fewer (config.run.keep, config.run.keep_every)."
    )
    raise UserError("--workdir", str(workdir), remedy)
  return float(free)
