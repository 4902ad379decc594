"""Small data sets, written as the real ones are."""

import importlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def cache_folder(tmp_path, monkeypatch) -> Path:
  """Every test has a cache of its own."""
  folder = tmp_path / "cache"
  monkeypatch.setenv("GENERA_CACHE", str(folder))
  return folder


def encode(pixels: np.ndarray, kind: str = "PNG") -> bytes:
  file = io.BytesIO()
  Image.fromarray(pixels.squeeze()).save(file, kind)
  return file.getvalue()


@pytest.fixture
def write_prepared(tmp_path):
  """`write(name, {split: [(encoded image, label), ...]}, shape, class_names)` -> data_dir of a prepared TFDS set."""

  def write(name, splits, shape, class_names, file_format="array_record", version="1.0.0"):
    from tensorflow_datasets.proto import tf_example_pb2

    messages: Any = tf_example_pb2  # generated: its members are not known to type checkers

    records = importlib.import_module("array_record.python.array_record_module")  # compiled: unknown to type checkers
    folder = tmp_path / "tfds" / name / version
    folder.mkdir(parents=True)
    for split, examples in splits.items():
      writer = records.ArrayRecordWriter(str(folder / f"{name}-{split}.array_record-00000-of-00001"), "group_size:1")
      for encoded, label in examples:
        example = messages.Example()
        example.features.feature["image"].bytes_list.value.append(encoded)
        example.features.feature["label"].int64_list.value.append(label)
        writer.write(example.SerializeToString())
      writer.close()
    prefix = "tensorflow_datasets.core.features."
    features = {
      "image": {
        "image": {"dtype": "uint8", "shape": {"dimensions": [str(n) for n in shape]}},
        "pythonClassName": prefix + "image_feature.Image",
      },
      "label": {
        "classLabel": {"numClasses": str(len(class_names))},
        "pythonClassName": prefix + "class_label_feature.ClassLabel",
      },
    }
    (folder / "features.json").write_text(
      json.dumps({"featuresDict": {"features": features}, "pythonClassName": prefix + "features_dict.FeaturesDict"})
    )
    template = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    described = [
      {"filepathTemplate": template, "name": split, "numBytes": "1000", "shardLengths": [str(len(examples))]}
      for split, examples in splits.items()
    ]
    info = {"fileFormat": file_format, "name": name, "version": version, "splits": described}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    (folder / "label.labels.txt").write_text("\n".join(class_names) + "\n")
    return str(tmp_path / "tfds")

  return write


@pytest.fixture
def write_images(tmp_path):
  """`write({'train/cat': [pixels, ...], ...})` -> the folder of images."""

  def write(classes, suffix=".png"):
    root = tmp_path / "pictures"
    for name, images in classes.items():
      (root / name).mkdir(parents=True)
      for i, pixels in enumerate(images):
        kind = "PNG" if suffix == ".png" else "JPEG"
        (root / name / f"{i:03}{suffix}").write_bytes(encode(pixels, kind))
    return root

  return write
