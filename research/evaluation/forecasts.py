"""Figures of forecasts: what was seen, what came, and the bands that it was to lie in; and how errors grow."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

if TYPE_CHECKING:
  from matplotlib.figure import Figure

_INK, _MUTED, _BLUE = "#222222", "#8a8f98", "#2f6db5"


def bands(
  seen: Float[np.ndarray, "window context series"],
  targets: Float[np.ndarray, "window horizon series"] | None,
  forecasts: Float[np.ndarray, "window horizon series quantile"],
  quantiles: Sequence[float],
  columns: Sequence[str],
  naive: Float[np.ndarray, "window horizon series"] | None = None,
) -> "Figure":
  """A panel a series (down) and window (across): the end of what was seen, what came, median and widest band."""
  from matplotlib.figure import Figure

  windows, horizon, series, _ = forecasts.shape
  figure = Figure(figsize=(4.2 * windows, 1.5 * series + 0.6), layout="constrained")
  panels = figure.subplots(series, windows, squeeze=False, sharex=True)
  past, ahead = np.arange(-min(seen.shape[1], horizon), 0), np.arange(horizon)
  middle = list(quantiles).index(0.5)
  for window in range(windows):
    for row, column in enumerate(columns):
      panel, forecast = panels[row, window], forecasts[window, :, row]
      panel.plot(past, seen[window, len(seen[window]) - len(past) :, row], color=_INK, linewidth=0.8)
      if targets is not None:
        panel.plot(ahead, targets[window, :, row], color=_INK, linewidth=0.8, label="what came")
      if naive is not None:
        panel.plot(ahead, naive[window, :, row], color=_MUTED, linewidth=0.7, linestyle=":", label="seasonal naive")
      label = f"{quantiles[0]:.0%} to {quantiles[-1]:.0%}"
      panel.fill_between(ahead, forecast[:, 0], forecast[:, -1], color=_BLUE, alpha=0.25, linewidth=0, label=label)
      panel.plot(ahead, forecast[:, middle], color=_BLUE, linewidth=1.1, label="median")
      panel.axvline(0, color=_MUTED, linewidth=0.5)
      panel.spines[["top", "right"]].set_visible(False)
      panel.tick_params(labelsize=7)
      if not window:
        panel.set_ylabel(column, fontsize=8)
  panels[-1, 0].set_xlabel("steps from now", fontsize=8)
  handles, labels = panels[0, 0].get_legend_handles_labels()
  figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), fontsize=8, frameon=False)
  return figure


def errors_ahead(errors: Mapping[str, Float[np.ndarray, " horizon"]]) -> "Figure":
  """Mean absolute error of each step ahead, a line for each way to forecast."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(4.8, 3.0), layout="constrained")
  axes = figure.add_subplot()
  for (name, values), color in zip(errors.items(), (_BLUE, _MUTED, _INK)):
    axes.plot(np.arange(1, len(values) + 1), values, color=color, linewidth=1.4, label=name)
  axes.set(xlabel="steps ahead", ylabel="mean absolute error, standardised", ylim=(0, None))
  axes.spines[["top", "right"]].set_visible(False)
  axes.legend(frameon=False, fontsize=8)
  return figure
