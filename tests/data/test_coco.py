"""One's own images with boxes: read as pycocotools reads them, fitted to one size, and refused where they are wrong."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO

from research.data import coco
from research.errors import UserError
from tests.mock_data.raw import own_detection


@pytest.fixture
def folder(tmp_path):
  own_detection.write(tmp_path)
  return tmp_path


def test_every_box_is_around_the_square_of_its_class(folder):
  parts = coco.load(str(folder), 32, 0.25)
  assert [len(part) for part in parts] == [6, 2, 2]
  colours = np.asarray([(220, 30, 30), (30, 30, 220)])
  boxes = 0
  for part in parts:
    assert part.class_names == ("red", "blue")
    for i, k in zip(*np.nonzero(part.present)):
      top, left, bottom, right = part.boxes[i, k].astype(int)
      square = (part.inputs[i] == colours[part.label[i, k]]).all(-1)
      assert square[top:bottom, left:right].mean() > 0.3  # a later square may hide some of it
      square[top:bottom, left:right] = False
      assert not square.any()
      boxes += 1
  with contextlib.redirect_stdout(io.StringIO()):
    reference = COCO(folder / "annotations.json")
  assert boxes == len(reference.getAnnIds(iscrowd=False)) == 18


def test_a_large_image_is_reduced_with_its_boxes_and_a_small_one_padded(folder):
  whole, half = (coco.load(str(folder), size, 0.0)[0] for size in (32, 16))
  longest = np.asarray([max(14 + i, 30 - i) for i in order(10)[2:]])  # as the mock writes them
  scales = np.minimum(1, 16 / longest)
  assert (scales < 1).any()
  np.testing.assert_allclose(half.boxes, whole.boxes * scales[:, None, None], rtol=1e-6)
  image = np.random.default_rng(0).integers(0, 256, (61, 47, 3), np.uint8)
  canvas, scale = coco.fitted(image, 48)
  assert scale == 48 / 61
  assert (canvas[:, 37:] == canvas[:, 36:37]).all()
  canvas, scale = coco.fitted(image, 64)
  assert scale == 1
  np.testing.assert_array_equal(canvas[:61, :47], image)


def order(count):
  """In which a folder's images are shared out, with seed 0."""
  return np.random.Generator(np.random.Philox(key=0)).permutation(count)


def changed(folder, edit):
  file = folder / coco.FILE
  tables = json.loads(file.read_text())
  edit(tables)
  file.write_text(json.dumps(tables))


@pytest.mark.parametrize(
  ("edit", "message"),
  [
    (lambda t: t.pop("categories"), "categories"),
    (lambda t: t["images"][2].update(id=[1]), r"images\[2\]"),
    (lambda t: t["annotations"][3].update(bbox=[1, 2, 10**400, 4]), r"annotations\[3\].bbox"),
    (lambda t: t["annotations"][3].update(bbox=[1, 2, 0, 4]), r"annotations\[3\].bbox"),
    (lambda t: t["annotations"][3].update(bbox=[1, 2, 3]), r"annotations\[3\].bbox"),
    (lambda t: t["annotations"][2].update(bbox=[900, 2, 3, 4]), "outside the image"),
    (lambda t: t["annotations"][1].update(category_id=9), r"annotations\[1\].category_id"),
    (lambda t: t["annotations"][1].update(image_id=9), r"annotations\[1\].image_id"),
    (lambda t: t["images"][0].update(file_name="none.png"), r"none\.png, which is not there"),
    (lambda t: t["images"][0].update(file_name="x" * 300), "which is not there"),
    (lambda t: t["images"].append(t["images"][0]), "have one id"),
    (lambda t: t.update(annotations=[]), "at least one box"),
  ],
)
def test_what_is_wrong_is_named(folder, edit, message):
  changed(folder, edit)
  with pytest.raises(UserError, match=message):
    coco.load(str(folder), 32, 0.0)


def test_a_folder_without_boxes_and_a_file_that_is_no_json_are_refused(folder, tmp_path):
  (folder / coco.FILE).write_text("{")
  with pytest.raises(UserError, match="no JSON"):
    coco.load(str(folder), 32, 0.0)
  with pytest.raises(UserError, match=r"reads a folder with annotations\.json"):
    coco.load(str(tmp_path / "nowhere"), 32, 0.0)


def test_results_are_boxes_as_coco_writes_them():
  text = coco.results(["a.png"], [np.asarray([[1, 2, 4, 8.0]])], [np.asarray([1])], [np.asarray([0.5])], ("x", "y"))
  assert json.loads(text) == [{"file_name": "a.png", "category": "y", "bbox": [2, 1, 6, 3], "score": 0.5}]
