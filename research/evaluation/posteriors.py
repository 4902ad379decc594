"""Figures of posterior draws: traces, ranks, pairs, intervals, replicated data, a fitted line."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.stats
from jaxtyping import Bool, Float

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_INK, _MUTED, _BLUE, _RED = "#222222", "#8a8f98", "#2f6db5", "#d1495b"
_CHAINS = ("#2f6db5", "#e08e45", "#4a9c6d", "#8e5ea2", "#d1495b", "#6b7a8f", "#b8a13c", "#3aa6b9")
Draws = Mapping[str, Float[np.ndarray, "chain draw"]]


def _color(chain: int) -> str:
  return _CHAINS[chain % len(_CHAINS)]


def _plain(*panels: "Axes") -> None:
  for axes in panels:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, length=2)


def traces(draws: Draws, most: int = 2000) -> "Figure":
  """Of each quantity the density of every chain on the left, its draws one after the other on the right."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(9, 0.4 + 1.5 * len(draws)), layout="constrained")
  grid = figure.subplots(len(draws), 2, squeeze=False, width_ratios=(1, 2))
  for (density, trace), (name, values) in zip(grid, draws.items()):
    span = np.linspace(*np.quantile(values, [0.001, 0.999]), 200)
    every = max(1, values.shape[1] // most)
    for chain, row in enumerate(values):
      if np.ptp(row) > 0:
        density.plot(span, scipy.stats.gaussian_kde(row[::every])(span), color=_color(chain), linewidth=1)
      places = np.arange(len(row))[::every]
      trace.plot(places, row[::every], color=_color(chain), linewidth=0.4, alpha=0.8)
    density.set_ylabel(name, fontsize=9)
    density.set(yticks=[], ylim=(0, None))
  grid[-1, 1].set_xlabel("draw", fontsize=8)
  _plain(*grid.ravel())
  return figure


def ranks(draws: Draws, bins: int = 20) -> "Figure":
  """How the ranks of each chain's draws among all are spread: evenly, where chains agree (Vehtari et al. 2021)."""
  from matplotlib.figure import Figure

  chains = min(len(next(iter(draws.values()))), 8)
  figure = Figure(figsize=(1.6 + 1.6 * chains, 0.5 + 1.3 * len(draws)), layout="constrained")
  grid = figure.subplots(len(draws), chains, squeeze=False, sharex=True, sharey="row")
  for panels, (name, values) in zip(grid, draws.items()):
    rank = scipy.stats.rankdata(values, axis=None).reshape(values.shape)
    for chain, axes in enumerate(panels):
      axes.hist(rank[chain], bins, range=(0, values.size), color=_color(chain), edgecolor="white", linewidth=0.5)
      axes.axhline(values.shape[1] / bins, color=_INK, linewidth=0.8, linestyle="--")
      axes.set(yticks=[], xticks=[])
    panels[0].set_ylabel(name, fontsize=9)
  for chain, axes in enumerate(grid[0]):
    axes.set_title(f"chain {chain + 1}", fontsize=8)
  _plain(*grid.ravel())
  figure.supxlabel("rank among all draws", fontsize=8)
  return figure


def pairs(draws: Draws, divergent: Bool[np.ndarray, "chain draw"] | None = None, most: int = 2000) -> "Figure":
  """Quantities against one another, their histograms on the diagonal; divergent transitions in red."""
  from matplotlib.figure import Figure

  names, count = list(draws), len(draws)
  flat = {name: values.ravel() for name, values in draws.items()}
  figure = Figure(figsize=(1.9 * count + 0.4, 1.8 * count + 0.2), layout="constrained")
  grid = figure.subplots(count, count, squeeze=False)
  size = len(flat[names[0]])
  subset = np.random.default_rng(0).permutation(size)[:most]
  bad = np.flatnonzero(divergent.ravel()) if divergent is not None else np.zeros(0, int)
  for row, below in enumerate(names):
    for column, left in enumerate(names):
      axes = grid[row, column]
      if column > row:
        axes.set_axis_off()
      elif column == row:
        axes.hist(flat[left], 40, range=tuple(np.quantile(flat[left], [0.001, 0.999])), color=_BLUE, alpha=0.8)
        axes.set_yticks([])
      else:
        axes.plot(flat[left][subset], flat[below][subset], ".", color=_BLUE, alpha=0.25, markersize=2)
        axes.plot(flat[left][bad], flat[below][bad], ".", color=_RED, markersize=4)
      if column == 0:
        axes.set_ylabel(below, fontsize=8)
      if row == count - 1:
        axes.set_xlabel(left, fontsize=8)
  _plain(*grid.ravel())
  title = f"{size:,} draws" + (f", {len(bad):,} divergent (red)" if divergent is not None else "")
  figure.suptitle(title, fontsize=9, x=0.99, ha="right")
  return figure


def intervals(
  draws: Draws, reference: Mapping[str, tuple[float, float]] | None = None, other: Draws | None = None
) -> "Figure":
  """Of each quantity the median, the middle half and the middle 90 %; beside it another inference, and reference means.

  Args:
    draws: by quantity.
    reference: means and their errors, drawn as crosses.
    other: draws of the same quantities, drawn in red.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.4, 0.9 + 0.26 * len(draws)), layout="constrained")
  axes = figure.add_subplot()
  for place, (name, values) in enumerate(draws.items()):
    for shift, color, which in ((0.0, _BLUE, values), (0.25, _RED, other[name] if other else None)):
      if which is None:
        continue
      low, first, median, third, high = np.quantile(which, [0.05, 0.25, 0.5, 0.75, 0.95])
      axes.plot([low, high], [place + shift] * 2, color=color, linewidth=1)
      axes.plot([first, third], [place + shift] * 2, color=color, linewidth=3)
      axes.plot(median, place + shift, "o", color="white", markeredgecolor=color, markersize=4)
    if reference and name in reference:
      axes.plot(reference[name][0], place, "x", color=_INK, markersize=6, label="_" if place else "reference mean")
  axes.set_yticks(range(len(draws)), list(draws), fontsize=8)
  axes.invert_yaxis()
  axes.axvline(0, color=_MUTED, linewidth=0.6, linestyle=":")
  axes.set_title(
    "median, middle half, middle 90 %"
    + ("; red: NUTS" if other else "")
    + ("; x: mean of the reference" if reference else ""),
    fontsize=9,
  )
  _plain(axes)
  return figure


def predictive(observed: Float[np.ndarray, " row"], replicated: Float[np.ndarray, "draw row"]) -> "Figure":
  """Observed data among data replicated from the posterior: of few rows each, else their distribution."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.4, 3.6), layout="constrained")
  axes = figure.add_subplot()
  if len(observed) <= 30:
    bodies: Any = axes.violinplot(replicated, range(1, len(observed) + 1), showextrema=False, widths=0.8)["bodies"]
    for body in bodies:
      body.set(facecolor=_BLUE, alpha=0.35)
    axes.plot(range(1, len(observed) + 1), observed, "o", color=_INK, markersize=5, label="observed")
    axes.set(xlabel="row", ylabel="outcome")
  else:
    for row in replicated[:50]:
      axes.plot(np.sort(row), np.linspace(0, 1, len(row)), color=_BLUE, linewidth=0.5, alpha=0.3)
    axes.plot(np.sort(observed), np.linspace(0, 1, len(observed)), color=_INK, linewidth=1.5, label="observed")
    axes.plot([], [], color=_BLUE, label="replicated")
    axes.set(xlabel="outcome", ylabel="share of rows below")
  axes.legend(frameon=False, fontsize=8)
  axes.set_title("data replicated from the posterior, beside the observed", fontsize=9)
  _plain(axes)
  return figure


def fit(
  inputs: Float[np.ndarray, " row"],
  outcome: Float[np.ndarray, " row"],
  points: Float[np.ndarray, " point"],
  mean: Float[np.ndarray, " point"],
  deviation: Float[np.ndarray, " point"],
  truth: Float[np.ndarray, " point"] | None = None,
) -> "Figure":
  """Outcomes by one input, the posterior predictive mean and two deviations about it; the true function where known."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.8, 3.8), layout="constrained")
  axes = figure.add_subplot()
  axes.fill_between(points, mean - 2 * deviation, mean + 2 * deviation, color=_BLUE, alpha=0.2, linewidth=0)
  axes.plot(points, mean, color=_BLUE, linewidth=1.6, label="predictive mean, and two deviations")
  if truth is not None:
    axes.plot(points, truth, "--", color=_RED, linewidth=1, label="true function")
  axes.plot(inputs, outcome, ".", color=_INK, markersize=4, label="observed")
  axes.legend(frameon=False, fontsize=8)
  axes.set(xlabel="input", ylabel="outcome")
  _plain(axes)
  return figure


def energy(values: Float[np.ndarray, "chain draw"], fractions: Sequence[float]) -> "Figure":
  """Energies, and their changes from transition to transition, which ought to be as wide (Betancourt 2016)."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5.6, 3.2), layout="constrained")
  axes = figure.add_subplot()
  changes = np.diff(values, axis=1).ravel()
  centred = (values - values.mean()).ravel()
  low, high = np.quantile(np.concatenate([centred, changes]), [0.001, 0.999])
  for sample, color, label in ((centred, _MUTED, "energy"), (changes, _BLUE, "change in a transition")):
    axes.hist(sample, 60, range=(low, high), density=True, color=color, alpha=0.55, label=label)
  axes.set(yticks=[], xlabel="nats, about the mean")
  axes.set_title(f"E-BFMI {min(fractions):.2f} in the worst of {len(fractions)} chains", fontsize=9)
  axes.legend(frameon=False, fontsize=8)
  _plain(axes)
  return figure
