"""What a latent space looks like, and how well a score tells examples of one kind from another."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import norm, rankdata

if TYPE_CHECKING:
  from matplotlib.figure import Figure


def principal_components(
  points: Float[np.ndarray, "example feature"], count: int = 2
) -> tuple[Float[np.ndarray, "example count"], Float[np.ndarray, " count"]]:
  """Projections onto the directions of largest variance, and the share of the variance that each has."""
  centred = points - points.mean(0)
  left, scale, _ = np.linalg.svd(centred, full_matrices=False)
  shares = scale**2 / max((scale**2).sum(), np.finfo(scale.dtype).tiny)
  return left[:, :count] * scale[:count], shares[:count]


def active_units(means: Float[np.ndarray, "example latent"], threshold: float = 1e-2) -> int:
  """Latents whose posterior mean varies over the examples by more than so much (Burda et al. 2016, section 5.2)."""
  return int((means.var(0) > threshold).sum())


def quantile_grid(side: int) -> Float[np.ndarray, "point 2"]:
  """A square of points spread as a standard normal is, from the top left (Kingma & Welling 2014, figure 4)."""
  quantiles = norm.ppf((np.arange(side) + 0.5) / side)
  across, up = np.meshgrid(quantiles, quantiles[::-1])
  return np.stack([across.ravel(), up.ravel()], -1)


def roc_auc(scores: Float[np.ndarray, " example"], positive: Int[np.ndarray, " example"]) -> float:
  """Area under the ROC curve: the chance that a positive scores above a negative, ties counted half.

  By ranks, as Mann and Whitney's U; NaN where one of the two kinds has no example.
  """
  positive = np.asarray(positive, bool)
  count, others = positive.sum(), (~positive).sum()
  if not count or not others:
    return float("nan")
  return float((rankdata(scores)[positive].sum() - count * (count + 1) / 2) / (count * others))


def scatter(
  points: Float[np.ndarray, "example 2"],
  labels: Int[np.ndarray, " example"],
  class_names: Sequence[str],
  axis_names: tuple[str, str],
  title: str = "",
) -> "Figure":
  """Points in the plane, coloured by class."""
  from matplotlib import colormaps
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.0, 5.2), layout="constrained")
  axes = figure.add_subplot()
  many = len(class_names) > 10
  colours = colormaps["tab20" if many else "tab10"]
  for number, name in enumerate(class_names[:20]):
    chosen = points[labels == number]
    axes.scatter(*chosen.T, s=6, alpha=0.6, linewidths=0, color=colours(number), label=name)
  axes.set(xlabel=axis_names[0], ylabel=axis_names[1], title=title, aspect="equal")
  if len(class_names) > 1:
    axes.legend(frameon=False, fontsize=8, markerscale=2.5, loc="center left", bbox_to_anchor=(1, 0.5))
  axes.spines[["top", "right"]].set_visible(False)
  return figure


def score_histograms(
  panels: Mapping[str, tuple[Float[np.ndarray, " example"], Int[np.ndarray, " example"]]],
  score_name: str,
  kinds: tuple[str, str],
) -> "Figure":
  """A panel for each (scores, positive): the two distributions, with the area under the ROC curve in its title.

  Args:
    panels: by title.
    score_name: of the horizontal axis.
    kinds: names of the negatives and the positives.
  """
  from matplotlib.figure import Figure

  columns = min(5, len(panels))
  rows = -(-len(panels) // columns)
  figure = Figure(figsize=(2.5 * columns + 0.5, 2.1 * rows + 0.5), layout="constrained")
  grid = np.ravel(figure.subplots(rows, columns, squeeze=False))
  for axes in grid[len(panels) :]:
    axes.set_axis_off()
  for axes, (title, (scores, positive)) in zip(grid, panels.items()):
    positive = np.asarray(positive, bool)
    edges = np.linspace(*np.percentile(scores, (0, 99.5)), 31)
    style = {"bins": edges, "density": True, "alpha": 0.65}
    for chosen, name, colour in ((~positive, kinds[0], "#8a8f98"), (positive, kinds[1], "#d1495b")):
      if chosen.any():
        axes.hist(scores[chosen], color=colour, label=name, **style)
    axes.set_title(f"{title}: AUROC {roc_auc(scores, positive):.3f}", fontsize=9)
    axes.set_yticks([])
    axes.tick_params(labelsize=7)
    axes.spines[["top", "right", "left"]].set_visible(False)
  grid[0].legend(frameon=False, fontsize=7)
  figure.supxlabel(score_name, fontsize=9)
  return figure


def bars(values: Float[np.ndarray, " bar"], name: str, value_name: str, title: str = "") -> "Figure":
  """A bar for each value."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(6.0, 2.8), layout="constrained")
  axes = figure.add_subplot()
  axes.bar(range(len(values)), values, width=0.9, color="#2f6db5")
  axes.set(xlabel=name, ylabel=value_name, title=title)
  axes.spines[["top", "right"]].set_visible(False)
  return figure
