"""Scenes: what is drawn where, its boxes and masks by brute force; and tiles of one's own images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from research.data import masks, scenes
from research.data.examples import Examples
from research.errors import UserError
from tests.mock_data.raw import own_segmentation

STYLE = scenes.Style(size=24, objects=(1, 3), sides=(6.0, 12.0))


def digits(count=20):
  rng = np.random.default_rng(0)
  images = np.zeros((count, 8, 8, 1), np.uint8)
  images[:, 1:7, 2:6] = rng.integers(0, 256, (count, 6, 4, 1))
  images[:, 2:6, 3:5] = 255
  return Examples("blots", images, np.arange(count, dtype=np.int32) % 10, tuple("0123456789"))


@pytest.fixture(scope="module")
def drawn_scenes():
  pictures = jnp.asarray(digits().inputs[..., 0] / 255.0, jnp.float32)
  draw = jax.jit(jax.vmap(lambda key: scenes.draw(pictures, jnp.arange(20) % 10, key, STYLE)))
  return jax.device_get(draw(jax.random.split(jax.random.key(0), 64)))


def test_boxes_and_classes_are_those_of_the_objects_by_brute_force(drawn_scenes):
  for n in range(64):
    expected = np.zeros((24, 24), int)
    for k in range(3):
      rows, columns = np.nonzero(drawn_scenes.opacity[n, k] > 0.5)
      if not len(rows):
        assert not drawn_scenes.boxes[n, k].any()
        continue
      edges = [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
      np.testing.assert_array_equal(drawn_scenes.boxes[n, k], edges)
      expected[rows, columns] = drawn_scenes.label[n, k] + 1
    np.testing.assert_array_equal(drawn_scenes.classes[n], expected)


def test_every_number_of_objects_occurs_and_colours_cover_what_is_opaque(drawn_scenes):
  assert set(drawn_scenes.present.sum(1)) == {1, 2, 3}
  assert drawn_scenes.inputs.min() >= 0
  assert drawn_scenes.inputs.max() <= 1
  palette = np.asarray(list(scenes.COLOURS.values()))
  covered = 0
  for n, k in zip(*np.nonzero(drawn_scenes.present)):
    full = (drawn_scenes.opacity[n, k] > 0.999) & (drawn_scenes.opacity[n, k + 1 :] < 1e-6).all(0)
    colour = palette[drawn_scenes.colour[n, k]]
    np.testing.assert_allclose(drawn_scenes.inputs[n][full], np.broadcast_to(colour, (full.sum(), 3)), atol=2e-3)
    covered += full.sum()
  assert covered


def test_a_picture_at_its_own_size_and_a_whole_pixel_is_copied():
  picture = np.random.default_rng(1).random((5, 5)).astype(np.float32)
  canvas = scenes.placed(jnp.asarray(picture), jnp.asarray([2.0, 3.0]), jnp.asarray(5.0), 12)
  expected = np.zeros((12, 12), np.float32)
  expected[2:7, 3:8] = picture
  np.testing.assert_allclose(canvas, expected, atol=1e-6)


def test_batches_are_a_function_of_the_place_whatever_the_batch():
  make = lambda size, **more: scenes.dataset(digits(), STYLE, size, seed=3, **more)
  batch = lambda data, step: jax.jit(data.assemble)(dict(data.resident), data.feed(step))
  eight, four = make(8), make(4)
  np.testing.assert_array_equal(batch(eight, 0)["inputs"][4:], batch(four, 1)["inputs"])
  assert np.abs(batch(four, 0)["inputs"] - batch(four, 1)["inputs"]).max() > 0.1
  np.testing.assert_array_equal(batch(make(4, count=6), 1)["mask"], [1, 1, 0, 0])


@pytest.mark.parametrize("style", [scenes.Style(objects=(3, 2)), scenes.Style(sides=(10.0, 60.0))])
def test_scenes_that_cannot_be_drawn_are_refused(style):
  with pytest.raises(UserError, match=r"config\.scene\.(objects|sides)"):
    style.check("config.scene")


def test_tiles_hold_every_pixel_of_ones_own_images_once(tmp_path):
  own_segmentation.write(tmp_path)
  parts = masks.load(str(tmp_path), 8, 0.25)
  assert all(part is not None for part in parts)
  total = sum((part.classes != masks.UNKNOWN).sum() for part in parts)
  assert total == sum((14 + i) * (30 - i - 1) for i in range(10))  # one column of each is not known
  colours = np.asarray([(40, 40, 40), (220, 30, 30), (30, 30, 220)], np.uint8)
  for part in parts:
    known = part.classes != masks.UNKNOWN
    np.testing.assert_array_equal(part.inputs[known], colours[part.classes[known]])
  assert parts[0].class_names == ("0", "1", "2")


def test_a_mask_of_another_size_and_a_missing_one_are_refused(tmp_path):
  own_segmentation.write(tmp_path)
  Image.fromarray(np.zeros((3, 3), np.uint8)).save(tmp_path / "masks" / "4.png")
  with pytest.raises(UserError, match=r"4\.png: shape = \(3, 3\)"):
    masks.load(str(tmp_path), 8, 0.0)
  (tmp_path / "masks" / "4.png").unlink()
  with pytest.raises(UserError, match=r"add 4\.png"):
    masks.load(str(tmp_path), 8, 0.0)


@pytest.mark.parametrize("value", [0, 255])
def test_masks_of_one_class_are_refused(tmp_path, value):
  own_segmentation.write(tmp_path)
  for file in (tmp_path / "masks").iterdir():
    mask = np.zeros(np.asarray(Image.open(file)).shape, np.uint8)
    mask[:3] = value  # black and white, or all black
    Image.fromarray(mask).save(file)
  with pytest.raises(UserError, match=r"two classes or more.*255"):
    masks.load(str(tmp_path), 8, 0.0)


def test_masks_whose_values_skip_some_are_told_of(tmp_path):
  own_segmentation.write(tmp_path)
  assert not masks.notes(masks.load(str(tmp_path), 8, 0.0)[0])
  for file in (tmp_path / "masks").iterdir():
    mask = np.asarray(Image.open(file))
    Image.fromarray(np.choose(np.minimum(mask, 3), [0, 7, 200, 255]).astype(np.uint8)).save(file)
  (note,) = masks.notes(masks.load(str(tmp_path), 8, 0.0)[0])
  assert "198 of 201 classes" in note
  assert "1, 2, 3, 4, 5, ..." in note


@pytest.mark.parametrize(("copy", "named"), [("images/4.jpg", "images"), ("masks/4.bmp", "masks")])
def test_two_images_never_share_a_mask(tmp_path, copy, named):
  own_segmentation.write(tmp_path)
  Image.open(tmp_path / named / "4.png").convert("RGB" if named == "images" else "L").save(tmp_path / copy)
  with pytest.raises(UserError, match=rf"{named}/4\.\w+ has that name too"):
    masks.load(str(tmp_path), 8, 0.0)


def test_masks_of_images_in_folders_lie_as_these_do(tmp_path):
  own_segmentation.write(tmp_path)
  whole = masks.load(str(tmp_path), 8, 0.0)
  for name in ("images", "masks"):
    for folder, numbers in (("a", "01234"), ("b", "56789")):
      (tmp_path / name / folder).mkdir()
      for number in numbers:
        # Of one name in both folders, and in the order that they had.
        file = tmp_path / name / f"{number}.png"
        file.rename(tmp_path / name / folder / f"{int(number) % 5}.png")
  for before, after in zip(whole, masks.load(str(tmp_path), 8, 0.0)):
    if before is not None:
      np.testing.assert_array_equal(before.classes, after.classes)
