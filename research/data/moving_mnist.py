"""The published test films of Moving MNIST: 10,000 of two digits, 20 frames of 64x64 (Srivastava et al. 2015).

Either of two forms is read, film by film: the authors' own file, `mnist_test_seq.npy`, bytes [frame, film, row,
column], or TFDS's prepared `moving_mnist`.  Films to learn from are drawn (`research.data.films`), as the authors do.
"""

import bisect
import functools
import importlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from research.data import images, pipeline, prepared, raw
from research.data.dataset import Dataset, Source
from research.errors import UserError

NAME, FILE = "moving_mnist", "mnist_test_seq.npy"
FRAMES, SIZE = 20, 64


class Authors:
  """The authors' file, which stays on disk.

  Raises:
    UserError: it is no array of films of `FRAMES` frames of `SIZE` x `SIZE` bytes.
  """

  def __init__(self, file: Path):
    try:
      self._films = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
      raise UserError(FILE, str(file), f"it cannot be read ({error}): fetch it again.") from error
    shape, dtype = self._films.shape, self._films.dtype
    if len(shape) != 4 or (shape[0], *shape[2:]) != (FRAMES, SIZE, SIZE) or dtype != np.uint8 or not shape[1]:
      remedy = f"it must be bytes of the shape ({FRAMES}, films, {SIZE}, {SIZE}): fetch it again."
      raise UserError(FILE, f"{dtype} {shape}", remedy)

  def __len__(self) -> int:
    return self._films.shape[1]

  def __getitem__(self, index: int) -> dict[str, UInt8[np.ndarray, "..."]]:
    return {"frames": np.asarray(self._films[:, index, :, :, None])}


class Records:
  """TFDS's set, as its records lie: TFDS's own feature of films cannot be had without TensorFlow.

  Raises:
    UserError: it is not prepared, or has no such films.
  """

  def __init__(self, data_dir: str | None):
    self._folder, info = prepared.described(NAME, data_dir)
    lengths = [split["shardLengths"] for split in info["splits"] if split["name"] == "test"]
    if not lengths:
      raise UserError(f"{self._folder}: splits", info["splits"], f"there is no test: prepare {NAME} again.")
    self._starts = [0, *itertools.accumulate(map(int, lengths[0]))]

  def __len__(self) -> int:
    return self._starts[-1]

  @functools.cached_property
  def _shards(self) -> list[Any]:
    # Compiled and generated: unknown to type checkers.
    source = importlib.import_module("array_record.python.array_record_data_source").ArrayRecordDataSource
    return [source(str(file)) for file in sorted(self._folder.glob(f"{NAME}-test.array_record-*"))]

  def __getitem__(self, index: int) -> dict[str, UInt8[np.ndarray, "..."]]:
    from tensorflow_datasets.proto import tf_example_pb2  # here: slow to import

    shard = bisect.bisect_right(self._starts, index) - 1
    messages: Any = tf_example_pb2
    example = messages.Example.FromString(self._shards[shard][index - self._starts[shard]])
    encoded = example.features.feature["image_sequence"].bytes_list.value
    where = f"{self._folder}, film {index}"
    frames = np.stack([images.decode(frame, 1, None, where) for frame in encoded])
    if frames.shape != (FRAMES, SIZE, SIZE, 1):
      raise UserError(where, frames.shape, f"films are of {FRAMES} frames of {SIZE}x{SIZE}: prepare {NAME} again.")
    return {"frames": frames}


def source(data_dir: str | None = None) -> Source:
  """The films, from `$GENERA_DATA_DIR/moving_mnist/mnist_test_seq.npy` where that is, else of TFDS.

  Raises:
    UserError: neither is there.
  """
  try:
    return Authors(raw.locate(NAME, FILE))
  except UserError as error:
    if error.field == FILE:  # it is there, and damaged
      raise
    try:
      return Records(data_dir)
    except UserError as absent:
      remedy = f"{absent.remedy} Or put the authors' file there: {error.remedy}"
      raise UserError(absent.field, absent.value, remedy) from absent


def dataset(batch_size: int, data_dir: str | None = None) -> Dataset:
  """The films in order, read as they are measured; fields as of `research.data.films.dataset`, but `index`."""
  assemble = pipeline.normalised(field="frames")
  return pipeline.streamed(source(data_dir), batch_size, seed=None, name=f"{NAME} test", assemble=assemble)
