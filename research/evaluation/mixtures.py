"""What a mixture of Gaussians looks like: its ellipses among the points, and what its size costs."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
  from matplotlib.figure import Figure

_INK, _MUTED, _BLUE, _RED = "#222222", "#8a8f98", "#2f6db5", "#d1495b"


def plane(points: Float[np.ndarray, "example feature"]) -> Float[np.ndarray, "feature 2"]:
  """The directions of largest variance, as orthonormal columns; the axes themselves where there are but two."""
  features = points.shape[1]
  if features <= 2:
    return np.eye(features, 2)
  return np.linalg.svd(points - points.mean(0), full_matrices=False)[2][:2].T


def ellipse(
  mean: Float[np.ndarray, " 2"], covariance: Float[np.ndarray, "2 2"], deviations: float, points: int = 100
) -> Float[np.ndarray, "point 2"]:
  """Points all around a Gaussian, so many standard deviations from its mean."""
  angles = np.linspace(0, 2 * np.pi, points)
  values, vectors = np.linalg.eigh(covariance)
  circle = np.stack([np.cos(angles), np.sin(angles)], -1)
  return mean + deviations * circle * np.sqrt(np.maximum(values, 0)) @ vectors.T


def ellipses(
  points: Float[np.ndarray, "example feature"],
  labels: Int[np.ndarray, " example"],
  class_names: Sequence[str],
  weights: Float[np.ndarray, " component"],
  means: Float[np.ndarray, "component feature"],
  covariances: Float[np.ndarray, "component feature feature"],
  title: str = "",
) -> "Figure":
  """Points, coloured by class, and every component as ellipses at one and two standard deviations.

  More than two features are projected onto the plane of largest variance, where a Gaussian is a Gaussian still.
  Components are drawn as strongly as they weigh; those of less than a thousandth are left out.
  """
  from matplotlib import colormaps
  from matplotlib.figure import Figure

  onto = plane(points)
  origin = points.mean(0) if points.shape[1] > 2 else np.zeros(points.shape[1])
  figure = Figure(figsize=(6.0, 4.6), layout="constrained")
  axes = figure.add_subplot()
  for number, name in enumerate(class_names[:20]):
    chosen = (points[labels == number] - origin) @ onto
    axes.scatter(*chosen.T, s=9, alpha=0.7, linewidths=0, color=colormaps["tab10"](number % 10), label=name)
  for weight, mean, covariance in zip(weights, means, covariances):
    if weight < 1e-3:
      continue
    strength = 0.35 + 0.65 * weight / weights.max()
    for deviations in (1, 2):
      outline = ellipse((mean - origin) @ onto, onto.T @ covariance @ onto, deviations)
      axes.plot(*outline.T, color=_INK, alpha=strength, linewidth=1.4 if deviations == 1 else 0.8)
  plain = points.shape[1] <= 2
  names = [f"{'feature' if plain else 'principal component'} {i}" for i in (1, 2)]
  axes.set(xlabel=names[0], ylabel=names[1], title=title)
  axes.legend(frameon=False, fontsize=8, markerscale=1.6, loc="center left", bbox_to_anchor=(1, 0.5))
  axes.spines[["top", "right"]].set_visible(False)
  return figure


def selection(sizes: Sequence[int], criteria: Mapping[str, Float[np.ndarray, " size"]]) -> "Figure":
  """Information criteria by number of components, the least of each marked."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5.2, 3.6), layout="constrained")
  axes = figure.add_subplot()
  for (name, values), colour in zip(criteria.items(), (_BLUE, _MUTED, _RED)):
    axes.plot(sizes, values, "o-", color=colour, markersize=3.5, linewidth=1.3, label=name)
    best = int(np.argmin(values))
    axes.plot(sizes[best], values[best], "o", color=colour, markersize=10, markerfacecolor="none")
  axes.set(xlabel="components", ylabel="nats x 2, less is better")
  axes.set_xticks(sizes)
  axes.legend(frameon=False, fontsize=8)
  axes.spines[["top", "right"]].set_visible(False)
  return figure
