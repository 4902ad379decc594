"""What a run of a recogniser of speech leaves behind: transcripts, and what was heard when."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from experiments.parts import sound
from research.data.dataset import Dataset
from research.evaluation import transcripts as measures
from research.families import ctc
from research.networks.speech import LogMel
from research.training import steps
from research.training.experiment import Report

DEFINITIONS = {
  "label_error_rate": "edit distances between transcripts (prefix beam search) and what was said, over the words said",
  "label_error_rate_greedy": "the same of greedy decoding",
}


@dataclasses.dataclass(frozen=True)
class Stenographer:
  """A transcriber with what it takes to transcribe.

  Attributes:
    family: over its network.
    features: of sound, for the figure.
    names: of the classes, in order.
    rate: samples a second.
    config: with the section `report`.
  """

  family: ctc.Transcriber
  features: LogMel
  names: tuple[str, ...]
  rate: int
  config: ml_collections.ConfigDict

  @functools.cached_property
  def _probabilities(self):
    return jax.jit(self.family.log_probabilities)

  def transcribe(self, state, batch) -> tuple[list[tuple[int, ...]], list[tuple[int, ...]], list[np.ndarray]]:
    """Of each sound the labels by prefix beam search, those by the best path, and log-probabilities [step, output]."""
    logs, lengths = jax.device_get(self._probabilities(steps.variables_of(state), batch))
    rows = [row[:length] for row, length in zip(logs, lengths)]
    best = [tuple(path[path > 0].tolist()) for path in np.asarray(ctc.greedy(logs, lengths))]
    return [ctc.prefix_beam_search(row, self.config.report.beams)[0] for row in rows], best, rows

  def measure(self, state, data: Dataset) -> dict[str, float]:
    """Error rates over a whole set."""
    strings: dict[str, list] = {"beam": [], "greedy": [], "said": []}
    for step in range(data.num_batches):
      batch = data.feed(step)
      real = int(batch["mask"].sum())
      beam, greedy, _ = self.transcribe(state, batch)
      strings["beam"] += beam[:real]
      strings["greedy"] += greedy[:real]
      strings["said"] += [tuple(row[row > 0].tolist()) for row in batch["labels"][:real]]
    return {
      "label_error_rate": measures.error_rate(strings["beam"], strings["said"]),
      "label_error_rate_greedy": measures.error_rate(strings["greedy"], strings["said"]),
    }

  def words(self, labels: Sequence[int]) -> str:
    """What labels stand for."""
    return " ".join(self.names[label - 1] for label in labels)

  def report(self, state, data: Dataset) -> Report:
    """The first strings of the test set: transcripts, sounds, features and the probability of each label over time."""
    batch, count = data.feed(0), min(self.config.report.samples, data.num_examples)
    beam, greedy, logs = self.transcribe(state, batch)
    spoken = [self.words(row[row > 0]) for row in batch["labels"][:count]]
    lines = [f"{one}\t{self.words(b)}\t{self.words(g)}" for one, b, g in zip(spoken, beam, greedy)]
    files = {"transcripts.tsv": "\n".join(["said\tprefix beam\tgreedy", *lines, ""]).encode()}
    sounds = [row[:length] for row, length in zip(batch["inputs"], batch["length"])]
    files |= {f"{number}.wav": sound.wav(samples, self.rate) for number, samples in enumerate(sounds[:3])}
    heard, lengths = jax.jit(lambda x, n: self.features.apply({}, x, n, False))(batch["inputs"], batch["length"])
    first = range(min(3, count))
    figure = measures.alignments(
      [np.asarray(heard[i, : lengths[i]]).reshape(-1, self.features.bands) for i in first],
      [np.exp(logs[i]) for i in first],
      [f"said: {spoken[i]}; heard: {self.words(beam[i])}" for i in first],
      ["-", *self.names],
    )
    return Report(figures={"alignments": figure}, files=files)

  def predictions(self, state, sounds: Sequence[np.ndarray], names: Sequence[str]) -> dict[str, Any]:
    """Transcripts of sounds, printed."""
    length = np.array([len(one) for one in sounds], np.int32)
    inputs = np.zeros((len(sounds), length.max()), np.float32)
    for row, samples in zip(inputs, sounds):
      row[: len(samples)] = samples
    beam, _, _ = self.transcribe(state, {"inputs": inputs, "length": length})
    texts = [self.words(labels) for labels in beam]
    for name, text in zip(names, texts):
      print(f"{name}  {text}")
    return {"input": np.asarray(names), "transcript": np.asarray(texts)}
