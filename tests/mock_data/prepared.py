"""Prepared TFDS sets and folders of images."""

import importlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
  """An image file of pixels [height, width(, channel)]."""
  file = io.BytesIO()
  Image.fromarray(pixels.squeeze()).save(file, kind)
  return file.getvalue()


def write_prepared(
  data_dir: Path,
  name: str,
  splits: Mapping[str, Sequence[tuple[bytes, int]]],
  shape: Sequence[int],
  class_names: Sequence[str],
  file_format: str = "array_record",
  version: str = "1.0.0",
) -> str:
  """A prepared TFDS set of `(encoded image, label)` under `data_dir`; returns `data_dir`."""
  from tensorflow_datasets.proto import tf_example_pb2

  # Compiled and generated: unknown to type checkers.
  records, messages = importlib.import_module("array_record.python.array_record_module"), cast(Any, tf_example_pb2)

  folder = data_dir / name / version
  folder.mkdir(parents=True)
  for split, examples in splits.items():
    writer = records.ArrayRecordWriter(str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
    for encoded, label in examples:
      example = messages.Example()
      example.features.feature["image"].bytes_list.value.append(encoded)
      example.features.feature["label"].int64_list.value.append(label)
      writer.write(example.SerializeToString())
    writer.close()
  _describe(folder, name, splits, shape, class_names, file_format, version)
  return str(data_dir)


def _describe(folder, name, splits, shape, class_names, file_format, version):
  prefix = "tensorflow_datasets.core.features."
  image = {"dtype": "uint8", "shape": {"dimensions": [str(n) for n in shape]}}
  features = {
    "image": {"image": image, "pythonClassName": prefix + "image_feature.Image"},
    "label": {
      "classLabel": {"numClasses": str(len(class_names))},
      "pythonClassName": prefix + "class_label_feature.ClassLabel",
    },
  }
  tree = {"featuresDict": {"features": features}, "pythonClassName": prefix + "features_dict.FeaturesDict"}
  (folder / "features.json").write_text(json.dumps(tree))
  template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
  described = [
    {"filepathTemplate": template, "name": split, "numBytes": "1000", "shardLengths": [str(len(examples))]}
    for split, examples in splits.items()
  ]
  info = {"fileFormat": file_format, "name": name, "version": version, "splits": described}
  (folder / "dataset_info.json").write_text(json.dumps(info))
  (folder / "label.labels.txt").write_text("\n".join(class_names) + "\n")


# What the configs ask for: name -> (image shape, encoding, classes, names of the splits).
PREPARED = {
  "mnist": ((28, 28, 1), "PNG", 10, ("train", "test")),
  "fashion_mnist": ((28, 28, 1), "PNG", 10, ("train", "test")),
  "cifar10": ((32, 32, 3), "PNG", 10, ("train", "test")),
  "imagenet2012": ((None, None, 3), "JPEG", 1000, ("train", "validation")),
}


def write_all(folder: Path, examples: int = 40) -> str:
  """Every prepared set of `PREPARED`, and a user's own folder of images by class, `own`; returns the data_dir."""
  rng = np.random.default_rng(0)
  for name, (shape, kind, classes, splits) in PREPARED.items():
    size = tuple(side or 40 for side in shape)

    def one(i, size=size, kind=kind, classes=classes):
      return encode(rng.integers(0, 256, size, np.uint8), kind), i % classes

    tables = {split: [one(i) for i in range(examples)] for split in splits}
    dimensions = [side or -1 for side in shape]
    write_prepared(folder, name, tables, dimensions, [str(i) for i in range(classes)])
  for label in ("cat", "dog", "newt"):
    (folder / "own" / label).mkdir(parents=True)
    for i in range(examples // 2):
      (folder / "own" / label / f"{i:03}.png").write_bytes(encode(rng.integers(0, 256, (36, 32, 3), np.uint8)))
  return str(folder)
