"""What the experiments on hidden Markov models refuse, report and predict, on mock data; and what each way learns."""

import io
import json

import mido
import numpy as np
import pytest

from experiments import hmm
from experiments.command import cli
from research.data import weather
from research.errors import UserError
from research.evaluation import music
from research.training import parallel
from research.training.executor import Executor
from tests import mock_data


@pytest.fixture(autouse=True)
def raw(tmp_path, monkeypatch):
  monkeypatch.setenv("GENERA_DATA_DIR", mock_data.write_raw(tmp_path / "raw"))


def run(folder, config, *arguments, mode="train"):
  """The run's folder, of one device."""
  words = [f"--config=configs/hmm/{config}.py:smoke", f"--workdir={folder}", f"--mode={mode}"]
  with pytest.raises(SystemExit) as done:
    cli.main(hmm.experiment, hmm.DEFAULT, [*words, "--config.run.num_devices=1", *arguments])
  assert done.value.code == 0
  return folder


def predicted(folder, config, *arguments):
  with np.load(run(folder, config, *arguments, mode="predict") / "predictions.npz") as arrays:
    return dict(arrays)


@pytest.mark.parametrize(
  ("config", "field", "text", "remedy"),
  [
    ("weather", "data.name", "wether", "choose weather, jsb_chorales or brown"),
    ("weather", "data.validation", "1.0", "share of the training set"),
    ("weather", "model.states", "3", "has two: rain and dry"),
    ("weather", "model.emission.name", "bernoulli", "has symbols: choose categorical"),
    ("weather", "model.transition.name", "neural", "with bits alone"),
    ("weather", "train.learning", "guess", "choose em, counts or gradient"),
    ("weather", "train.learning", "gradient", "no optimizer"),
    ("weather", "data.path", "my.npz", "weather does not use it"),
    ("weather", "model.emission.categorical.prior", "-2.0", "give 1"),
    ("jsb_chorales", "model.emission.name", "categorical", "has bits: choose bernoulli, autoregressive or neural"),
    ("jsb_chorales", "model.transition.name", "tabel", "choose table or neural"),
    ("jsb_chorales", "train.learning", "counts", "not known: choose em"),
    ("jsb_chorales", "model.emission.name", "neural", "learn it by gradient"),
    ("jsb_chorales", "model.emission.name", "autoregressive", "learn it by gradient"),
    (
      "jsb_chorales_neural",
      "model.emission.name",
      "gaussian",
      "choose categorical, bernoulli, autoregressive or neural",
    ),
    ("jsb_chorales", "model.transition.name", "neural", "learn it by gradient"),
    ("jsb_chorales", "data.validation", "0.1", "set it to 0"),
    ("jsb_chorales", "data.resolution", "8th", "quarter, 16th"),
    ("jsb_chorales", "data.path", "nowhere", "jsb-chorales-quarter.json"),
    ("brown_tagging", "data.validation", "-0.1", "share of the training set"),
    ("brown_tagging", "train.learning", "em", "a tagger counts"),
    ("brown_tagging", "train.precision", "float64", "a tagger counts, in float32"),
  ],
)
def test_bad_fields_are_refused_with_a_remedy(config, field, text, remedy):
  with pytest.raises(UserError, match=remedy):
    begin(f"configs/hmm/{config}.py:smoke", {field: text})


def begin(spec, overrides):
  """As far as the first look at the model."""
  config = cli.load_config(spec, overrides)
  return Executor(hmm.experiment(config), parallel.plan("jit", 1), seed=0).abstract_state()


@pytest.mark.parametrize("learning", ["em", "counts", "gradient"])
def test_weather_is_learned_in_three_ways(tmp_path, learning):
  """Known states are found at once; the others find the likelihood of the truth, and which days it rained."""
  variant = "" if learning == "em" else f":{learning}"
  words = [f"--config=configs/hmm/weather.py{variant}", f"--workdir={tmp_path / 'run'}", "--config.run.num_devices=1"]
  with pytest.raises(SystemExit):
    cli.main(hmm.experiment, hmm.DEFAULT, words)
  metrics = json.loads((tmp_path / "run" / "result.json").read_text())["metrics"]
  found = {name: entry["value"] for name, entry in metrics.items()}
  assert abs(found["test_nll"] - found["test_nll_true"]) < 2e-3
  assert found["test_state_accuracy"] > 0.8
  assert found["emission_error"] < (0.02 if learning == "counts" else 0.1)
  assert found["transition_error"] < (0.02 if learning == "counts" else 0.1)


