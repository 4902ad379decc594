"""Transcripts held against what was said, and a figure of what was heard when."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
  from matplotlib.figure import Figure


def edit_distance(one: Sequence, other: Sequence) -> int:
  """Least number of insertions, deletions and substitutions that turn one into the other (Levenshtein 1966)."""
  row = list(range(len(other) + 1))
  for i, a in enumerate(one, 1):
    corner, row[0] = row[0], i
    for j, b in enumerate(other, 1):
      corner, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, corner + (a != b))
  return row[-1]


def error_rate(transcripts: Sequence[Sequence], references: Sequence[Sequence]) -> float:
  """Edit distances of all, over the labels of all references."""
  return sum(map(edit_distance, transcripts, references)) / sum(map(len, references))


def peaks(probability: Float[np.ndarray, " step"]) -> list[int]:
  """The likeliest step of each stretch of steps whose probability is above a half."""
  above = np.flatnonzero(probability > 0.5)
  stretches = np.split(above, np.flatnonzero(np.diff(above) > 1) + 1) if len(above) else []
  return [int(stretch[probability[stretch].argmax()]) for stretch in stretches]


def alignments(
  features: Sequence[Float[np.ndarray, "frame band"]],
  probabilities: Sequence[Float[np.ndarray, "step output"]],
  titles: Sequence[str],
  names: Sequence[str],
) -> "Figure":
  """A column a sound: its features above, and below the probability of each label (`names`, the blank first).

  A step may be several frames; each stretch of steps in which a label is more likely than not carries its name.
  """
  from matplotlib.figure import Figure

  count = len(features)
  figure = Figure(figsize=(4.2 * count, 3.6), layout="constrained")
  panels = figure.subplots(2, count, squeeze=False, sharex="col")
  for column, (heard, outputs) in enumerate(zip(features, probabilities)):
    above, below = panels[:, column]
    extent = (-0.5, len(outputs) - 0.5, 0, heard.shape[1])
    above.imshow(heard.T, origin="lower", aspect="auto", cmap="magma", extent=extent)
    above.set_title(titles[column], fontsize=8)
    above.set_yticks([])
    for label, name in enumerate(names):
      color = "#c9ccd1" if not label else f"C{(label - 1) % 10}"
      below.plot(outputs[:, label], color=color, linewidth=1.0)
      for peak in peaks(outputs[:, label]) if label else ():
        below.text(peak, 1.02, name, ha="center", fontsize=7, color=color)
    below.set(ylim=(0, 1.12), xlabel="steps")
    below.spines[["top", "right"]].set_visible(False)
  panels[0, 0].set_ylabel("log-mel", fontsize=8)
  panels[1, 0].set_ylabel("probability", fontsize=8)
  return figure
