"""Piano rolls to MIDI and back; what is in the files is read with mido itself."""

import io

import mido
import numpy as np
import pytest

from research.errors import UserError
from research.evaluation import music


def messages(contents):
  return list(mido.MidiFile(file=io.BytesIO(contents)).tracks[0])


@pytest.mark.parametrize("steps_per_quarter", [1, 4])
def test_rolls_return_from_midi_as_they_were(steps_per_quarter):
  roll = np.random.default_rng(0).random((30, 88)) < 0.05
  roll[[0, 7, -1]] = False  # rests at the start, within and at the end
  found = music.piano_roll(music.midi(roll, steps_per_quarter), steps_per_quarter)
  np.testing.assert_array_equal(found, roll)


def test_notes_are_held_and_chords_change_at_once():
  roll = np.zeros((4, 88), np.uint8)
  roll[:3, 39], roll[0, 43], roll[1, 44], roll[3, 39] = 1, 1, 1, 0
  found = [m for m in messages(music.midi(roll)) if m.type in ("note_on", "note_off")]
  assert [(m.type, m.note, m.time) for m in found] == [
    ("note_on", 60, 0),
    ("note_on", 64, 0),
    ("note_off", 64, 480),
    ("note_on", 65, 0),
    ("note_off", 65, 480),
    ("note_off", 60, 480),
  ]


def test_time_is_tempo():
  contents = music.midi(np.ones((12, 88), np.uint8), steps_per_quarter=4, tempo=90)
  assert mido.MidiFile(file=io.BytesIO(contents)).length == pytest.approx(3 * 60 / 90, rel=1e-4)  # three quarter notes


def file_of(*tracks, ticks=96):
  file = io.BytesIO()
  mido.MidiFile(ticks_per_beat=ticks, tracks=[mido.MidiTrack(track) for track in tracks]).save(file=file)
  return file.getvalue()


def test_other_files_are_read_note_by_note():
  on = lambda note, time, velocity=64, channel=0: mido.Message(
    "note_on", note=note, time=time, velocity=velocity, channel=channel
  )
  first = [on(60, 0), on(60, 96, velocity=0), on(64, 10), on(64, 86, velocity=0)]  # the second starts a bit late
  second = [on(60, 288, channel=3), on(20, 0), on(60, 5, velocity=0, channel=3)]  # too short, too low, never released
  roll = music.piano_roll(file_of(first, second))
  assert np.argwhere(roll).tolist() == [[0, 39], [1, 43], [3, 39]]


@pytest.mark.parametrize("contents", [b"", b"MThd", b"no music", b"RIFF" + bytes(40)])
def test_what_is_no_midi_file_is_refused(contents):
  with pytest.raises(UserError, match="no MIDI file"):
    music.piano_roll(contents)


def test_files_without_notes_are_refused():
  with pytest.raises(UserError, match="pitches 21 to 108"):
    music.piano_roll(file_of([]))
