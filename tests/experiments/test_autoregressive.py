"""The experiment of autoregressive models: what they are of, what is refused, and what is made of samples."""

import numpy as np
import pytest

from experiments import autoregressive
from experiments.command import cli
from experiments.parts import elements, oddities
from research.data import chorales
from research.data.sequences import padded
from research.errors import UserError
from research.training import parallel
from research.training.executor import Executor
from tests import mock_data


@pytest.fixture(autouse=True)
def data(tmp_path, monkeypatch):
  monkeypatch.setenv("GENERA_DATA_DIR", mock_data.write_raw(tmp_path / "raw"))


def config_of(name, **fields):
  given = {key.replace("__", "."): text for key, text in fields.items()}
  return cli.load_config(f"configs/autoregressive/{name}.py:smoke", {"run.num_devices": "1", **given})


def test_codes_become_images_of_the_set_that_the_codebook_is_of():
  """Samples of codes are decoded, and codes are those of a VQ-VAE that is trained once: built again they are equal."""
  config = config_of("codes")
  data, again = (elements.load(config.data) for _ in range(2))
  assert data.kind == "codes"
  assert data.parts.train.inputs.dtype == np.int32
  np.testing.assert_array_equal(data.parts.test.inputs, again.parts.test.inputs)
  experiment = autoregressive.experiment(config)
  state = Executor(experiment, parallel.plan("jit", 1), seed=0).init_state()
  samples = experiment.sample(state)
  assert samples["samples"].shape == (4, 8, 8, 1)
  assert samples["codes"].max() < config.data.levels
  np.testing.assert_allclose(data.pictures(samples["codes"]), samples["samples"], atol=1e-6)
  with pytest.raises(UserError, match="codes has 8"):
    autoregressive.experiment(config_of("codes", data__levels="9"))


def test_voices_are_rolls_and_back():
  rolls = np.zeros((3, 88), np.uint8)
  rolls[0, [10, 20, 30, 40]] = rolls[1, [5, 87]] = 1
  voices = chorales.voices(padded("two pieces", [rolls, rolls[:1]]))
  np.testing.assert_array_equal(voices.inputs[0], [[41, 31, 21, 11], [88, 6, 0, 0], [0, 0, 0, 0]])
  np.testing.assert_array_equal(chorales.rolls_of(voices.inputs)[0], rolls)
  rolls[2, :5] = 1
  with pytest.raises(UserError, match="notes at once = 5"):
    chorales.voices(padded("a cluster", [rolls]))


def test_music_is_written_as_midi_and_as_notes():
  experiment = autoregressive.experiment(config_of("jsb_chorales"))
  state = Executor(experiment, parallel.plan("jit", 1), seed=0).init_state()
  samples = experiment.sample(state)
  assert samples["samples"].shape == (4, 8, 4)
  assert samples["sample-0.mid"].startswith(b"MThd")


@pytest.mark.parametrize(
  ("name", "fields", "remedy"),
  [
    ("jsb_chorales", {"model__name": "pixelcnn"}, "not for voices: choose one of transformer"),
    ("jsb_chorales", {"model__conditional": "True"}, "has no labels"),
    ("jsb_chorales", {"data__levels": "88"}, "jsb_chorales has 89"),
    ("jsb_chorales", {"report__coded": "1"}, "not for music"),
    ("digits", {"train__transpose": "2"}, "it is for music"),
    ("digits", {"data__codes": "somewhere"}, "set config.data.name to codes"),
    ("codes", {"data__codes": "nowhere"}, "finished run of experiments.vae"),
    ("codes", {"data__vae": "configs/vae/digits.py:smoke"}, "whose model is vq"),
    ("codes", {"report__oddities": "2"}, "only images"),
  ],
)
def test_bad_fields_are_refused_with_a_remedy(name, fields, remedy):
  with pytest.raises(UserError, match=remedy):
    autoregressive.experiment(config_of(name, **fields))


def test_odd_images_are_what_they_are_called_and_a_score_tells_them():
  images = np.repeat(np.array([[0, 255], [255, 255]], np.uint8)[None, :, :, None], 20, 0)
  odd = oddities.odd_images(images)
  assert {kind: (x.shape, x.dtype) for kind, x in odd.items()} == dict.fromkeys(
    oddities.KINDS, (images.shape, np.uint8)
  )
  assert set(np.unique(odd["constant"])) == {255}
  np.testing.assert_array_equal(np.sort(odd["shuffled"].reshape(20, 4)), np.sort(images.reshape(20, 4)))
  report = oddities.report(lambda x: x.reshape(len(x), -1).sum(1).astype(float), images)
  assert report.metrics["test_auroc_inverted"] == 1, "darker, and so less likely by this score"
  assert report.metrics["test_auroc_constant"] == 0, "brighter, and so taken for more likely"
  assert report.metrics["test_auroc_shuffled"] == 0.5