def test_weather_is_predicted_from_words(tmp_path):
  folder = run(tmp_path / "run", "weather", "--config.train.learning=counts")
  (tmp_path / "days.txt").write_text("umbrella umbrella umbrella none none none\n\nnone\n")
  found = predicted(folder, "weather", "--config.train.learning=counts", f"--input={tmp_path / 'days.txt'}")
  assert found["weather"].tolist() == [["rain"] * 3 + ["dry"] * 3, ["dry"] + [""] * 5]
  assert found["probabilities"].shape == (2, 6, 2)
  drawn = predicted(folder, "weather", "--config.train.learning=counts")
  assert set(drawn["symbols"].ravel()) == set(weather.SYMBOLS)
  assert drawn["states"].shape == drawn["symbols"].shape == (8, 64)


@pytest.mark.parametrize("config", ["jsb_chorales", "jsb_chorales_neural"])
def test_music_is_drawn_and_read(tmp_path, config):
  folder = run(tmp_path / "run", config)
  files = sorted((folder / "samples").glob("*.mid"))
  assert [file.name for file in files] == [f"sample-{n}.mid" for n in range(8)]
  for file in files:
    mido.MidiFile(file=io.BytesIO(file.read_bytes()))
  found = predicted(folder, config)
  np.testing.assert_array_equal(music.piano_roll(files[0].read_bytes()), found["samples"][0][:64])
  (tmp_path / "own.mid").write_bytes(music.midi(found["samples"][1]))
  own = predicted(folder, config, f"--input={tmp_path / 'own.mid'}")
  assert own["states"].shape == (len(own["roll"]),)
  assert own["nll"].shape == (1,)
  np.testing.assert_allclose(own["probabilities"].sum(-1), 1, rtol=1e-5)


@pytest.mark.parametrize(("emission", "transition"), [("neural", "table"), ("autoregressive", "neural")])
def test_emissions_may_look_at_the_keys_before(tmp_path, emission, transition):
  more = [f"--config.model.emission.name={emission}", f"--config.model.transition.name={transition}"]
  folder = run(tmp_path / "run", "jsb_chorales_neural", *more)
  assert (folder / "figures" / "emission.png").exists()


def test_text_is_tagged(tmp_path):
  folder = run(tmp_path / "run", "brown_tagging")
  (tmp_path / "text.txt").write_text("The dog sees the qqq .\n\nA mill calls\n")
  found = predicted(folder, "brown_tagging", f"--input={tmp_path / 'text.txt'}")
  assert found["tags"].tolist() == [["AT", "NN", "VBZ", "AT", "NN", "."], ["AT", "NN", "VBZ", "", "", ""]]
  lines = (folder / "samples" / "tagged.txt").read_text().splitlines()
  assert lines == ["The/AT dog/NN sees/VBZ the/AT qqq/NN ./.", "A/AT mill/NN calls/VBZ"]
  assert predicted(folder, "brown_tagging")["tags"].shape[0] == 6, "of the test set"


@pytest.mark.parametrize(
  ("config", "contents", "remedy"),
  [
    ("weather", b"umbrela", "write umbrella and none"),
    ("brown_tagging", b"\n", "a sentence a line"),
    ("brown_tagging", b"\xff\xfe", "UTF-8"),
    ("jsb_chorales", b"no music", "no MIDI file"),
  ],
)
def test_inputs_of_another_kind_are_refused(tmp_path, config, contents, remedy):
  fields = cli.load_config(f"configs/hmm/{config}.py:smoke", {"run.num_devices": "1"})
  experiment = hmm.experiment(fields)
  executor = Executor(experiment, parallel.plan("jit", 1), seed=0)
  (tmp_path / "input").write_bytes(contents)
  with pytest.raises(UserError, match=remedy):
    experiment.predict(executor.init_state(), str(tmp_path / "input"))
  with pytest.raises(UserError, match="cannot be read"):
    experiment.predict(executor.init_state(), str(tmp_path / "missing"))
