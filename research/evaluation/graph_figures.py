"""Graphs as figures: nodes as points, edges as lines."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
  from matplotlib.figure import Figure

_COLOURS = (
  "#2f6db5",
  "#d1495b",
  "#3c9d6b",
  "#e0a030",
  "#7b5ea7",
  "#3bb0c9",
  "#8a8f98",
  "#b5651d",
  "#c77dba",
  "#556b2f",
)
_INK, _LINE = "#222222", "#b9bec6"


def layout(count: int, edges: Int[np.ndarray, "2 edge"], seed: int = 0) -> Float[np.ndarray, "node 2"]:
  """Places in the plane by networkx's springs (Fruchterman & Reingold 1991), the same for the same seed."""
  import networkx

  graph = networkx.Graph()
  graph.add_nodes_from(range(count))
  graph.add_edges_from(np.asarray(edges).T.tolist())
  places = networkx.spring_layout(graph, seed=seed, k=1.8 / max(count, 1) ** 0.5, iterations=200)
  return np.array([places[node] for node in range(count)])


def drawn(
  places: Float[np.ndarray, "node 2"],
  edges: Int[np.ndarray, "2 edge"],
  groups: Int[np.ndarray, " node"],
  *,
  names: Sequence[str] = (),
  legend: Sequence[str] = (),
  rings: Sequence[int] = (),
  sizes: Float[np.ndarray, " node"] | None = None,
  title: str = "",
) -> "Figure":
  """A graph, each group in a colour of its own.

  Args:
    places: as `layout` gives them.
    edges: pairs of nodes.
    groups: of the nodes, 0 and up.
    names: written at the nodes; none by default.
    legend: names of the groups.
    rings: nodes with a black ring, such as those that training knows.
    sizes: areas of the nodes, in square points.
    title: of the figure.
  """
  from matplotlib.collections import LineCollection
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.8, 5.4), layout="constrained")
  axes = figure.add_subplot()
  axes.add_collection(LineCollection(places[np.asarray(edges).T], colors=_LINE, linewidths=0.6, zorder=1))
  sizes = np.full(len(places), 110.0 if len(names) else 60.0) if sizes is None else sizes
  for group in np.unique(groups):
    at = groups == group
    label = legend[group] if group < len(legend) else None
    color = _COLOURS[group % len(_COLOURS)]
    axes.scatter(*places[at].T, sizes[at], color=color, edgecolors="white", linewidths=0.8, label=label, zorder=2)
  ring = np.asarray(rings, int)
  axes.scatter(*places[ring].T, sizes[ring], facecolors="none", edgecolors=_INK, linewidths=1.6, zorder=3)
  for place, name in zip(places, names):
    axes.annotate(name, place, xytext=(4, 4), textcoords="offset points", fontsize=6, color=_INK, zorder=4)
  if len(legend):
    axes.legend(frameon=False, fontsize=8, loc="best")
  axes.set_title(title, fontsize=10)
  axes.set_axis_off()
  return figure


def influences(
  places: Float[np.ndarray, "node 2"],
  edges: Int[np.ndarray, "2 edge"],
  values: Float[np.ndarray, " node"],
  names: Sequence[str],
  centre: int,
  title: str = "",
) -> "Figure":
  """The neighbourhood of a node: red speaks for its prediction, blue against it, as much as the node is dark.

  Args:
    places, edges: of the neighbourhood.
    values: of its nodes; their unit is of no matter.
    names: written at the nodes.
    centre: the node that is predicted.
    title: of the figure.
  """
  from matplotlib.collections import LineCollection
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.8, 5.4), layout="constrained")
  axes = figure.add_subplot()
  axes.add_collection(LineCollection(places[np.asarray(edges).T], colors=_LINE, linewidths=0.6, zorder=1))
  peak = np.abs(values).max() or 1.0
  style: dict[str, Any] = {
    "cmap": "RdBu_r",
    "vmin": -peak,
    "vmax": peak,
    "edgecolors": "#666b73",
    "linewidths": 0.6,
    "zorder": 2,
  }
  dots = axes.scatter(*places.T, 60 + 240 * np.abs(values) / peak, c=values, **style)
  axes.scatter(*places[[centre]].T, 420, facecolors="none", edgecolors=_INK, linewidths=1.8, zorder=3)
  for place, name in zip(places, names):
    axes.annotate(name, place, xytext=(5, 5), textcoords="offset points", fontsize=7, color=_INK, zorder=4)
  bar = figure.colorbar(dots, ax=axes, shrink=0.7, label="derivative of the log-probability by the node's features")
  bar.outline.set_visible(False)
  axes.set_title(title, fontsize=10)
  axes.set_axis_off()
  return figure


