"""CTC against the enumeration of all alignments, its decoders against all labellings, and speech as it is used."""

import itertools
import math
import wave

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st

from experiments import lstm
from experiments.command import cli
from experiments.parts import sound
from research.data import spoken_strings, wavs
from research.data.examples import Examples
from research.errors import UserError
from research.evaluation import transcripts
from research.families import ctc
from research.networks import speech
from tests import mock_data

STEPS, OUTPUTS = 4, 3


def merged(path):
  """Repetitions merged, blanks taken out."""
  return tuple(label for label, _ in itertools.groupby(path) if label)


@pytest.fixture(scope="module")
def logs():
  logits = 2 * np.random.default_rng(0).normal(size=(5, STEPS, OUTPUTS))
  return np.asarray(jax.nn.log_softmax(logits.astype(np.float32)))


def enumerated(log):
  """p(labels) of every labelling, summed over all paths that become it."""
  mass = {}
  for path in itertools.product(range(OUTPUTS), repeat=len(log)):
    probability = math.exp(sum(log[step, output] for step, output in enumerate(path)))
    mass[merged(path)] = mass.get(merged(path), 0) + probability
  return mass


def test_the_loss_is_the_sum_over_all_alignments(logs):
  score = jax.jit(ctc.nll)
  for log in logs[:2]:
    mass = enumerated(log)
    for labels in ((1,), (1, 2), (2, 2), (1, 2, 1)):
      padded = np.array([labels + (0,) * (3 - len(labels))], np.int32)
      np.testing.assert_allclose(score(log[None], np.array([STEPS]), padded), -math.log(mass[labels]), rtol=1e-4)
  # What is beyond the steps of a row does not count.
  short = score(np.concatenate([logs[:1], logs[1:2]], 1), np.array([STEPS]), np.array([[1, 2, 0]]))
  np.testing.assert_allclose(short, -math.log(enumerated(logs[0])[1, 2]), rtol=1e-4)


def test_a_wide_prefix_beam_finds_the_best_labelling(logs):
  for log in logs:
    mass = enumerated(log)
    best = max(mass, key=mass.__getitem__)
    labels, score = ctc.prefix_beam_search(log, 100)
    assert labels == best
    assert score == pytest.approx(math.log(mass[best]), rel=1e-4)


def test_greedy_decoding_is_the_best_path_merged(logs):
  lengths = np.array([4, 3, 2, 4, 1])
  found = np.asarray(jax.jit(ctc.greedy)(logs, lengths))
  for row, log, length in zip(found, logs, lengths):
    labels = merged(log[:length].argmax(-1).tolist())
    assert tuple(row[: len(labels)]) == labels
    assert not row[len(labels) :].any()


def test_error_rates_by_hand():
  assert transcripts.edit_distance("kitten", "sitting") == 3
  assert transcripts.edit_distance((), (1, 2)) == 2
  assert transcripts.error_rate([(1, 2), (3,)], [(1, 2, 3), (4,)]) == 2 / 4


