"""Image translation in use: what the judge counts, predictions of one's own folder, and what is refused."""

import itertools

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import style
from experiments.command import cli
from experiments.parts import features
from experiments.reports import style as report_lib
from research.data.examples import Examples
from research.errors import UserError
from research.families import image_translation as family_lib
from tests.mock_data.raw import own_style

BRIGHTEST = features.Classifier(
  lambda images: features.Measured(images.reshape(len(images), -1), images[:, 0, 0, 0].astype(int)), 0.75, 10
)


class Negative:
  """A translator both of whose directions turn bright to dark."""

  directions = (family_lib.TO_B, family_lib.TO_A)

  def __call__(self, pictures, direction):
    return 255 - pictures


def test_the_judge_counts_the_labels_of_what_was_translated():
  label = np.arange(10, dtype=np.int32)
  source = Examples("digits", label.astype(np.uint8)[:, None, None, None], label, tuple("0123456789"))
  translated = np.where(label < 6, label, 0).astype(np.uint8)[:, None, None, None]
  values = report_lib.judged(BRIGHTEST, source, translated)
  assert values == {"judge_accuracy": 0.6, "judge_accuracy_unchanged": 1.0, "judge_accuracy_true": 0.75}
  assert all(name in report_lib.DEFINITIONS and f"{name}_back" in report_lib.DEFINITIONS for name in values)


@pytest.mark.parametrize("direction", ["to_b", "to_a"])
def test_images_of_a_folder_are_translated_and_written(tmp_path, direction):
  own_style.write(tmp_path)
  config = cli.load_config("configs/style/own.py:smoke", {"data.path": str(tmp_path), "domains.size": "16"})
  data = style.load(config)
  outputs = report_lib.predictions(Negative(), str(tmp_path / "A"), data, direction)
  assert outputs["translated"].shape == outputs["there_and_back"].shape == (11, 16, 16, 3)
  files = sorted(name for name in outputs if name.endswith(".png"))
  assert len(files) == 11
  (tmp_path / files[0]).write_bytes(outputs[files[0]])
  np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / files[0])), outputs["translated"][0])
  given = np.asarray(Image.open(outputs["name"][0]).convert("RGB"))
  assert abs(float(given.mean()) - float(outputs["there_and_back"][0].mean())) < 40
  of_test = report_lib.predictions(Negative(), "", data, direction)
  expected = data.parts.test.a if direction == "to_b" else data.parts.test.b
  np.testing.assert_array_equal(of_test["translated"], 255 - expected.inputs)


def test_a_state_translates_as_its_program_does():
  """What is exported is what is predicted, to a rounding of bytes."""
  config = cli.load_config("configs/style/digits.py:smoke", {"run.num_devices": "1"})
  experiment = style.experiment(config)
  data = experiment.train_data
  batch = jax.jit(data.assemble)(dict(data.resident), data.feed(0))
  state = jax.jit(experiment.learner.init)(jax.random.key(0), batch)
  predicted = experiment.predict(state, "")["translated"][:6]
  inputs = style.load(config).parts.test.a.inputs[:6].astype(np.float32) / 255
  images = jax.jit(experiment.program.call)(state, {"inputs": inputs}, np.arange(6))["images"]
  np.testing.assert_allclose(predicted, 255 * np.asarray(images), atol=0.51)


def test_pairs_translate_in_one_direction_alone():
  overrides = {"report.direction": "to_a"}
  with pytest.raises(UserError, match=r"config\.report\.direction.*to_b alone"):
    style.experiment(cli.load_config("configs/style/digits.py:smoke", {**overrides, "model.name": "pix2pix"}))
  style.experiment(cli.load_config("configs/style/digits.py:smoke", overrides))


def test_train_validation_and_test_have_no_digit_in_common():
  config = cli.load_config("configs/style/digits.py:smoke", {"data.validation": "0.1"})
  parts = style.load(config).parts
  of = lambda part, *sides: {picture.tobytes() for side in sides for picture in getattr(part, side).inputs}
  # Of all sets the digits as they are: those of domain A, and, where there is no pair, B's originals.
  config.domains.b = "upright"
  upright = style.load(config).parts
  sets = [of(part, "a", "b") for part in upright]
  assert not any(one & other for one, other in itertools.combinations(sets, 2))
  assert not of(upright.train, "a") & of(upright.train, "b")
  assert [len(part.a) for part in parts] == [647, 144, 359]
