"""Small data sets, written to disk as the real ones are."""

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


def write_raw(folder: Path) -> str:
  """Every set of plain files that a config asks for, `folder/<name>/<file>`; returns `folder`."""
  folder.mkdir(parents=True)
  rng = np.random.default_rng(0)
  (folder / "binarized_mnist").mkdir()
  bits = {split: rng.integers(0, 256, (40, 98), np.uint8) for split in ("train", "valid", "test")}
  np.savez(folder / "binarized_mnist" / "binarized_mnist.npz", **bits)
  write_chorales(folder / "jsb_chorales")
  write_tagged(folder / "brown")
  (folder / "spoken_digit").mkdir()
  write_spoken_digits(folder / "spoken_digit")
  (folder / "planetoid").mkdir()
  write_citations(folder / "planetoid" / "cora.npz")
  return str(folder)


def write_spoken_digits(folder: Path, takes: int = 8) -> None:
  """`spoken_digit.npz`: so many takes of each digit by one speaker, noise of 50 to 150 samples."""
  rng = np.random.default_rng(0)
  lengths = rng.integers(50, 150, 10 * takes)
  np.savez(
    folder / "spoken_digit.npz",
    samples=rng.integers(-9000, 9000, lengths.sum()).astype(np.int16),
    offsets=np.concatenate([[0], np.cumsum(lengths)]),
    labels=np.repeat(np.arange(10), takes),
    speakers=np.zeros(10 * takes, np.int64),
    indices=np.tile(np.arange(takes), 10),
    sample_rate=8000,
  )


def write_citations(path: Path, papers: int = 60) -> None:
  """A Planetoid archive of so many papers, three words each of twenty, four classes."""
  rng = np.random.default_rng(0)
  order = rng.permutation(papers)
  np.savez(
    path,
    features_data=np.ones(3 * papers, np.float32),
    features_indices=np.concatenate([rng.choice(20, 3, False) for _ in range(papers)]),
    features_indptr=np.arange(0, 3 * papers + 1, 3),
    features_shape=np.array([papers, 20]),
    edges=rng.integers(0, papers, (2, 3 * papers)),
    labels=np.arange(papers) % 4,
    train=order[:16],
    val=order[16:32],
    test=order[32:],
  )


def write_chorales(folder: Path, pieces: int = 8) -> None:
  """`jsb-chorales-quarter.json`: so many pieces a split, of 6 to 11 steps of 0 to 4 pitches from C3 to G5."""
  folder.mkdir()
  rng = np.random.default_rng(0)

  def piece():
    return [rng.choice(np.arange(48, 80), rng.integers(0, 5), False).tolist() for _ in range(rng.integers(6, 12))]

  splits = {split: [piece() for _ in range(pieces)] for split in ("train", "valid", "test")}
  (folder / "jsb-chorales-quarter.json").write_text(json.dumps(splits))


def write_tagged(folder: Path, sentences: int = 60) -> None:
  """`brown.txt` and `brown_pos.txt`: sentences of a grammar that a tagger can learn."""
  folder.mkdir()
  rng = np.random.default_rng(0)
  nouns = ["dog", "cat", "mill", "walk", "Town-hall", "3rd", "running", "talking", "painter", "hunter"]
  verbs = ["sees", "takes", "walk", "hears", "calls"]
  words, tags = [], []
  for _ in range(sentences):
    one, other = rng.choice(nouns), "".join(rng.choice(list("abcdefgh"), 6))  # the other is a word of its own
    end, subject = rng.choice(["", "today "]), "NN-TL" if one == "Town-hall" else "NN"
    words.append(f"{rng.choice(['The', 'A'])} {one} {rng.choice(verbs)} the {other} {end}.")
    tags.append(f"AT {subject} VBZ AT NN {'NR ' if end else ''}.")
  (folder / "brown.txt").write_text("\n".join(words) + "\n")
  (folder / "brown_pos.txt").write_text("\n".join(tags) + "\n")
