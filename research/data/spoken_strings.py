"""Strings of one to five spoken words, joined from recordings of single ones, with silences between them."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from research.data.dataset import Dataset
from research.data.examples import Examples
from research.data.pipeline import in_order, rows

WORDS = 5  # of a string at most
SILENCE = (0.02, 0.15)  # seconds in front of, between and behind words
_NOISE = 1e-3  # deviation of what silence sounds like, of samples from -1 to 1


class SpokenString(NamedTuple):
  """A string: its samples and what is said, classes plus one."""

  sound: Float[np.ndarray, " time"]
  labels: Int[np.ndarray, " word"]


class Strings:
  """Strings as a function of (seed, index).

  Attributes:
    length: samples of the longest that there can be.
  """

  def __init__(self, recordings: Examples, rate: int, seed: int):
    """Args: recordings [example, time, 1] followed by zeros, samples a second, and the seed."""
    self._sounds = [np.trim_zeros(sound[:, 0], "b") for sound in recordings.inputs]
    self._label, self._rate, self._seed = recordings.label, rate, seed
    self.length = WORDS * recordings.inputs.shape[1] + (WORDS + 1) * round(SILENCE[1] * rate)

  def __call__(self, index: int) -> SpokenString:
    """The string of that number."""
    bits = np.random.Philox(key=np.array([self._seed, index], np.uint64), counter=[0, 0, 0, 4])
    generator = np.random.Generator(bits)
    words = generator.integers(len(self._label), size=generator.integers(1, WORDS + 1))
    pauses = np.round(generator.uniform(*SILENCE, len(words) + 1) * self._rate).astype(int)
    parts = [np.zeros(pauses[0], np.float32)]
    for word, pause in zip(words, pauses[1:]):
      parts += [self._sounds[word] * np.float32(generator.uniform(0.5, 1)), np.zeros(pause, np.float32)]
    sound = np.concatenate(parts)
    sound += _NOISE * generator.standard_normal(len(sound), np.float32)
    return SpokenString(sound, self._label[words] + 1)


def dataset(strings: Strings, count: int, batch_size: int, *, training: bool, name: str) -> Dataset:
  """Batches of `inputs` [batch, time], `length` in samples, `labels` [batch, WORDS], 0 behind them, and `mask`.

  Args:
    strings: see there.
    count: strings of an epoch; in training no epoch repeats another's.
    batch_size: strings of a batch.
    training: without end; else one pass, the last batch padded and masked.
    name: for messages.
  """

  def feed(step: int) -> Mapping[str, np.ndarray]:
    start = step * batch_size
    place = in_order(count, start, batch_size)
    index = np.arange(start, start + batch_size) if training else place["index"]
    inputs, labels = np.zeros((batch_size, strings.length), np.float32), np.zeros((batch_size, WORDS), np.int32)
    length = np.zeros(batch_size, np.int32)
    for row, one in enumerate(map(strings, index.tolist())):
      length[row] = len(one.sound)
      inputs[row, : len(one.sound)], labels[row, : len(one.labels)] = one
    mask = np.ones(batch_size, np.float32) if training else place["mask"]
    return {"inputs": inputs, "length": length, "labels": labels, "mask": mask}

  return Dataset(name, {}, feed, rows, batch_size, count)
