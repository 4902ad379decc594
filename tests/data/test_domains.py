"""Two domains: looks against loops, who is in which set, pairs and what is refused of one's own folders."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from research.data import domains
from research.data.examples import Examples
from research.errors import UserError
from tests.mock_data.raw import own_style

NAMES = tuple("0123456789")


def numbered(count=20, side=6):
  """Pictures of noise, no two of which look alike in any look."""
  rng = np.random.default_rng(0)
  inputs = rng.integers(0, 256, (count, side, side, 1)).astype(np.uint8)
  return Examples("digits", inputs, (np.arange(count) % 10).astype(np.int32), NAMES)


def neighbourhood(picture, y, x):
  height, width = picture.shape
  rows, columns = range(max(0, y - 1), min(height, y + 2)), range(max(0, x - 1), min(width, x + 2))
  return max(int(picture[i, j]) for i in rows for j in columns)


def test_looks_are_what_they_say_pixel_by_pixel():
  picture = numbered(1, 7).inputs[0, :, :, 0]
  sharp = np.clip(3 * (picture.astype(int) - 85), 0, 255)
  rim = [[max(neighbourhood(sharp, y, x) - sharp[y, x], picture[y, x] // 2) for x in range(7)] for y in range(7)]
  np.testing.assert_array_equal(domains.outlined(picture[None, :, :, None])[0, :, :, 0], rim)
  bright = picture > 127
  drawing = [[255 * (not bright[y, x] and neighbourhood(bright, y, x) > 0) for x in range(7)] for y in range(7)]
  np.testing.assert_array_equal(domains.edges(picture[None, :, :, None])[0, :, :, 0], drawing)


@pytest.mark.parametrize("side", [6, 7])
def test_slanted_is_scipy_s_shear(side):
  picture = numbered(1, side).inputs[0, :, :, 0].astype(float)
  middle = (side - 1) / 2
  rows, columns = np.mgrid[:side, :side].astype(float)
  at = [rows, columns - domains.SLANT * (middle - rows)]
  expected = ndimage.map_coordinates(np.pad(picture, ((0, 0), (9, 9))), [at[0], at[1] + 9], order=1)
  result = domains.slanted(picture.astype(np.uint8)[None, :, :, None])[0, :, :, 0]
  np.testing.assert_allclose(result, expected, atol=0.51)  # rounded to bytes


@pytest.mark.parametrize("look", domains.LOOKS)
def test_without_pairs_no_digit_is_in_both_domains_and_all_are_in_one(look):
  examples = numbered()
  unpaired = domains.made(examples, ("upright", look), 8, 1, paired=False)
  inner = unpaired.a.inputs[:, 1:-1, 1:-1]
  first = [int(np.flatnonzero((examples.inputs == picture).all((1, 2, 3)))[0]) for picture in inner]
  whole = domains.LOOKS[look](np.pad(examples.inputs, ((0, 0), (1, 1), (1, 1), (0, 0))))
  second = [i for picture in unpaired.b.inputs for i in np.flatnonzero((whole == picture).all((1, 2, 3)))]
  assert not set(first) & set(second)
  assert sorted(first + second) == list(range(20))
  np.testing.assert_array_equal(unpaired.a.label, examples.label[first])
  np.testing.assert_array_equal(unpaired.b.label, examples.label[second])


def batches(dataset, count):
  return [
    {name: np.asarray(x) for name, x in dataset.assemble(dataset.resident, dataset.feed(i)).items()}
    for i in range(count)
  ]


def rows_of(pictures, batch):
  """Which pictures are in a batch."""
  signed = pictures.astype(np.float32) / 127.5 - 1
  return [int(np.abs(signed - x).reshape(len(signed), -1).max(1).argmin()) for x in batch]


def test_pairs_stay_together_and_domains_without_are_shuffled_apart():
  paired = domains.made(numbered(), ("edges", "upright"), 6, 0, paired=True)
  for batch in batches(domains.training(paired, 5, seed=3), 4):
    of_b = rows_of(paired.b.inputs, batch["b"])
    np.testing.assert_allclose(batch["a"], paired.a.inputs[of_b] / 127.5 - 1, atol=1e-6)
  unpaired = domains.made(numbered(21), ("upright", "slanted"), 6, 0, paired=False)
  assert (len(unpaired.a), len(unpaired.b)) == (10, 11)
  train = domains.training(unpaired, 5, seed=3)
  assert train.num_examples == 11
  parts = batches(train, 4)
  of_a, of_b = (
    [i for batch in parts for i in rows_of(part.inputs, batch[side])]
    for side, part in (("a", unpaired.a), ("b", unpaired.b))
  )
  assert sorted(of_a[:10]) == sorted(of_a[10:]) == list(range(10))
  assert sorted(of_b[:11]) == list(range(11))
  assert of_a[:10] != of_b[:10]
  again = domains.training(unpaired, 5, seed=4)
  assert rows_of(unpaired.a.inputs, batches(again, 1)[0]["a"]) != of_a[:5]


def test_every_image_is_measured_once_where_the_domains_are_of_other_sizes():
  unpaired = domains.made(numbered(21), ("upright", "slanted"), 6, 0, paired=False)
  seen = {"a": [], "b": []}
  for batch in batches(domains.measured(unpaired, 4), 3):
    for side, part in (("a", unpaired.a), ("b", unpaired.b)):
      counts = batch["mask"] * batch[f"has_{side}"] > 0
      seen[side] += rows_of(part.inputs, batch[side][counts])
  assert sorted(seen["a"]) == list(range(10))
  assert sorted(seen["b"]) == list(range(11))


def test_own_domains_are_split_apart_each_by_itself(tmp_path):
  own_style.write(tmp_path)
  parts = domains.own(str(tmp_path), 16, 3, 0.25, paired=False)
  for side, count in (("a", 11), ("b", 9)):
    pictures = [getattr(part, side).inputs for part in parts if part is not None]
    assert [len(p) for p in pictures] == {11: [7, 2, 2], 9: [5, 2, 2]}[count]
    whole = np.concatenate(pictures)
    assert whole.shape == (count, 16, 16, 3)
    assert len({picture.tobytes() for picture in whole}) == count


def test_own_pairs_go_by_their_names(tmp_path):
  own_style.write(tmp_path, paired=True)
  parts = [part for part in domains.own(str(tmp_path), 16, 3, 0.25, paired=True) if part is not None]
  for part in parts:
    disc, ring = part.a.inputs[..., 0] > 100, part.b.inputs[..., 2] > 100
    outside = ring & ~(part.a.inputs[..., 0] > 40)
    assert disc.any((1, 2)).all()
    assert ring.any((1, 2)).all()
    assert not outside.any()  # of another image's it would lie elsewhere


def test_folders_that_are_none_are_refused(tmp_path):
  with pytest.raises(UserError, match="this experiment reads a folder with two folders"):
    domains.own(str(tmp_path), 16, 3, 0.0, paired=False)
  own_style.write(tmp_path, paired=True)
  Image.new("RGB", (9, 5)).save(tmp_path / "B" / "4.png")
  domains.own(str(tmp_path), 16, 3, 0.0, paired=False)
  with pytest.raises(UserError, match=r"B/4\.png: height and width = \(5, 9\)"):
    domains.own(str(tmp_path), 16, 3, 0.0, paired=True)
  (tmp_path / "B" / "4.png").unlink()
  with pytest.raises(UserError, match=r"A/4 has no image of its name there: add 4\.png"):
    domains.own(str(tmp_path), 16, 3, 0.0, paired=True)
  (tmp_path / "A" / "4.png").unlink()
  (tmp_path / "B" / "5.png").write_bytes(b"no image")
  with pytest.raises(UserError, match=r"5\.png.*cannot be decoded"):
    domains.own(str(tmp_path), 16, 3, 0.0, paired=True)


def test_a_domain_of_one_image_is_refused(tmp_path):
  own_style.write(tmp_path)
  for file in sorted((tmp_path / "B").iterdir())[1:]:
    file.unlink()
  with pytest.raises(UserError, match=r"B.*two images or more"):
    domains.own(str(tmp_path), 16, 3, 0.0, paired=False)


@pytest.mark.parametrize(
  ("looks", "margin", "message"),
  [
    (("upright", "bold"), 0, r"config\.domains\.b.*choose one of"),
    (("upright", "slanted"), 3, r"config\.domains\.margin"),
  ],
)
def test_domains_that_cannot_be_made_are_refused(looks, margin, message):
  with pytest.raises(UserError, match=message):
    domains.made(numbered(), looks, 6, margin, paired=True)
