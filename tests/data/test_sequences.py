"""Sequences: chorales, sentences, weather, and what is wrong with files that are not theirs."""

import json

import numpy as np
import pytest

from research.data import chorales, sequences, tagged, weather
from research.errors import UserError
from tests import mock_data


def test_padding_keeps_every_sequence():
  rows = [np.arange(6).reshape(3, 2), np.ones((1, 2), int)]
  found = sequences.padded("some", rows, [[1, 2, 3], [4]])
  np.testing.assert_array_equal(found.inputs, [rows[0], [[1, 1], [0, 0], [0, 0]]])
  np.testing.assert_array_equal(found.arrays["states"], [[1, 2, 3], [4, 0, 0]])
  np.testing.assert_array_equal(found.length, [3, 1])
  assert set(sequences.padded("some", rows).arrays) == {"inputs", "length"}
  np.testing.assert_array_equal(found.select(np.array([1])).inputs, found.inputs[1:])


@pytest.mark.parametrize(
  ("rows", "states", "remedy"),
  [
    ([], None, "at least one"),
    ([[1, 2], []], None, "no time step"),
    ([[1, 2], [3]], [[0, 0], [0, 0]], "1 observations and 2 states"),
  ],
)
def test_ragged_sequences_are_refused(rows, states, remedy):
  with pytest.raises(UserError, match=remedy):
    sequences.padded("some", rows, states)


def write_json(folder, contents, name="jsb-chorales-quarter.json"):
  folder.mkdir(exist_ok=True)
  (folder / name).write_text(contents if isinstance(contents, str) else json.dumps(contents))
  return str(folder)


def test_chorales_are_piano_rolls(tmp_path):
  path = write_json(tmp_path, {"train": [[[21, 60], [], [108]], [[60.0]]], "test": [[[70]]]})
  found = chorales.load("train", path)
  assert found.inputs.shape == (2, 3, 88)
  assert found.inputs.dtype == np.uint8
  assert np.argwhere(found.inputs).tolist() == [[0, 0, 0], [0, 0, 39], [0, 2, 87], [1, 0, 39]]
  assert found.length.tolist() == [3, 1]
  assert len(chorales.load("train[:1]", path)) == 1
  sixteenths = write_json(tmp_path, {"train": [[[60]] * 4]}, "jsb-chorales-16th.json")
  assert chorales.load("train", sixteenths, "16th").length.tolist() == [4]


def test_mock_chorales_are_read_as_the_real_ones(tmp_path, monkeypatch):
  monkeypatch.setenv("GENERA_DATA_DIR", mock_data.write_raw(tmp_path / "raw"))
  assert {len(chorales.load(split)) for split in ("train", "valid", "test")} == {8}


@pytest.mark.parametrize(
  ("contents", "remedy"),
  [
    ("{", "cannot be read as JSON"),
    ([1], "lists of pieces by split"),
    ({"train": 3}, "lists of pieces by split"),
    ({"train": [5]}, "a list of time steps"),
    ({"train": [[60, 61]]}, "a list of time steps"),
    ({"train": [[[20]]]}, "from 21 to 108"),
    ({"train": [[[60.5]]]}, "from 21 to 108"),
    ({"train": [[["C4"]]]}, "from 21 to 108"),
    ({"train": [[[60]], []]}, "no time step"),
    ({"test": [[[60]]]}, "choose one of test"),
  ],
)
def test_files_that_are_no_chorales_are_refused(tmp_path, contents, remedy):
  with pytest.raises(UserError, match=remedy):
    chorales.load("train", write_json(tmp_path, contents))


def test_missing_chorales_and_resolutions_are_refused(tmp_path):
  with pytest.raises(UserError, match=r"this experiment reads a folder of \.mid files"):
    chorales.load("train", str(tmp_path))
  with pytest.raises(UserError, match="quarter, 16th"):
    chorales.load("train", str(tmp_path), "8th")


def test_weather_follows_its_parameters_and_is_always_the_same():
  train, test = weather.load("train"), weather.load("test")
  real = np.arange(train.inputs.shape[1]) < train.length[:, None]
  assert (train.length.min(), train.length.max()) == (50, 100)
  states = train.arrays["states"]
  pairs = real[:, 1:]
  for state in (0, 1):
    after = states[:, 1:][pairs & (states[:, :-1] == state)]
    emitted = train.inputs[real & (states == state)]
    # Four standard errors of the share of a coin.
    assert abs((after == 0).mean() - weather.TRANSITION[state, 0]) < 4 * (0.21 / len(after)) ** 0.5
    assert abs((emitted == 0).mean() - weather.EMISSION[state, 0]) < 4 * (0.16 / len(emitted)) ** 0.5
  np.testing.assert_array_equal(weather.load("train").inputs, train.inputs)
  assert (train.inputs[:50, :50] != test.inputs[:50, :50]).any()
  np.testing.assert_array_equal(weather.load("train[90%:]").inputs[0], train.inputs[900])


def write_brown(folder, words, tags):
  folder.mkdir(exist_ok=True)
  (folder / "brown.txt").write_text(words)
  (folder / "brown_pos.txt").write_text(tags)
  return str(folder)


def test_a_tenth_of_the_sentences_is_held_out(tmp_path):
  lines = [f"word{n} ." for n in range(100)]
  path = write_brown(tmp_path, "\n".join(lines), "\n".join(["NN ."] * 100))
  train, test = tagged.load("train", path), tagged.load("test", path)
  assert (len(train), len(test)) == (90, 10)
  assert sorted(" ".join(words) for words in train.words + test.words) == sorted(lines)
  assert test.words != tuple(tuple(line.split()) for line in lines[:10]), "at random"
  assert tagged.load("test", path) == test
  assert tagged.load("train[:50%]", path).words + tagged.load("train[50%:]", path).words == train.words
  assert set(train.tags) == {("NN", ".")}


def test_tags_are_simplified():
  found = [tagged.base_tag(tag) for tag in ("NN", "NN-TL", "FW-IN+AT-TL", "NP$-TL-HL", "PPS+BEZ", "--", "*-NC")]
  assert found == ["NN", "NN", "IN+AT", "NP$", "PPS+BEZ", "--", "*"]


@pytest.mark.parametrize(
  ("words", "tags", "remedy"),
  [
    ("a b\nc\n", "AT NN\n", "as many lines"),
    ("a b\nc\n", "AT\nNN\n", "2 words and 1 tags"),
    ("a  b\nc\n", "AT X NN\nNN\n", "single spaces"),
    ("a\n", "AT\n", "at least two"),
  ],
)
def test_lines_that_do_not_belong_together_are_refused(tmp_path, words, tags, remedy):
  with pytest.raises(UserError, match=remedy):
    tagged.load("train", write_brown(tmp_path, words, tags))


def test_missing_sentences_are_refused(tmp_path):
  with pytest.raises(UserError, match=r"brown\.txt"):
    tagged.load("train", str(tmp_path))
  with pytest.raises(UserError, match="a folder that holds"):
    tagged.load("train", write_brown(tmp_path, "a\nb", "X\nX") + "/brown.txt")
  (tmp_path / "brown.txt").write_bytes(b"\xff\xfe\n\xff\n")
  with pytest.raises(UserError, match="UTF-8"):
    tagged.load("train", str(tmp_path))
