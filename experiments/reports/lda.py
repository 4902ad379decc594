"""What is drawn and told of topics: their words, how coherent they are, and those of one's own text."""

import pathlib
from typing import TYPE_CHECKING, Any

import jax
import ml_collections
import numpy as np

from research.data import documents
from research.data.documents import Documents
from research.errors import UserError
from research.families import lda
from research.training.experiment import Report

if TYPE_CHECKING:
  from matplotlib.figure import Figure

TOP = 10  # words of a topic


def report(topics: lda.Topics, train: Documents, config: ml_collections.ConfigDict) -> Report:
  """A table of the topics' words, the most frequent topics as a figure, their mean coherence."""
  weights = np.asarray(topics.weights)
  top = np.argsort(-weights, axis=1)[:, :TOP]
  coherence = np.asarray(jax.jit(lda.coherence)(top, train.words, train.counts))
  order = np.argsort(-np.asarray(topics.alpha))
  words = [[train.vocabulary[i] for i in row] for row in top]
  lines = [f"{float(topics.alpha[k]):.4f}\t{coherence[k]:+.3f}\t{' '.join(words[k])}" for k in order]
  table = "\n".join(["alpha\tNPMI\twords", *lines, ""])
  definitions = {
    "coherence": f"mean over topics of the NPMI of their {TOP} likeliest words, in the training documents (Bouma 2009)"
  }
  largest = order[: config.report.topics]
  figure = topic_bars(weights / weights.sum(1, keepdims=True), largest, words, top)
  return Report({"coherence": float(coherence.mean())}, {"topics": figure}, definitions, {"topics.tsv": table.encode()})


def topic_bars(probabilities: np.ndarray, topics, words, top) -> "Figure":
  """The likeliest words of topics, as bars."""
  from matplotlib.figure import Figure

  columns = 4
  rows = -(-len(topics) // columns)
  figure = Figure(figsize=(11, 2.3 * rows), layout="constrained")
  for axes, topic in zip(figure.subplots(rows, columns, squeeze=False).ravel(), topics):
    axes.barh(words[topic][::-1], probabilities[topic, top[topic]][::-1], color="#2f6db5")
    axes.set_title(f"topic {topic}", fontsize=9)
    axes.tick_params(labelsize=7, length=0)
    axes.spines[["top", "right"]].set_visible(False)
  for axes in figure.axes[len(topics) :]:
    axes.set_axis_off()
  return figure


def predictions(topics: lda.Topics, source: str, train: Documents, test: Documents) -> dict[str, Any]:
  """Share of each topic in the text at `source`, a document a line; without one, in the test documents."""
  words, counts = test.words, test.counts
  if source:
    file = pathlib.Path(source)
    if not file.is_file():
      raise UserError("--input", source, "give a text file, a document a line.")
    texts = [documents.words_of(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    words, counts = documents.count(texts, train.vocabulary)
    if not len(counts) or not counts.sum():
      raise UserError("--input", source, "it holds none of the words that the topics are of.")
  gamma = np.asarray(jax.jit(lda.infer)(topics, words, counts).gamma)
  return {"topic": gamma.argmax(1), "shares": gamma / gamma.sum(1, keepdims=True)}
