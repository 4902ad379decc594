"""Moving MNIST's published films: the same of the authors' file and of TFDS's records, each once, and measured on."""

import importlib
import json
from typing import Any, cast

import jax
import numpy as np
import pytest

from experiments import video
from experiments.command import cli
from research.data import moving_mnist
from research.errors import UserError
from tests.mock_data import own, prepared, raw
from tests.mock_data.raw.moving_mnist import FILMS


@pytest.fixture
def authors(tmp_path, monkeypatch):
  """The authors' file where it is looked for; its frames [film, frame, row, column, 1]."""
  monkeypatch.setenv("GENERA_DATA_DIR", raw.write(tmp_path / "raw", "moving_mnist"))
  return np.load(tmp_path / "raw" / "moving_mnist" / moving_mnist.FILE).swapaxes(0, 1)[..., None]


def write_records(folder, films) -> None:
  """As TFDS prepares them, in two shards: a film is a list of PNGs."""
  from tensorflow_datasets.proto import tf_example_pb2

  messages = cast(Any, tf_example_pb2)
  records = importlib.import_module("array_record.python.array_record_module")
  folder = folder / "moving_mnist" / "1.0.0"
  folder.mkdir(parents=True)
  shards = [films[:2], films[2:]]
  for i, shard in enumerate(shards):
    writer = records.ArrayRecordWriter(str(folder / f"moving_mnist-test.array_record-{i:05}-of-00002"), "group_size:1")
    for film in shard:
      example = messages.Example()
      example.features.feature["image_sequence"].bytes_list.value.extend(map(prepared.encode, film))
      writer.write(example.SerializeToString())
    writer.close()
  split = {"name": "test", "numBytes": "1000", "shardLengths": [str(len(shard)) for shard in shards]}
  info = {"fileFormat": "array_record", "name": "moving_mnist", "version": "1.0.0", "splits": [split]}
  (folder / "dataset_info.json").write_text(json.dumps(info))


def films_of(source) -> np.ndarray:
  return np.stack([source[i]["frames"] for i in range(len(source))])


def test_both_forms_hold_the_same_films(authors, tmp_path, monkeypatch):
  np.testing.assert_array_equal(films_of(moving_mnist.source()), authors)
  monkeypatch.setenv("GENERA_DATA_DIR", str(tmp_path))
  write_records(tmp_path / "tfds", authors)
  source = moving_mnist.source(str(tmp_path / "tfds"))
  assert len(source) == FILMS
  np.testing.assert_array_equal(films_of(source), authors)


def test_every_film_is_in_one_batch(authors):
  data = moving_mnist.dataset(2)
  batches = [jax.jit(data.assemble)({}, data.feed(step)) for step in range(data.num_batches)]
  frames = np.concatenate([np.asarray(batch["frames"])[np.asarray(batch["mask"]) > 0] for batch in batches])
  np.testing.assert_allclose(frames, authors / 255, atol=1e-6)


def test_what_is_absent_or_damaged_is_said(authors, tmp_path, monkeypatch):
  np.save(tmp_path / "raw" / "moving_mnist" / moving_mnist.FILE, authors)  # its axes in another order
  with pytest.raises(UserError, match="bytes of the shape"):
    moving_mnist.source()
  (tmp_path / "raw" / "moving_mnist" / moving_mnist.FILE).write_bytes(b"damaged")
  with pytest.raises(UserError, match="cannot be read"):
    moving_mnist.source()
  monkeypatch.setenv("GENERA_DATA_DIR", str(tmp_path))
  with pytest.raises(UserError, match=r"tfds build moving_mnist.*mnist_test_seq\.npy"):
    moving_mnist.source(str(tmp_path / "nowhere"))


def test_a_predictor_is_measured_on_them(authors):
  small = {"data.name": "digits", "data.test_films": "moving_mnist", "film.size": "64", "data.validation": "0.1"}
  built = video.experiment(cli.load_config("configs/video/digits.py:smoke", small))
  assert built.test_data is not None
  batch = jax.jit(built.test_data.assemble)({}, built.test_data.feed(0))
  np.testing.assert_allclose(np.asarray(batch["frames"])[:FILMS], authors / 255, atol=1e-6)
  assert built.eval_data is not None
  assert built.eval_data.num_examples != FILMS


@pytest.mark.parametrize(
  ("field", "value", "remedy"),
  [
    ("film.size", "32", "has films of 64"),
    ("film.horizon", "18", "have 20 frames"),
    ("data.test_films", "mnist", "choose moving_mnist"),
    ("data.path", "my_films", "your own films"),
  ],
)
def test_films_that_these_are_not_are_refused(authors, tmp_path, field, value, remedy):
  own.write_one(tmp_path, "my_films")
  value = str(tmp_path / value) if field == "data.path" else value
  changes = {"film.size": "64", "data.test_films": "moving_mnist", field: value}
  config = cli.load_config("configs/video/digits.py:smoke", changes)
  with pytest.raises(UserError, match=remedy):
    video.experiment(config)