def embedding_map(
  points: Float[np.ndarray, "node 2"], groups: Int[np.ndarray, " node"], legend: Sequence[str], title: str = ""
) -> "Figure":
  """Nodes in the plane, coloured by group."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.2, 5.0), layout="constrained")
  axes = figure.add_subplot()
  for group in range(len(legend)):
    at = groups == group
    axes.plot(*points[at].T, ".", markersize=3, color=_COLOURS[group % len(_COLOURS)], label=legend[group])
  axes.legend(frameon=False, fontsize=8, markerscale=3, loc="best")
  axes.set_title(textwrap.fill(title, 60), fontsize=10)
  axes.set(xticks=[], yticks=[])
  axes.spines[:].set_visible(False)
  return figure


def fit(predicted: Float[np.ndarray, " example"], target: Float[np.ndarray, " example"], name: str) -> "Figure":
  """Predictions against what was measured; on the line they are equal."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(4.8, 4.6), layout="constrained")
  axes = figure.add_subplot()
  limits = min(predicted.min(), target.min()), max(predicted.max(), target.max())
  axes.plot(limits, limits, "--", color="#8a8f98", linewidth=1)
  axes.plot(target, predicted, ".", color=_COLOURS[0], markersize=5)
  error = np.sqrt(np.square(predicted - target).mean())
  axes.set(xlabel=f"measured: {name}", ylabel="predicted", aspect="equal")
  axes.set_title(f"{len(predicted)} test molecules, root mean squared error {error:.2f}", fontsize=10)
  axes.spines[["top", "right"]].set_visible(False)
  return figure


def roc_curve(false: Float[np.ndarray, " point"], true: Float[np.ndarray, " point"], title: str = "") -> "Figure":
  """The share of positives that are told against the share of negatives that are taken for one."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(4.6, 4.4), layout="constrained")
  axes = figure.add_subplot()
  axes.plot([0, 1], [0, 1], "--", color="#8a8f98", linewidth=1)
  axes.plot(false, true, color=_COLOURS[0], linewidth=1.5)
  axes.set(xlabel="false positives, share of negatives", ylabel="true positives, share of positives", aspect="equal")
  area = np.trapezoid(true, false)
  axes.set_title(f"{title}: area under the curve {area:.3f}", fontsize=10)
  axes.spines[["top", "right"]].set_visible(False)
  return figure


def bars(names: Sequence[str], values: Mapping[str, Float[np.ndarray, " name"]], title: str) -> "Figure":
  """A group of bars, 0 to 1, for each name."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5.6, 0.5 * len(names) + 1.2), layout="constrained")
  axes = figure.add_subplot()
  height, places = 0.8 / len(values), np.arange(len(names))
  for i, (label, each) in enumerate(values.items()):
    axes.barh(places + (i - (len(values) - 1) / 2) * height, each, height, color=_COLOURS[i], label=label)
  axes.set(xlim=(0, 1), yticks=places, yticklabels=names)
  axes.invert_yaxis()
  axes.set_title(title, fontsize=10)
  axes.legend(frameon=False, fontsize=8)
  axes.tick_params(labelsize=8)
  axes.spines[["top", "right"]].set_visible(False)
  return figure
