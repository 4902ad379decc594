"""Embedded, prepared and the user's own data: contents, splits, caching, and every kind of bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from research.data import embedded, examples, images, sources
from research.errors import UserError
from tests.mock_data import encode

REAL = Path(__file__).parents[3] / "shared" / "data" / "tfds"
real = pytest.mark.skipif(not REAL.is_dir(), reason=f"no {REAL}")


def pictures(count, size=6, channels=3, seed=0):
  return list(np.random.default_rng(seed).integers(0, 256, (count, size, size, channels), dtype=np.uint8))


def load(name="", split="train", **kwargs) -> examples.Examples:
  """A set in memory."""
  data = sources.load(name, split, **kwargs)
  assert isinstance(data, examples.Examples)
  return data


def stream(name="", split="train", **kwargs) -> examples.Stream:
  """A set that is read when needed."""
  data = sources.load(name, split, streamed=True, **kwargs)
  assert isinstance(data, examples.Stream)
  return data


def read(dataset, step):
  return {key: np.asarray(value) for key, value in dataset.assemble(dataset.resident, dataset.feed(step)).items()}


# Embedded sets.


@pytest.mark.parametrize(
  ("name", "total", "test", "shape"), [("iris", 150, 30, (4,)), ("digits", 1797, 359, (8, 8, 1))]
)
def test_embedded(name, total, test, shape):
  whole, held, rest = (embedded.load(name, split) for split in ("all", "test", "train"))
  assert (len(whole), len(held), len(rest)) == (total, test, total - test)
  assert whole.inputs.shape[1:] == shape
  together = np.concatenate([rest.inputs, held.inputs]).reshape(total, -1)
  order = lambda rows: rows[np.lexsort(rows.T)]
  np.testing.assert_array_equal(order(together), order(whole.inputs.reshape(total, -1)))  # a partition
  proportions = np.bincount(whole.label) / total
  for part in (held, rest, embedded.load(name, "train[:50%]")):
    assert np.abs(np.bincount(part.label) - proportions * len(part)).max() <= 1  # stratified


def test_embedded_contents():
  from sklearn import datasets

  digits = embedded.load("digits", "all")
  np.testing.assert_array_equal(np.round(digits.inputs[..., 0] / 255 * 16), datasets.load_digits().images)
  np.testing.assert_array_equal(digits.label, datasets.load_digits().target)
  np.testing.assert_allclose(embedded.load("iris", "all").inputs, datasets.load_iris().data, rtol=1e-6)


def test_ranks_make_stratified_folds():
  label = embedded.load("iris", "all").label
  fold = examples.ranks(label, seed=0) % 10
  assert all((np.bincount(label[fold == k]) == [5, 5, 5]).all() for k in range(10))
  assert (examples.ranks(label, seed=1) % 10 != fold).any()


@pytest.mark.parametrize(
  ("split", "expected"),
  [("train", range(10)), ("train[:90%]", range(9)), ("train[-2:]", [8, 9]), ("train[2:5]", [2, 3, 4])],
)
def test_parts(split, expected):
  np.testing.assert_array_equal(np.arange(10)[examples.part(split, 10)], expected)


@pytest.mark.parametrize("split", ["valid", "train[", "train[5%", "train[200000:]", "train[50%:50%]", ""])
def test_bad_split(split):
  with pytest.raises(UserError, match="split"):
    embedded.load("digits", split)


@pytest.mark.parametrize("field", ["image_size", "channels", "streamed"])
def test_embedded_sets_are_used_as_they_are(field):
  with pytest.raises(UserError, match=field):
    load("digits", **{field: 1})


# Sets prepared by TFDS.


def labelled(count, classes=3, kind="PNG", channels=3):
  return [(encode(pixels, kind), i % classes) for i, pixels in enumerate(pictures(count, 6, channels))]


@pytest.fixture
def data_dir(write_prepared):
  splits = {"train": labelled(20), "test": labelled(7)}
  return write_prepared("shapes", splits, (6, 6, 3), ["disc", "ring", "star"])


def test_prepared(data_dir):
  loaded = load("shapes", "train", data_dir=data_dir)
  np.testing.assert_array_equal(loaded.inputs, pictures(20))
  np.testing.assert_array_equal(loaded.label, np.arange(20) % 3)
  assert loaded.class_names == ("disc", "ring", "star")
  assert len(load("shapes", "train[:90%]", data_dir=data_dir)) == 18
  assert len(load("shapes", "train+test", data_dir=data_dir)) == 27
  grey = load("shapes", "test", data_dir=data_dir, image_size=4, channels=1)
  assert grey.inputs.shape == (7, 4, 4, 1)


def test_found_through_the_environment(data_dir, monkeypatch):
  monkeypatch.setenv("TFDS_DATA_DIR", data_dir)
  assert len(load("shapes", "test")) == 7


def test_newest_version(data_dir, write_prepared):
  write_prepared("shapes", {"train": labelled(4)}, (6, 6, 3), ["a", "b", "c"], version="1.10.0")
  write_prepared("shapes", {"train": labelled(5)}, (6, 6, 3), ["a", "b", "c"], version="1.9.0")
  assert len(load("shapes", "train", data_dir=data_dir)) == 4


@pytest.mark.parametrize("split", ["train", "train[25%:]"])
def test_streamed_equals_resident(data_dir, split):
  resident, streamed = (
    sources.load("shapes", split, data_dir=data_dir, streamed=streamed) for streamed in (False, True)
  )
  assert (len(streamed), streamed.class_names) == (len(resident), resident.class_names)
  for build in (
    lambda data: sources.training(data, 4, seed=1, mean=0.4, std=[0.1, 0.2, 0.3]),
    lambda data: sources.evaluation(data, 4, mean=0.4, std=[0.1, 0.2, 0.3]),
  ):
    left, right = build(resident), build(streamed)
    for step in range(left.num_batches):
      one, other = read(left, step), read(right, step)
      assert one.keys() == other.keys() == {"inputs", "label", "mask"}
      real_rows = one["mask"] == 1
      for key in one:
        np.testing.assert_array_equal(one[key][real_rows], other[key][real_rows])


def test_imagenet_is_streamed_and_brought_to_one_size(write_prepared):
  """ImageNet as TFDS writes it, on random images: JPEG of any size, 1,000 classes."""
  generator = np.random.default_rng(0)
  shapes = [(40, 50), (33, 20), (64, 64), (20, 90), (32, 32)]
  encoded = [
    (encode(generator.integers(0, 256, (*s, 3), dtype=np.uint8), "JPEG"), 100 * i) for i, s in enumerate(shapes)
  ]
  names = [f"n{i:08}" for i in range(1000)]
  data_dir = write_prepared("imagenet2012", {"train": encoded * 3, "validation": encoded}, (-1, -1, 3), names)
  with pytest.raises(UserError, match="image_size"):
    load("imagenet2012", "train", data_dir=data_dir)
  data = stream("imagenet2012", "train", data_dir=data_dir, image_size=32)
  assert isinstance(data, examples.Stream)
  assert data.num_classes == 1000
  build = lambda: sources.training(data, 8, seed=0, scale=(0.08, 1))
  run = build()
  batches = [read(run, step) for step in range(4)]
  assert batches[0]["inputs"].shape == (8, 32, 32, 3)
  for key, value in read(build(), 3).items():  # random crops too are a function of the step
    np.testing.assert_array_equal(value, batches[3][key])
  label = np.concatenate([batch["label"] for batch in batches])[:15]
  np.testing.assert_array_equal(np.sort(label), np.repeat(100 * np.arange(5), 3))
  held = stream("imagenet2012", "validation", data_dir=data_dir, image_size=32)
  evaluation = sources.evaluation(held, 8, centre=0.875)
  np.testing.assert_array_equal(read(evaluation, 0)["mask"], [1] * 5 + [0] * 3)


@real
def test_real_mnist_is_read_as_tfds_reads_it():
  import tensorflow_datasets as tfds

  builder: Any = tfds.builder("mnist", data_dir=str(REAL), file_format="array_record")
  direct = builder.as_data_source(split="test[:100]")
  ours = load("mnist", "test[:100]", data_dir=str(REAL))
  np.testing.assert_array_equal(ours.inputs, np.stack([record["image"] for record in direct]))
  np.testing.assert_array_equal(ours.label, [record["label"] for record in direct])


@real
def test_real_cifar10_streams():
  data = stream("cifar10", "train", data_dir=str(REAL))
  assert (len(data), data.class_names[:2], data.image_size) == (50_000, ("airplane", "automobile"), 32)
  batch = read(sources.training(data, 16, seed=0), 12345)
  assert batch["inputs"].shape == (16, 32, 32, 3)


def test_no_folder_and_no_set_and_no_such_name(data_dir, tmp_path):
  with pytest.raises(UserError, match=r"no such folder.*tfds build mnist --file_format=array_record"):
    load("mnist", data_dir=str(tmp_path / "nowhere"))
  with pytest.raises(UserError, match=r"no prepared cifar10.*tfds build cifar10 --file_format=array_record"):
    load("cifar10", data_dir=data_dir)
  with pytest.raises(UserError, match="did you mean 'mnist'"):
    load("mnsit", data_dir=data_dir)
  with pytest.raises(UserError, match="choose one of test, train"):
    load("shapes", "validation", data_dir=data_dir)


def test_other_file_formats_and_features(write_prepared):
  data_dir = write_prepared("old", {"train": labelled(3)}, (6, 6, 3), ["a", "b", "c"], file_format="tfrecord")
  with pytest.raises(UserError, match=r"tfrecord.*only ArrayRecord"):
    load("old", data_dir=data_dir)
  data_dir = write_prepared("text", {"train": labelled(3)}, (6, 6, 3), ["a", "b", "c"])
  (Path(data_dir) / "text" / "1.0.0" / "features.json").write_text(json.dumps({"featuresDict": {"features": {}}}))
  with pytest.raises(UserError, match="features"):
    load("text", data_dir=data_dir)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
  ("example", "message"), [((b"no image", 0), "train 3"), ((encode(pictures(1)[0]), 3), "label")]
)
def test_bad_records(write_prepared, streamed, example, message):
  splits = {"train": [*labelled(3), example]}
  data_dir = write_prepared("bad", splits, (6, 6, 3), ["a", "b", "c"])

  def use():
    data = sources.load("bad", "train", data_dir=data_dir, streamed=streamed)
    return sources.training(data, 4, seed=0).feed(0)

  with pytest.raises(UserError, match=message):
    use()


# The cache.


def test_cached_set_needs_no_tfds(data_dir):
  """The second process has the set without importing tensorflow_datasets, and the first without TensorFlow."""
  code = (
    "import sys; from research.data import sources;"
    f"data = sources.load('shapes', 'train', data_dir={data_dir!r});"
    "print(int(data.inputs.sum()), *('tensorflow' in sys.modules, 'tensorflow_datasets' in sys.modules))"
  )
  run = lambda: subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
  first, second = run(), run()
  assert first == [str(np.sum(pictures(20))), "False", "True"]
  assert second == [first[0], "False", "False"]


@pytest.mark.parametrize(
  "damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:600] + b"\xff" * 50 + b[650:]]
)
def test_damaged_cache_is_read_again(data_dir, cache_folder, caplog, damage):
  again = lambda: load("shapes", "train", data_dir=data_dir).inputs
  again()
  (file,) = cache_folder.iterdir()  # one file: nothing unfinished is left
  whole = file.read_bytes()
  file.write_bytes(damage(whole))
  np.testing.assert_array_equal(again(), pictures(20))
  assert "Cannot read the cache" in caplog.text
  caplog.clear()
  np.testing.assert_array_equal(again(), pictures(20))  # it was written anew
  assert not caplog.text


def test_unwritable_cache_is_passed_over(data_dir, cache_folder, caplog):
  cache_folder.write_text("a file where the folder should be")
  assert len(load("shapes", "train", data_dir=data_dir)) == 20
  assert "Cannot write the cache" in caplog.text


def test_interrupted_write_leaves_nothing_behind(data_dir, cache_folder, monkeypatch, caplog):
  def full(*args, **kwargs):
    raise OSError(28, "No space left on device")

  monkeypatch.setattr(np, "savez", full)
  assert len(load("shapes", "train", data_dir=data_dir)) == 20
  assert list(cache_folder.iterdir()) == []
  assert "No space left" in caplog.text


def test_changed_source_is_decoded_again(write_images):
  root = write_images({"a": pictures(5), "b": pictures(5)})
  before = load(path=str(root), split="all")
  (root / "a" / "000.png").write_bytes(encode(255 - pictures(1)[0]))
  os.utime(root / "a" / "000.png", (0, 0))
  after = load(path=str(root), split="all")
  np.testing.assert_array_equal(after.inputs[0], 255 - before.inputs[0])
  np.testing.assert_array_equal(after.inputs[1:], before.inputs[1:])


# A folder of images.


def test_folder_with_test_images(write_images):
  root = write_images({"train/cat": pictures(4), "train/dog": pictures(3), "test/dog": pictures(2, seed=1)})
  (root / "train" / "cat" / "notes.txt").write_text("not an image")
  training, test = (load(path=str(root), split=split) for split in ("train", "test"))
  by_content = lambda images, labels: sorted(zip([image.tobytes() for image in images], labels))
  expected = by_content(pictures(4) + pictures(3), [0] * 4 + [1] * 3)
  assert by_content(training.inputs, training.label.tolist()) == expected
  np.testing.assert_array_equal(test.inputs, pictures(2, seed=1))
  np.testing.assert_array_equal(test.label, [1, 1])
  assert test.class_names == ("cat", "dog")


@pytest.mark.parametrize("prefix", ["", "train/"])
def test_folder_without_test_images_holds_a_fifth_out(write_images, prefix):
  root = str(write_images({f"{prefix}cat": pictures(20), f"{prefix}dog": pictures(10)}, suffix=".jpg"))
  training, test, again = (load(path=root, split=s) for s in ("train", "test", "test"))
  np.testing.assert_array_equal(np.bincount(training.label), [16, 8])
  np.testing.assert_array_equal(np.bincount(test.label), [4, 2])
  np.testing.assert_array_equal(test.inputs, again.inputs)


def test_folder_streamed_equals_resident(write_images):
  root = write_images({"a": pictures(6, 8), "b": pictures(5, 12)})
  get = lambda streamed: sources.load(path=str(root), image_size=8, channels=1, streamed=streamed)
  left, right = (sources.training(get(streamed), 4, seed=0) for streamed in (False, True))
  for step in range(4):
    one, other = read(left, step), read(right, step)
    for key in one:
      np.testing.assert_array_equal(one[key], other[key])


def test_bad_folders(write_images, tmp_path):
  with pytest.raises(UserError, match="no such file or folder"):
    load(path=str(tmp_path / "nowhere"))
  (tmp_path / "empty" / "train" / "cat").mkdir(parents=True)
  with pytest.raises(UserError, match="no images"):
    load(path=str(tmp_path / "empty"))
  root = write_images({"train/a": pictures(3), "train/b": pictures(3, 7), "test/c": pictures(1)})
  with pytest.raises(UserError, match=r"class = 'c'"):
    load(path=str(root))
  (root / "test" / "c" / "000.png").unlink()
  with pytest.raises(UserError, match="another size than"):
    load(path=str(root))
  with pytest.raises(UserError, match="choose one of"):
    load(path=str(root), split="validation")
  with pytest.raises(UserError, match="channels"):
    load(path=str(root), image_size=4, channels=2)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("damaged", ["000.png", "002.png"])
def test_unreadable_image_is_named(write_images, streamed, damaged):
  file = write_images({"cat": pictures(8), "dog": pictures(8)}) / "cat" / damaged
  file.write_bytes(file.read_bytes()[:60])

  def use():
    data = sources.load(path=str(file.parents[1]), split="all", streamed=streamed)
    return sources.training(data, 16, seed=0).feed(0)

  with pytest.raises(UserError, match=damaged.replace(".", r"\.")):
    use()


def test_decode_crops_and_resizes():
  """A smooth ramp survives resizing, a JPEG's reduced decoding included: value is proportional to the column."""
  ramp = np.repeat(np.linspace(0, 255, 400).astype(np.uint8)[None, :, None], 200, 0)
  for kind in ("PNG", "JPEG"):
    pixels = images.decode(encode(ramp, kind), 1, 25, "ramp")
    expected = 255 * (100 + 200 * (np.arange(25) + 0.5) / 25) / 400
    np.testing.assert_allclose(pixels[:, :, 0], np.tile(expected, (25, 1)), atol=3)
  assert images.decode(encode(ramp), 3, None, "ramp").shape == (200, 400, 3)
  generator = np.random.default_rng(0)
  for _ in range(200):
    left, top, right, bottom = images.random_area(generator, (0.08, 1))(60, 40)
    assert 0 <= left < right <= 60
    assert 0 <= top < bottom <= 40
    assert (right - left) * (bottom - top) > 0.0799 * 60 * 40


