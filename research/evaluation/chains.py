"""Figures of hidden Markov models: what a state leads to, what it emits, and when it is visited."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from research.evaluation.music import LOWEST

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_INK, _BLUE = "#222222", "#2f6db5"


def probabilities(
  matrix: Float[np.ndarray, "row column"],
  rows: Sequence[str] | None = None,
  columns: Sequence[str] | None = None,
  title: str = "",
  axes_names: tuple[str, str] = ("from", "to"),
) -> "Figure":
  """A stochastic matrix: the numbers where there are few; coloured by square root, so that small ones are seen."""
  from matplotlib.figure import Figure

  height, width = matrix.shape
  size = (min(8.0, 2.4 + 0.45 * width), min(7.0, 1.6 + 0.45 * height))
  figure = Figure(figsize=size, layout="constrained")
  axes = figure.add_subplot()
  image = axes.imshow(np.sqrt(matrix), cmap="Blues", vmin=0, vmax=1, aspect="auto", interpolation="nearest")
  if max(height, width) <= 12:
    for (row, column), value in np.ndenumerate(matrix):
      ink = "white" if value > 0.3 else _INK
      axes.text(column, row, f"{value:.3f}", ha="center", va="center", color=ink, fontsize=8)
  if rows is not None:
    axes.set_yticks(range(height), rows, fontsize=8)
  if columns is not None:
    axes.set_xticks(range(width), columns, fontsize=8)
  axes.set(ylabel=axes_names[0], xlabel=axes_names[1], title=title)
  ticks = [0, 0.01, 0.1, 0.25, 0.5, 1]
  bar = figure.colorbar(image, ax=axes, ticks=np.sqrt(ticks), label="probability")
  bar.ax.set_yticklabels([f"{tick:g}" for tick in ticks])
  bar.outline.set_visible(False)
  axes.spines[:].set_visible(False)
  return figure


def segmentation(
  paths: Mapping[str, Int[np.ndarray, " time"]],
  state_names: Sequence[str],
  observed: Mapping[str, Float[np.ndarray, " time"]] | None = None,
  roll: Float[np.ndarray, "time key"] | None = None,
  title: str = "",
) -> "Figure":
  """Sequences of states as bands of colour, one above the other, and numbers and music by time below them.

  Args:
    paths: by name: the true one, the most probable one.
    state_names: of the numbers in `paths`.
    observed: by name: what is drawn below, 0 to 1, such as observations and probabilities.
    roll: a piano roll, drawn below those.
    title: of the figure.
  """
  from matplotlib import colormaps
  from matplotlib.colors import ListedColormap
  from matplotlib.figure import Figure
  from matplotlib.patches import Patch

  observed = observed or {}
  steps = len(next(iter(paths.values())))
  heights = [0.5] * len(paths) + [0.8] * len(observed) + [2.4] * (roll is not None)
  figure = Figure(figsize=(9, 0.9 + sum(heights)), layout="constrained")
  panels = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=heights)[:, 0]
  number = len(state_names)
  few = number <= 10
  colors = colormaps["tab10"](np.arange(number)) if few else colormaps["turbo"](np.linspace(0, 1, number))
  for axes, (name, path) in zip(panels, paths.items()):
    extent, colour_map = (-0.5, steps - 0.5, 0, 1), ListedColormap(colors)
    axes.imshow(path[None], cmap=colour_map, vmin=-0.5, vmax=len(state_names) - 0.5, aspect="auto", extent=extent)
    axes.set_yticks([])
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
  for axes, (name, values) in zip(panels[len(paths) :], observed.items()):
    axes.fill_between(np.arange(steps), values, step="mid", color=_BLUE, alpha=0.6, linewidth=0)
    axes.set(ylim=(-0.03, 1.03), yticks=(0, 1))
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=8)
  if roll is not None:
    _roll(panels[-1], *_cropped([roll]))
  panels[-1].set_xlabel("time step", fontsize=8)
  for axes in panels:
    axes.spines[:].set_visible(False)
    axes.tick_params(labelsize=8, length=0)
  if few:
    patches = [Patch(color=color, label=name) for color, name in zip(colors, state_names)]
    figure.legend(handles=patches, loc="outside upper right", ncols=len(patches), frameon=False, fontsize=8)
  figure.suptitle(title, fontsize=10, x=0.01, ha="left")
  return figure


def piano_rolls(
  rolls: Sequence[Float[np.ndarray, "time key"]], captions: Sequence[str] = (), axis: str = "time step"
) -> "Figure":
  """Music as pictures: time to the right, pitch upwards, lines at the Cs; only the range that is played.

  Args:
    rolls: 0 to 1.
    captions: one for each.
    axis: what is to the right.
  """
  from matplotlib.figure import Figure

  *cropped, lowest = _cropped(rolls)
  figure = Figure(figsize=(9, 0.5 + 1.7 * len(rolls)), layout="constrained")
  for place, (axes, roll) in enumerate(zip(figure.subplots(len(rolls), 1, squeeze=False)[:, 0], cropped)):
    _roll(axes, roll, lowest)
    if place < len(captions):
      axes.set_title(captions[place], fontsize=8, loc="left")
  figure.axes[-1].set_xlabel(axis, fontsize=8)
  return figure


def _cropped(rolls: Sequence[Float[np.ndarray, "time key"]]) -> tuple[Any, ...]:
  """The rolls without the keys below and above all that sound, and the pitch of the lowest key left."""
  sounding = np.flatnonzero(np.any([roll.max(0) > 0.01 for roll in rolls], axis=0))
  low, high = (int(sounding[0]), int(sounding[-1])) if len(sounding) else (0, rolls[0].shape[1] - 1)
  return *(roll[:, low : high + 1] for roll in rolls), LOWEST + low


def _roll(axes: "Axes", roll: Float[np.ndarray, "time key"], lowest: int) -> None:
  steps, keys = roll.shape
  extent = (-0.5, steps - 0.5, lowest - 0.5, lowest + keys - 0.5)
  # Silence is transparent: the lines of the octaves are seen behind the notes.
  visible = np.ma.masked_less(roll.T, 0.01)
  axes.imshow(visible, cmap="Blues", vmin=0, vmax=1, origin="lower", aspect="auto", extent=extent, zorder=2)
  octaves = [pitch for pitch in range(lowest, lowest + keys) if pitch % 12 == 0]
  axes.set_yticks(octaves, [f"C{pitch // 12 - 1}" for pitch in octaves], fontsize=7)
  axes.grid(axis="y", color="#e0e3e7", linewidth=0.6)
  axes.set_axisbelow(True)
  axes.tick_params(labelsize=7, length=0)
  axes.spines[:].set_visible(False)