def test_features_are_the_power_in_mel_bands():
  time = np.arange(2000) / 8000
  tones = np.stack([np.sin(2 * np.pi * hertz * time) for hertz in (300, 1000, 3000)]).astype(np.float32)
  filters = speech.mel_filters(8000, 256, 20)
  bands = np.asarray(jax.jit(lambda x: speech.log_mel(x, 8000, 256, 128, 20))(tones))
  assert bands.shape == (3, (2000 - 256) // 128 + 1, 20)
  for hertz, band in zip((300, 1000, 3000), bands.mean(1)):
    assert band.argmax() == filters[round(hertz / (8000 / 256))].argmax()
  frame = np.abs(np.fft.rfft(tones[1, 128:384] * np.hanning(256))) ** 2
  np.testing.assert_allclose(bands[1, 1], np.log(frame @ filters + 1e-3), atol=1e-3)


def recordings(count=6):
  rng = np.random.default_rng(0)
  inputs = np.zeros((count, 50, 1), np.float32)
  for row in inputs:
    row[: rng.integers(20, 50), 0] = 1
  return Examples("test", inputs, np.arange(count, dtype=np.int32) % 3, ("a", "b", "c"))


def test_strings_are_a_function_of_seed_and_index():
  make = lambda seed: spoken_strings.Strings(recordings(), 1000, seed)
  strings = make(0)
  one, again, other = strings(7), make(0)(7), make(1)(7)
  np.testing.assert_array_equal(one.sound, again.sound)
  assert len(one.sound) != len(other.sound) or (one.sound != other.sound).any()
  drawn = [strings(i) for i in range(60)]
  assert {len(string.labels) for string in drawn} == {1, 2, 3, 4, 5}
  assert {int(label) for string in drawn for label in string.labels} == {1, 2, 3}
  for string in drawn:
    loud = np.abs(string.sound) > 0.1  # words, between silences
    assert np.diff(np.concatenate([[0], loud, [0]])).clip(0).sum() == len(string.labels)
    assert len(string.sound) <= strings.length
  data = spoken_strings.dataset(strings, 10, 4, training=False, name="test")
  last = data.feed(2)
  np.testing.assert_array_equal(last["mask"], [1, 1, 0, 0])
  np.testing.assert_array_equal(last["labels"][1][last["labels"][1] > 0], strings(9).labels)


def test_a_transcript_does_not_depend_on_the_silence_behind_it():
  front = speech.LogMel(1000, bands=4, window=0.02, hop=0.01)
  network = speech.SoundTranscriber(4, front, lstm.Recurrent(4, bidirectional=True))
  x = np.random.default_rng(0).normal(size=(2, 200)).astype(np.float32)
  length = np.array([200, 120])
  variables = jax.jit(lambda: network.init(jax.random.key(0), x, length, False))()
  run = jax.jit(lambda x: network.apply(variables, x, length, False))
  logits, steps = run(x)
  other, _ = run(np.where(np.arange(200) < length[:, None], x, 9))
  np.testing.assert_allclose(logits[1, : steps[1]], other[1, : steps[1]], atol=1e-5)
  assert steps.tolist() == [19, 11]


def built(spec, **fields):
  made = lstm.experiment(cli.load_config(f"configs/lstm/{spec}.py:smoke", fields))
  data = made.train_data
  init = jax.jit(lambda key, resident, fed: made.learner.init(key, data.assemble(resident, fed)))
  return made, init(jax.random.key(0), dict(data.resident), data.feed(0))


@pytest.mark.parametrize("spec", ["spoken_digits", "spoken_strings"])
def test_recordings_of_ones_own(spec, tmp_path, capsys):
  rng = np.random.default_rng(0)
  for name in ("yes", "no"):
    (tmp_path / name).mkdir()
    for take in range(10):
      (tmp_path / name / f"{take}.wav").write_bytes(sound.wav(rng.uniform(-1, 1, 700), 8000))
  made, state = built(spec, **{"data.name": "own", "data.path": str(tmp_path)})
  assert made.test_data is not None
  found = made.predict(state, str(tmp_path / "yes"))
  assert len(found["input"]) == 10
  assert "yes/3.wav" in capsys.readouterr().out
  with pytest.raises(UserError, match=r"\.wav file"):
    made.predict(state, str(tmp_path / "none"))
  (tmp_path / "no" / "x.wav").write_bytes(sound.wav(rng.uniform(-1, 1, 700), 16000))
  with pytest.raises(UserError, match="resample"):
    made.predict(state, str(tmp_path / "no"))


@pytest.mark.parametrize(("width", "channels"), [(1, 1), (2, 2), (3, 1), (4, 1)])
def test_sounds_of_any_width_are_read(width, channels, tmp_path):
  samples = np.array([0.5, -1, 0.25, 0])
  whole = np.round(samples * (2 ** (8 * width - 1) - 1)).astype(np.int64) + (128 if width == 1 else 0)
  octets = whole.astype("<i8").view(np.uint8).reshape(-1, 8)[:, :width]
  with wave.open(str(tmp_path / "a.wav"), "wb") as out:
    out.setnchannels(channels)
    out.setsampwidth(width)
    out.setframerate(8000)
    out.writeframes(np.repeat(octets, channels, 0).tobytes())
  (found,), rate = wavs.read([tmp_path / "a.wav"])
  assert rate == 8000
  np.testing.assert_allclose(found, samples, atol=0.01)


def test_bad_recordings_are_refused(tmp_path):
  with pytest.raises(UserError, match="a class each"):
    wavs.load(str(tmp_path), "train", round)
  (tmp_path / "a.wav").write_bytes(b"no sound")
  with pytest.raises(UserError, match="cannot be read"):
    wavs.read([tmp_path / "a.wav"])
  (tmp_path / "b.wav").write_bytes(sound.wav(np.zeros(10), 8000))
  with pytest.raises(UserError, match="silent"):
    wavs.read([tmp_path / "b.wav"])
  folder = mock_data.write_raw(tmp_path, "spoken_digit") + "/spoken_digit"
  with pytest.raises(UserError, match=r"config\.data\.seconds"):
    built("spoken_digits", **{"data.path": folder, "data.seconds": "0"})


@hypothesis.given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 0.6, 0.9]), max_size=12))
def test_each_stretch_above_a_half_has_one_peak(probability):
  runs = [list(run) for high, run in itertools.groupby(enumerate(probability), lambda x: x[1] > 0.5) if high]
  assert transcripts.peaks(np.array(probability)) == [max(run, key=lambda x: (x[1], -x[0]))[0] for run in runs]
