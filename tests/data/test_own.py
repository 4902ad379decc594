"""A user's own data: what the path is says how it is read."""

import pathlib

import numpy as np
import pytest

from research.data import cells, columns, files, own, remembered
from research.errors import UserError
from tests.mock_data import own as mock_own

TABLE = "width,colour,kind\n" + "".join(f"{i},{'red' if i % 2 else 'blue'},{'ab'[i % 2]}\n" for i in range(20))
READING = own.Reading(tables=True, target="kind")


@pytest.fixture
def folder(tmp_path, monkeypatch):
  """Files of images and tables, where the test is."""
  monkeypatch.chdir(tmp_path)
  for name in ("pictures", "my.npy", "my.npz", "flowers.csv", "flowers.parquet"):
    mock_own.write_one(tmp_path, name)
  return tmp_path


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


def test_a_mistake_in_parquet_is_told_by_its_row(folder):
  import pyarrow
  import pyarrow.parquet

  pyarrow.parquet.write_table(pyarrow.table({"width": [1.0, None] * 5, "kind": ["a", "b"] * 5}), "gaps.parquet")
  with pytest.raises(UserError, match=r"gaps.parquet, row 2, column width.*missing"):
    own.load("gaps.parquet", "train", READING)


@pytest.mark.parametrize(
  ("cell", "message"),
  [
    ("4x", r"line 6, column width = '4x': 19 of the column's 20 cells are numbers"),
    ("inf", r"line 6, column width = 'inf'"),
    ("4_0", r"line 6, column width = '4_0'"),
    ("1e200", r"line 6, column width = '1e200': it is too large"),
  ],
)
def test_a_mistake_among_numbers_makes_no_words_of_them(tmp_path, cell, message):
  (tmp_path / "t.csv").write_text(TABLE.replace("\n4,blue", f"\n{cell},blue"))
  with pytest.raises(UserError, match=message):
    own.load(str(tmp_path / "t.csv"), "train", READING)


def test_few_kinds_may_be_numbers_and_words(tmp_path):
  rows = "".join(f"{('0', '1', '2', '3+')[i % 4]},{'ab'[i % 2]}\n" for i in range(20))
  (tmp_path / "t.csv").write_text(f"children,kind\n{rows}")
  columns = own.load(str(tmp_path / "t.csv"), "train", READING).columns
  assert columns.features == ("children=0", "children=1", "children=2", "children=3+")


def test_a_number_too_large_for_32_bits_is_no_input(tmp_path):
  np.savez(tmp_path / "t.npz", inputs=np.array([[1e300], [1.0]] * 5), label=np.arange(10) % 2)
  with pytest.raises(UserError, match="infinite"):
    own.load(str(tmp_path / "t.npz"), "train")


def test_a_folder_of_other_files_is_answered_with_what_is_read(tmp_path):
  (tmp_path / "songs").mkdir()
  (tmp_path / "songs" / "a.mid").touch()
  with pytest.raises(UserError, match=r"it has no images\. This experiment reads a folder of images by class"):
    own.load(str(tmp_path / "songs"), "train", READING)
