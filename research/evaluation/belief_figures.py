"""Figures of Bayesian networks: arrows, what is believed before and after evidence, tables learned beside true ones."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
  from matplotlib.figure import Figure

_BLUE, _RED, _MUTED, _INK = "#2f6db5", "#d1495b", "#b9bec6", "#222222"


def layers(parents: Sequence[Sequence[int]]) -> Float[np.ndarray, "node 2"]:
  """Places of the nodes: a row below the lowest parent, beside one another by the middle of those that they touch."""
  depth = [0] * len(parents)
  for _ in parents:
    depth = [1 + max((depth[p] for p in each), default=-1) for each in parents]
  touching: list[list[int]] = [list(each) for each in parents]
  for node, each in enumerate(parents):
    for parent in each:
      touching[parent].append(node)
  across = np.zeros(len(parents))
  for sweep in range(12):
    for row in sorted(set(depth), reverse=bool(sweep % 2)):
      nodes = [node for node, d in enumerate(depth) if d == row]
      middle = np.array([across[touching[n]].mean() if touching[n] else 0.0 for n in nodes])
      for place, i in enumerate(np.argsort(middle, kind="stable")):
        across[nodes[i]] = place - (len(nodes) - 1) / 2
  return np.stack([across, -np.asarray(depth, float)], 1)


def network(
  places: Float[np.ndarray, "node 2"],
  parents: Sequence[Sequence[int]],
  names: Sequence[str],
  strength: Mapping[tuple[int, int], float] | None = None,
  title: str = "",
) -> "Figure":
  """A network as arrows from parents to children; without names, points.

  Args:
    places: of the nodes.
    parents: of each.
    names: written into the nodes; () for points.
    strength: of arrows (parent, child), 0 to 1: the wider and darker; all the same by default.
    title: of the figure.
  """
  from matplotlib.figure import Figure

  width, height = np.ptp(places, 0) + 1
  scale = (1.35, 0.8) if len(names) else (0.6, 0.6)
  size = (min(16.0, max(5.0, scale[0] * width)), min(12.0, max(3.0, scale[1] * height + 0.5)))
  figure = Figure(figsize=size, layout="constrained")
  axes = figure.add_subplot()
  for child, each in enumerate(parents):
    for parent in each:
      much = 0.5 if strength is None else strength.get((parent, child), 0.0)
      arrow = {"arrowstyle": "-|>", "color": str(0.8 - 0.7 * much), "lw": 0.6 + 2.2 * much}
      if not len(names):  # points in a grid: an arrow to the next but one would hide behind that to the next
        arrow["connectionstyle"] = "arc3,rad=0.2"
      arrow |= {"shrinkA": 10 if len(names) else 3, "shrinkB": 10 if len(names) else 3}
      axes.annotate("", places[child], places[parent], arrowprops=arrow)
  axes.plot(*places.T, "o", color=_BLUE, markersize=0 if len(names) else 5)
  box = {"boxstyle": "round,pad=0.3", "facecolor": "#eaf1fa", "edgecolor": _BLUE, "linewidth": 0.8}
  for place, name in zip(places, names):
    axes.annotate(name, place, ha="center", va="center", fontsize=7, color=_INK, bbox=box)
  axes.set_title(title, fontsize=9)
  axes.margins(0.08, 0.1)
  axes.set_axis_off()
  return figure


def marginals(
  names: Sequence[str],
  states: Sequence[Sequence[str]],
  before: Float[np.ndarray, "variable state"],
  after: Float[np.ndarray, "variable state"],
  known: Sequence[int] = (),
  title: str = "",
) -> "Figure":
  """A panel for each variable: how probable its states are before (grey) and after evidence (blue; red where known)."""
  from matplotlib.figure import Figure

  columns = min(6 if len(names) > 8 else 4, len(names))
  rows = -(-len(names) // columns)
  tallest = max(map(len, states))
  figure = Figure(figsize=(1.9 * columns, (0.55 + 0.2 * min(tallest, 10)) * rows + 0.4), layout="constrained")
  panels = np.ravel(figure.subplots(rows, columns, squeeze=False))
  for i, axes in enumerate(panels):
    if i >= len(names):
      axes.set_axis_off()
      continue
    place = np.arange(len(states[i]))
    axes.barh(place - 0.18, before[i, : len(place)], 0.34, color=_MUTED)
    axes.barh(place + 0.18, after[i, : len(place)], 0.34, color=_RED if i in known else _BLUE)
    axes.set(xlim=(0, 1), xticks=(0, 1), yticks=place, yticklabels=states[i])
    axes.invert_yaxis()
    axes.set_title(names[i], fontsize=8)
    axes.tick_params(labelsize=6, length=2)
    axes.spines[["top", "right"]].set_visible(False)
  figure.suptitle(title, fontsize=9)
  return figure


def tables(
  true: Float[np.ndarray, " entry"],
  learned: Float[np.ndarray, " entry"],
  weight: Float[np.ndarray, " entry"],
  title: str = "",
) -> "Figure":
  """Probabilities learned against true ones; the area of a point is how often its parents' states occur."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(4.6, 4.6), layout="constrained")
  axes = figure.add_subplot()
  axes.plot([0, 1], [0, 1], "--", color=_MUTED, linewidth=1)
  axes.scatter(true, learned, 4 + 150 * weight, color=_BLUE, alpha=0.5, linewidths=0)
  axes.set(
    xlabel="true probability", ylabel="learned probability", xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal"
  )
  axes.set_title(title, fontsize=10)
  axes.spines[["top", "right"]].set_visible(False)
  return figure
