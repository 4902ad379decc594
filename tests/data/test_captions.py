"""Captions: what they say is what is drawn, pairs that are held out are, and one's own tables."""

import jax
import numpy as np
import pytest
from PIL import Image

from research.data import captions, scenes
from research.data.examples import Examples
from research.errors import UserError
from research.evaluation import captions as judged
from research.evaluation.detection import Objects

STYLE = scenes.Style(size=32, objects=(2, 2), sides=(9.0, 15.0), cluttered=False)


def digits(count=40):
  rng = np.random.default_rng(0)
  images = np.zeros((count, 8, 8, 1), np.uint8)
  images[:, 1:7, 2:6] = rng.integers(0, 256, (count, 6, 4, 1))
  images[:, 2:6, 3:5] = 255
  return Examples("blots", images, rng.permutation(np.arange(count) % 10).astype(np.int32), captions.DIGITS)


def batch(unseen, count=96):
  data = captions.dataset(digits(), STYLE, count, seed=0, name="test", count=count, unseen=unseen)
  return jax.device_get(jax.jit(data.assemble)(dict(data.resident), data.feed(0)))


@pytest.fixture(scope="module")
def parts():
  return {"seen": batch(False), "unseen": batch(True)}


def words_of(row):
  return [captions.SCENES.vocabulary[token - captions.FIRST] for token in row if token >= captions.FIRST]


def name_of(drawn, n, k):
  size = ["small"] if drawn["small"][n, k] else []
  return ["a", *size, list(scenes.COLOURS)[drawn["colour"][n, k]], captions.DIGITS[drawn["digit"][n, k]]]


def test_a_caption_says_what_is_drawn(parts):
  for drawn in parts.values():
    for n, row in enumerate(drawn["label"]):
      assert words_of(row) == [
        *name_of(drawn, n, 0),
        *captions.RELATIONS[drawn["relation"][n]].split(),
        *name_of(drawn, n, 1),
      ]
      assert row[0] == captions.BEGIN
      written = captions.encoded([" ".join(words_of(row))], captions.SCENES, captions.LENGTH, "--input")
      np.testing.assert_array_equal(written[0], row)


def test_pictures_are_true_of_their_captions_to_the_judge_of_samples(parts):
  for drawn in parts.values():
    for n, image in enumerate((drawn["inputs"] + 1) / 2):
      said = {name: drawn[name][n] for name in ("digit", "colour", "relation")}
      objects = Objects(drawn["boxes"][n][::-1], drawn["digit"][n][::-1], np.ones(2))  # in either order
      assert judged.true_of(image, objects, said)["all"]
      other = {**said, "colour": (said["colour"] + [0, 1]) % len(scenes.COLOURS)}
      assert judged.true_of(image, objects, other) == {
        "objects": True,
        "colours": False,
        "relation": True,
        "all": False,
      }
      if said["digit"][0] != said["digit"][1]:
        turned = {**said, "relation": (said["relation"] + 2) % 4}
        assert not judged.true_of(image, objects, turned)["relation"]
      sides = drawn["boxes"][n][:, 2:] - drawn["boxes"][n][:, :2]
      assert (sides.max(-1) < 15).all()
  assert not judged.true_of(image, Objects(drawn["boxes"][n][:1], drawn["digit"][n][:1], np.ones(1)), said)["objects"]


def test_pairs_that_are_held_out_are_never_learnt_from_and_always_among_the_unseen(parts):
  held = captions.held_out()
  assert held.sum(0).tolist() == [1] * len(scenes.COLOURS)
  assert held.sum(1).max() == 1
  among = {name: held[drawn["digit"], drawn["colour"]].sum(1) for name, drawn in parts.items()}
  assert set(among["seen"]) == {0}
  assert set(among["unseen"]) == {1}
  assert len(np.unique(parts["seen"]["relation"])) == 4
  assert 0.3 < parts["seen"]["small"].mean() < 0.7


@pytest.fixture
def table(tmp_path):
  for i in range(10):
    Image.fromarray(np.full((9 + i, 12, 3), 20 * i, np.uint8)).save(tmp_path / f"{i}.png")
  rows = [f'{i}.png,"A grey, {("dark", "light")[i // 5]} field"' for i in range(10)]
  (tmp_path / "captions.csv").write_text("\n".join(["image,caption", *rows]))
  return tmp_path / "captions.csv"


def test_ones_own_table_is_read_with_every_image_beside_its_caption(table):
  parts = captions.load(str(table), 8, 0.25)
  assert [len(part) for part in parts] == [6, 2, 2]
  for part in parts:
    for image, row in zip(part.inputs, part.label):
      words = [part.tokenizer.vocabulary[token - captions.FIRST] for token in row if token >= captions.FIRST]
      assert words == ["a", "grey", ",", "dark" if image.max() < 100 else "light", "field"]


@pytest.mark.parametrize(
  ("edit", "message"),
  [
    (lambda text: text.replace("caption", "text"), "columns image and caption"),
    (lambda text: text.replace("3.png", "none.png"), "line 5"),
    (lambda text: text.replace("3.png", ""), "line 5"),
    (lambda text: text[:30], "two rows or more"),
  ],
)
def test_a_table_that_is_wrong_is_refused(table, edit, message):
  table.write_text(edit(table.read_text()))
  with pytest.raises(UserError, match=message):
    captions.load(str(table), 8, 0.0)


def test_words_that_were_not_learnt_and_captions_that_are_too_long_are_refused():
  with pytest.raises(UserError, match="no caption that was learnt from"):
    captions.encoded(["a purple two"], captions.SCENES, captions.LENGTH, "--input")
  with pytest.raises(UserError, match="11 at most"):
    captions.encoded(["a " * 12], captions.SCENES, captions.LENGTH, "--input")