# An .npz archive.


def archive(tmp_path, **arrays):
  np.savez(tmp_path / "own.npz", **arrays)
  return str(tmp_path / "own.npz")


def test_npz_without_splits(tmp_path):
  inputs, label = np.random.default_rng(0).random((50, 3)), np.arange(50) % 2
  path = archive(tmp_path, x=inputs, y=label[:, None])
  training, test, whole = (load(path=path, split=split) for split in ("train", "test", "all"))
  assert (len(training), len(test)) == (40, 10)
  np.testing.assert_array_equal(np.bincount(test.label), [5, 5])
  np.testing.assert_array_equal(whole.inputs, inputs.astype(np.float32))
  assert whole.inputs.dtype == np.float32


@pytest.mark.parametrize(
  "names", [("train_inputs", "train_label", "test_inputs", "test_label"), ("x_train", "y_train", "x_test", "y_test")]
)
def test_npz_with_splits(tmp_path, names):
  values = (np.stack(pictures(6)), np.arange(6) % 3, np.stack(pictures(2, seed=1)), np.array([0, 0]))
  path = archive(tmp_path, **dict(zip(names, values, strict=True)))
  test = load(path=path, split="test")
  np.testing.assert_array_equal(test.inputs, values[2])
  assert test.num_classes == 3  # though the test split has one class alone
  assert len(load(path=path, split="train[:50%]")) == 3


