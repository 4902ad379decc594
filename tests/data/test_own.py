"""A user's own data: what the path is says how it is read."""

import pathlib
import re

import numpy as np
import pytest
from PIL import Image

from experiments.command import cli
from experiments.parts import generative, splits
from research.data import cells, columns, files, own, remembered
from research.errors import UserError

DOCUMENTED = re.findall(
  r"`python -m experiments\.(\w+)([^`]*)`",
  (pathlib.Path(__file__).parents[2] / "docs" / "data.md").read_text(),
)
TABLE = "width,colour,kind\n" + "".join(f"{i},{'red' if i % 2 else 'blue'},{'ab'[i % 2]}\n" for i in range(20))
READING = own.Reading(tables=True, target="kind")


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Every file that docs/data.md names."""
  monkeypatch.chdir(tmp_path)
  pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
  table = TABLE.replace("kind", "species")
  pathlib.Path("flowers.csv").write_text(table)
  pathlib.Path("flowers.tsv").write_text(table.replace(",", "\t"))
  pathlib.Path("gaps.csv").write_text(table.replace("\n4,blue", "\n,blue").replace("\n7,red", "\n7,NA"))
  pathlib.Path("measures.csv").write_text("a,b\n" + "".join(f"{i},{i * i % 7}\n" for i in range(20)))
  parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.csv")
  parquet.write_table(arrow.read_csv("flowers.csv"), "flowers.parquet")
  np.save("my.npy", pixels)
  np.savez("my.npz", inputs=pixels, label=np.array(["cat", "dog"] * 10))
  for i, image in enumerate(pixels):
    for place in (pathlib.Path("pictures"), pathlib.Path("my_images", "ab"[i % 2])):
      place.mkdir(parents=True, exist_ok=True)
      Image.fromarray(image).resize((8 + i % 3, 8)).save(place / f"{i}.png")
  return tmp_path


def test_documented_commands_read_what_they_name(folder):
  kinds = {"cnn": {}, "mlp": {"tables": True}, "flow": {"labels": False, "tables": True}}
  for experiment, flags in DOCUMENTED:
    fields = dict(re.findall(r"--config\.([\w.]+)=(\S+)", flags))
    named = re.search(r"--config=(\S+)", flags)
    module = __import__(f"experiments.{experiment}", fromlist=["DEFAULT"])
    config = cli.load_config(named[1] if named else module.DEFAULT, fields)
    if experiment == "inference":
      continue
    if experiment in ("vae", "diffusion"):
      data = generative.load_pixels(config.data, config.model.conditional)
    else:
      data = splits.load(config.data, **kinds[experiment])
    assert len(data.train) + len(data.validation or ()) + len(data.test) == 20


def test_words_are_one_hot_and_classes_are_named(tmp_path):
  (tmp_path / "t.csv").write_text(TABLE)
  train, test = (own.load(str(tmp_path / "t.csv"), split, READING) for split in ("train", "test"))
  assert train.class_names == ("a", "b")
  assert train.columns.features == ("width", "colour=blue", "colour=red")
  for part in (train, test):
    np.testing.assert_array_equal(part.inputs[:, 0] % 2, part.label)
    np.testing.assert_array_equal(part.inputs[:, 1:].argmax(1), part.label)
  assert sorted(np.concatenate([train.inputs[:, 0], test.inputs[:, 0]])) == list(range(20))


def test_missing_cells_are_refused_by_line_or_filled_by_the_training_rows(tmp_path):
  path = str(tmp_path / "t.csv")
  pathlib.Path(path).write_text(TABLE.replace("\n4,blue", "\n?,blue").replace("\n7,red", "\n7,"))
  with pytest.raises(UserError, match=r"line 6, column width.*missing"):
    columns.load(path, "train", "kind")
  whole, train = (columns.load(path, split, "kind", True) for split in ("all", "train"))
  assert whole.inputs[4, 0] == pytest.approx(train.inputs[:, 0].mean(), rel=1e-5)  # itself, where it is among them
  assert whole.inputs[7, 1:].sum() == 1
  pathlib.Path(path).write_text(TABLE.replace("\n3,red,b", "\n3,red,"))
  with pytest.raises(UserError, match=r"line 5, column kind.*class is missing"):
    columns.load(path, "train", "kind", True)


def test_other_rows_are_read_by_the_names_of_columns_and_remembered(tmp_path):
  (tmp_path / "t.csv").write_text(TABLE)
  load = lambda: own.load(str(tmp_path / "t.csv"), "train", READING)
  memory = remembered.Memory()
  with memory:
    remembered.data("examples", load)
  memory.save(tmp_path)
  (tmp_path / "t.csv").unlink()
  with remembered.Memory(tmp_path, stand_in=True):
    again = remembered.data("examples", load)
  (tmp_path / "new.csv").write_text("colour,other,width\nred,x,3\n")
  inputs, _ = files.unlabelled(tmp_path / "new.csv", (3,), columns=again.columns)
  np.testing.assert_array_equal(inputs, [[3, 0, 1]])
  (tmp_path / "new.csv").write_text("colour,width\ngreen,3\n")
  with pytest.raises(UserError, match=r"line 2, column colour.*none of blue, red"):
    files.unlabelled(tmp_path / "new.csv", (3,), columns=again.columns)


@pytest.mark.parametrize(
  ("name", "text", "reading", "message"),
  [
    ("t.pdf", "x", READING, "this experiment reads a folder of images.*target=COLUMN"),
    ("t.csv", TABLE, own.Reading(), "this experiment reads"),
    ("t.csv", TABLE, own.Reading(tables=True), "name the column.*width, colour, kind"),
    ("t.csv", TABLE, READING._replace(target="size"), "no such column"),
    ("t.csv", TABLE.replace("\n0,blue", "\n0.5,blue"), READING._replace(target="width"), "whole number"),
    ("t.npy", "", READING, "this experiment reads"),
    ("t.npz", "", READING, "config.data.target.*leave it out"),
  ],
)
def test_what_is_not_read_is_answered_with_what_is(tmp_path, name, text, reading, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(UserError, match=message):
    own.load(str(tmp_path / name), "train", reading)


def test_labels_are_not_asked_for_where_nothing_is_classified(folder):
  for path in ("pictures", "my.npy"):
    data = own.load(path, "all", own.Reading(labels=False), image_size=8)
    assert (data.labelled, data.inputs.shape) == (False, (20, 8, 8, 1))
    with pytest.raises(UserError):
      own.load(path, "all", image_size=8)
  assert own.load("my.npz", "train").class_names == ("cat", "dog")


def test_parquet_has_the_cells_of_csv(folder):
  csv, parquet = cells.read("flowers.csv"), cells.read("flowers.parquet")
  assert csv.header == parquet.header
  assert [row for _, row in csv.rows] == [row for _, row in parquet.rows]
