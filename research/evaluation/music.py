"""Piano rolls as MIDI files, to be listened to, and back.

A roll is [time, 88], 1 where a key sounds; index 0 is pitch 21, the lowest A of a piano.
"""

import io

import mido
import numpy as np
from jaxtyping import Int

from research.errors import UserError

LOWEST, KEYS = 21, 88
_TICKS = 480  # a quarter note, in MIDI's units of time
_CHURCH_ORGAN, _VELOCITY = 19, 80


def midi(roll: Int[np.ndarray, "time 88"], steps_per_quarter: int = 1, tempo: float = 80.0) -> bytes:
  """A MIDI file of one track, an organ's.

  A roll does not say whether a note that sounds at two steps in a row is held or struck again; here it is held.

  Args:
    roll: 0 and 1.
    steps_per_quarter: time steps of a quarter note; a divisor of 480.
    tempo: quarter notes a minute.
  """
  track = mido.MidiTrack()
  track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
  track.append(mido.Message("program_change", program=_CHURCH_ORGAN))
  silence = np.zeros((1, KEYS), np.int8)
  change = np.diff(np.concatenate([silence, np.asarray(roll, np.int8), silence]), axis=0)
  waited = 0
  for step in change:
    # Ends come first: a key that is struck when another is released is no chord of both.
    for kind, keys in (("note_off", np.flatnonzero(step < 0)), ("note_on", np.flatnonzero(step > 0))):
      for key in keys.tolist():
        track.append(mido.Message(kind, note=LOWEST + key, velocity=_VELOCITY, time=waited))
        waited = 0
    waited += _TICKS // steps_per_quarter
  # Rests at the end are heard as well: the last step is where the roll ends.
  track.append(mido.MetaMessage("end_of_track", time=waited - _TICKS // steps_per_quarter))
  file = io.BytesIO()
  mido.MidiFile(ticks_per_beat=_TICKS, tracks=[track]).save(file=file)
  return file.getvalue()


def piano_roll(contents: bytes, steps_per_quarter: int = 1, name: str = "MIDI file") -> Int[np.ndarray, "time 88"]:
  """uint8 roll of the notes of all tracks and channels; a key sounds at the steps at whose start it is down.

  Notes that start between two steps are moved to the nearest; one too short to reach the next step still has one.

  Args:
    contents: of a MIDI file.
    steps_per_quarter: time steps of a quarter note.
    name: for messages.

  Raises:
    UserError: it is no MIDI file, its time is not counted in quarter notes, or it has no note of a piano.
  """
  try:
    file = mido.MidiFile(file=io.BytesIO(contents))
  except (OSError, EOFError, ValueError, IndexError, KeyError) as error:
    raise UserError(name, len(contents), f"its bytes are no MIDI file ({error}).") from error
  if file.ticks_per_beat <= 0 or file.ticks_per_beat >= 2**15:
    raise UserError(name, file.ticks_per_beat, "give a file whose time is counted in quarter notes, not in frames.")
  step = file.ticks_per_beat / steps_per_quarter
  notes, end = [], 0.0
  for track in file.tracks:
    track_notes, last = _notes(track)
    notes += track_notes
    end = max(end, last)
  kept = [(key, start, stop) for key, start, stop in notes if 0 <= key < KEYS]
  if not kept:
    raise UserError(name, len(notes), f"give a file with notes of a piano, pitches {LOWEST} to {LOWEST + KEYS - 1}.")
  spans = [(key, round(start / step), max(round(stop / step), round(start / step) + 1)) for key, start, stop in kept]
  roll = np.zeros((max(round(end / step), *(stop for *_, stop in spans)), KEYS), np.uint8)
  for key, start, stop in spans:
    roll[start:stop, key] = 1
  return roll


def _notes(track: mido.MidiTrack) -> tuple[list[tuple[int, int, int]], int]:
  """(key, start, stop) in ticks of every note of a track, and where the track ends."""
  now, down, notes = 0, {}, []
  for message in track:
    now += message.time
    if message.type not in ("note_on", "note_off"):
      continue
    place = (message.channel, message.note)
    if place in down:  # released, or struck again
      notes.append((message.note - LOWEST, down.pop(place), now))
    if message.type == "note_on" and message.velocity > 0:
      down[place] = now
  return notes + [(note - LOWEST, start, now) for (_, note), start in down.items()], now