def test_npz_images_get_a_channel_axis(tmp_path):
  path = archive(tmp_path, image=np.zeros((10, 4, 5), np.uint8), label=np.arange(10) % 2)
  assert load(path=path, split="all").inputs.shape == (10, 4, 5, 1)


GOOD = {"inputs": np.zeros((6, 2), np.float32), "label": np.array([0, 1, 2, 0, 1, 2])}


@pytest.mark.parametrize(
  ("change", "message"),
  [
    ({"label": np.array([0, 1, 2, 0, 1, -1])}, "smallest label.*-1"),
    ({"label": np.array([0, 1, 2, 0, 1, 7]), "class_names": np.array(["a", "b", "c"])}, "largest label.*7"),
    ({"label": np.array([0, 1, 2, 0, 1, 2**40])}, "largest label"),
    ({"label": np.linspace(0, 1, 6)}, "type of the labels"),
    ({"label": np.array([0, 1])}, "shapes of inputs and labels"),
    ({"label": np.array([b"a"] * 6)}, "type of the labels"),
    ({"inputs": np.full((6, 2), np.nan)}, "6 examples with NaN"),
    ({"inputs": np.array([[0, 1]] * 5 + [[0, np.inf]])}, "example = 5"),
    ({"inputs": np.zeros((6, 2), np.int64)}, "type of the inputs"),
    ({"inputs": np.zeros(6)}, "shapes of inputs and labels"),
    ({"inputs": np.zeros((0, 2)), "label": np.zeros(0, int)}, "number of examples"),
    ({"inputs": np.array([None] * 6)}, "cannot be read"),
  ],
)
def test_bad_arrays(tmp_path, change, message):
  with pytest.raises(UserError, match=message):
    load(path=archive(tmp_path, **GOOD | change))


def test_bad_archives(tmp_path):
  with pytest.raises(UserError, match="no such file"):
    load(path=str(tmp_path / "nowhere.npz"))
  (tmp_path / "text.npz").write_text("no archive")
  with pytest.raises(UserError, match="cannot be read"):
    load(path=str(tmp_path / "text.npz"))
  with pytest.raises(UserError, match=r"it has .*'pixels'"):
    load(path=archive(tmp_path, pixels=np.zeros(3)))
  with pytest.raises(UserError, match="choose one of all, test, train"):
    load(path=archive(tmp_path, **GOOD), split="validation")
