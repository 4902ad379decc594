"""Image sets that TensorFlow Datasets has prepared, read without TensorFlow.

What a set holds is read from its own JSON files, so a set that was decoded before is there at once: not even
tensorflow_datasets, slow to import, is loaded.
"""

import dataclasses
import functools
import json
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from research.data import cache, images
from research.data.examples import Examples, Stream, checked, choose
from research.errors import UserError

_log = logging.getLogger(__name__)

KNOWN = ("mnist", "fashion_mnist", "cifar10", "cifar100", "imagenet2012")


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A prepared set, as its folder describes it.

  Attributes:
    name: such as 'mnist'.
    folder: of one version, such as `data_dir/mnist/3.0.1`.
    splits: name -> number of examples.
    shape: height, width, channels of the images, None where they vary.
    class_names: one a class.
  """

  name: str
  folder: Path
  splits: dict[str, int]
  shape: tuple[int | None, ...]
  class_names: tuple[str, ...]


def find(name: str, data_dir: str | None = None) -> Prepared:
  """The newest version of a set under `data_dir`, else `$TFDS_DATA_DIR`, else `~/tensorflow_datasets`.

  Raises:
    UserError: as `described`; or the set is not of labelled images.
  """
  folder, info = described(name, data_dir)
  splits = {split["name"]: sum(map(int, split["shardLengths"])) for split in info["splits"]}
  return Prepared(name, folder, splits, *_features(folder))


def described(name: str, data_dir: str | None = None) -> tuple[Path, dict[str, Any]]:
  """The folder of the newest version of a set, of whatever examples, and what its `dataset_info.json` says.

  Raises:
    UserError: no such folder, the set is not in it, or not in ArrayRecord format.
  """
  root = Path(data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()
  prepare = (
    f"prepare it with `pip install 'genera[prepare]'` and `tfds build {name} --file_format=array_record "
    f"--data_dir={root}`, or name the folder that has it by TFDS_DATA_DIR or data_dir."
  )
  if not root.is_dir():
    raise UserError("data_dir", str(root), f"there is no such folder, and {name} is read from it: {prepare}")
  folders = [path.parent for path in (root / name).glob("*/dataset_info.json")]
  versions = {version: path for path in folders if (version := _version(path.name)) is not None}
  if not versions:
    raise UserError("data_dir", str(root), f"it has no prepared {name}: {prepare}")
  folder = versions[max(versions)]
  info = json.loads((folder / "dataset_info.json").read_text())
  if info.get("fileFormat") != "array_record":
    raise UserError(f"{folder}: file format", info.get("fileFormat"), f"only ArrayRecord is read: {prepare}")
  return folder, info


def load(prepared: Prepared, split: str, image_size: int | None = None, channels: int | None = None) -> Examples:
  """The images of a split in memory: decoded the first time, read from the cache after that.

  Args:
    prepared: from `find`.
    split: TFDS's notation, such as 'train', 'train[:90%]' or 'train+test'.
    image_size: height and width to bring the largest centred square to; None keeps the images as they are.
    channels: 1 or 3; None keeps those of the set.

  Raises:
    UserError: no such split; images of various sizes and no `image_size`; an image that cannot be decoded.
  """
  _check_split(prepared, split)
  channels = channels or prepared.shape[-1] or 3
  if image_size is None and None in prepared.shape:
    raise UserError("image_size", None, f"give one: the images of {prepared.name} vary in size.")
  key = {
    "set": [prepared.name, prepared.folder.name, split],
    "decoding": [images.DECODING, image_size, channels],
    "files": cache.fingerprint(sorted(prepared.folder.iterdir())),
  }
  name = f"{prepared.name}-{prepared.folder.name}"
  arrays = cache.cached(name, key, lambda: _decoded(prepared, split, image_size, channels))
  return checked(f"{prepared.name} {split}", arrays["inputs"], arrays["label"], prepared.class_names)


def stream(prepared: Prepared, split: str, image_size: int | None = None, channels: int | None = None) -> Stream:
  """The images of a split, read when they are needed.  Arguments and errors as `load`."""
  _check_split(prepared, split)
  size = image_size or prepared.shape[0]
  if size is None:
    raise UserError("image_size", None, f"give one: the images of {prepared.name} vary in size.")
  records = _Records(str(prepared.folder), split)
  return Stream(f"{prepared.name} {split}", records, size, channels or prepared.shape[-1] or 3, prepared.class_names)


class _Records:
  """Random access to the encoded records of a split."""

  def __init__(self, folder: str, split: str):
    self._folder, self._split = folder, split
    self._lock = threading.Lock()
    len(self)  # a part that does not exist is an error now

  @functools.cached_property
  def _source(self) -> Any:
    from absl import logging as absl_logging

    level = absl_logging.get_verbosity()
    absl_logging.set_verbosity(absl_logging.ERROR)  # advice about OpenCV, which is not what decodes here
    try:
      import tensorflow_datasets as tfds

      decoders = {"image": tfds.decode.SkipDecoding()}
      builder: Any = tfds.builder_from_directory(self._folder)
      return builder.as_data_source(split=self._split, decoders=decoders)
    except (ValueError, AssertionError) as error:
      raise UserError("split", self._split, f"write it as 'train' or 'train[:90%]' ({error}).") from error
    finally:
      absl_logging.set_verbosity(level)

  def __len__(self) -> int:
    with self._lock:  # threads must not build the source twice
      return len(self._source)

  def __repr__(self) -> str:
    return f"_Records({self._folder!r}, {self._split!r})"

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self.__getitems__([index])[0]

  def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
    records = self._source.__getitems__(indices)
    return [
      {"image": record["image"], "label": np.int32(record["label"]), "where": f"{self._folder} {self._split} {index}"}
      for index, record in zip(indices, records, strict=True)
    ]


def _decoded(prepared: Prepared, split: str, image_size: int | None, channels: int) -> dict[str, np.ndarray]:
  _log.info("Decoding %s %s, once.", prepared.name, split)
  records = _Records(str(prepared.folder), split)
  count = len(records)
  height, width = (image_size or size or 0 for size in prepared.shape[:2])
  inputs, label = np.empty((count, height, width, channels), np.uint8), np.empty(count, np.int32)
  for start in range(0, count, 1024):  # one thread: small images are decoded under the interpreter's lock mostly
    for i, record in enumerate(records.__getitems__(range(start, min(start + 1024, count))), start):
      inputs[i] = images.decode(record["image"], channels, image_size, record["where"])
      label[i] = record["label"]
  return {"inputs": inputs, "label": label}


def _check_split(prepared: Prepared, split: str) -> None:
  for term in split.split("+"):
    choose(prepared.splits, term)


def _version(name: str) -> tuple[int, ...] | None:
  parts = name.split(".")
  return tuple(map(int, parts)) if all(part.isdecimal() for part in parts) else None


def _features(folder: Path) -> tuple[tuple[int | None, ...], tuple[str, ...]]:
  """Shape of the images and names of the classes."""
  features = json.loads((folder / "features.json").read_text()).get("featuresDict", {}).get("features", {})
  image, label = features.get("image", {}).get("image"), features.get("label", {}).get("classLabel")
  if image is None or label is None or image.get("dtype", "uint8") != "uint8":
    raise UserError(f"{folder}: features", sorted(features), "give a set with an 8-bit 'image' and a class 'label'.")
  # Sizes that vary are written as -1, or left out.
  sizes = [int(size) for size in image.get("shape", {}).get("dimensions", [])]
  shape = tuple(size if size > 0 else None for size in sizes) or (None, None, None)
  names = folder / "label.labels.txt"
  if names.exists():
    return shape, tuple(names.read_text().splitlines())
  return shape, tuple(map(str, range(int(label["numClasses"]))))
