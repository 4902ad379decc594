"""Figures that a person would rather look at than read: `matplotlib.figure.Figure`s, to be written with `save`.

Matplotlib is imported when a figure is drawn, and never its pyplot: no global state, and nothing added to the time to
the first step.  Images are [height, width, channel] with 1 or 3 channels (or [height, width]), in [0, 1] or uint8.
"""

import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from research.evaluation.classification import Reliability

if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure

_INK, _MUTED, _BLUE, _RED = "#222222", "#8a8f98", "#2f6db5", "#d1495b"


def save(figure: "Figure", path: pathlib.Path | str) -> pathlib.Path:
  """Writes a PNG (or what the suffix says); makes its folder."""
  path = pathlib.Path(path)
  path.parent.mkdir(parents=True, exist_ok=True)
  # No date or version inside: the same run gives the same file.
  metadata = {"Software": None} if path.suffix == ".png" else None
  figure.savefig(path, dpi=150, facecolor="white", metadata=metadata)
  return path


def confusion_matrix(
  confusion: Int[np.ndarray, "true predicted"], class_names: Sequence[str] | None = None, title: str = ""
) -> "Figure":
  """Counts in every cell, coloured by the fraction of the true class, so that rare classes are seen as well."""
  from matplotlib.figure import Figure

  classes = len(confusion)
  names = [str(name) for name in class_names] if class_names is not None else [str(i) for i in range(classes)]
  side = max(3.6, 0.5 * classes + 1.6)
  figure = Figure(figsize=(side + 0.6, side), layout="constrained")
  axes = figure.add_subplot()
  fraction = confusion / np.maximum(confusion.sum(1, keepdims=True), 1)
  image = axes.imshow(fraction, cmap="Blues", vmin=0, vmax=1)
  if classes <= 30:
    for (row, column), count in np.ndenumerate(confusion):
      if count:
        ink = "white" if fraction[row, column] > 0.5 else (_INK if row == column else _RED)
        axes.text(column, row, f"{count}", ha="center", va="center", color=ink, fontsize=8)
    turn = 45 if max(map(len, names)) > 3 else 0
    axes.set_xticks(range(classes), names, rotation=turn, ha="right" if turn else "center", fontsize=8)
    axes.set_yticks(range(classes), names, fontsize=8)
  accuracy = confusion.trace() / max(confusion.sum(), 1)
  axes.set(xlabel="predicted", ylabel="true", title=title or f"{confusion.sum():,} examples, {accuracy:.2%} correct")
  axes.tick_params(length=0)
  axes.spines[:].set_visible(False)
  figure.colorbar(image, ax=axes, shrink=0.8, label="fraction of the true class").outline.set_visible(False)
  return figure


def reliability_diagram(reliability: Reliability, title: str = "") -> "Figure":
  """Accuracy against confidence above, how often each confidence occurs below (Guo et al. 2017, figure 1)."""
  from matplotlib.figure import Figure

  figure = Figure(figsize=(4.6, 5.4), layout="constrained")
  above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
  left, width = reliability.edges[:-1], np.diff(reliability.edges)
  accuracy, confidence = np.nan_to_num(reliability.accuracy), np.nan_to_num(reliability.confidence)
  style = {"align": "edge", "edgecolor": "white", "linewidth": 0.8}
  above.bar(left, accuracy, width, color=_BLUE, label="accuracy", **style)
  gap = confidence - accuracy
  above.bar(left, gap, width, accuracy, color=_RED, alpha=0.35, label="gap to confidence", **style)
  above.plot([0, 1], [0, 1], "--", color=_MUTED, linewidth=1, label="perfectly calibrated")
  error = f"expected calibration error {reliability.error:.2%}"
  above.set(ylabel="accuracy", xlim=(0, 1), ylim=(0, 1), title=title or error)
  above.legend(frameon=False, fontsize=8, loc="upper left")
  below.bar(left, reliability.count, width, color=_MUTED, **style)
  # Logarithmic: most examples of a good classifier lie in the last bin.
  below.set(xlabel="confidence", ylabel="examples", yscale="symlog", ylim=(0, None))
  _plain(above, below)
  return figure


def misclassified(
  images: np.ndarray,
  log_probs: Float[np.ndarray, "example class"],
  labels: Int[np.ndarray, " example"],
  class_names: Sequence[str] | None = None,
  limit: int = 24,
) -> "Figure":
  """The errors made with most confidence: true class, and the predicted one with its probability."""
  predicted, confidence = log_probs.argmax(-1), np.exp(log_probs.max(-1))
  wrong = np.flatnonzero(predicted != labels)
  worst = wrong[np.argsort(-confidence[wrong], kind="stable")][:limit]

  def name(index) -> str:
    return str(class_names[index]) if class_names is not None else str(index)

  captions = [f"true {name(labels[i])}\n{name(predicted[i])} {confidence[i]:.0%}" for i in worst]
  title = f"{len(wrong):,} of {len(labels):,} misclassified"
  return image_grid(images[worst], captions, title=title + (", most confident first" if len(wrong) else ""))


def image_grid(
  images: np.ndarray, captions: Sequence[str] | None = None, columns: int | None = None, title: str = ""
) -> "Figure":
  """Images in rows, each with its caption.

  Args:
    images: [count, height, width] or [count, height, width, channel]; of other than 1 or 3 channels their mean.
    captions: one for each image.
    columns: as square as can be by default.
    title: of the whole.
  """
  from matplotlib.figure import Figure
  from matplotlib.layout_engine import ConstrainedLayoutEngine

  images = np.asarray(images)
  if images.ndim == 4 and images.shape[-1] not in (1, 3):
    images = images.mean(-1).astype(images.dtype)
  count = len(images)
  columns = columns or max(1, min(8, int(np.ceil(np.sqrt(count)))))
  rows = max(1, -(-count // columns))
  lines = max((caption.count("\n") + 1 for caption in captions), default=0) if captions is not None else 0
  cell, text = 0.95, 0.16 * lines
  size = (max(columns * cell, 3.2), rows * (cell + text) + (0.4 if title else 0))
  # Pads are small, because the grid itself is the picture.
  figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.02, h_pad=0.03, wspace=0.02, hspace=0.02))
  if captions is None:
    cells = [(figure.subplots(), _mosaic(images, rows, columns))]  # one picture is drawn much sooner
  else:
    cells = list(zip(np.ravel(figure.subplots(rows, columns)), images))
    for axes, caption in zip(figure.axes, captions):
      axes.set_title(caption, fontsize=7, pad=2, color=_INK)
  for axes in figure.axes:
    axes.set_axis_off()
  for axes, image in cells:
    _image(axes, image)
  if title:
    figure.suptitle(title, fontsize=10)
  return figure


def filters(
  kernel: np.ndarray, image_shape: tuple[int, ...] | None = None, limit: int = 64, title: str = "first-layer filters"
) -> "Figure":
  """First-layer weights as images, each scaled on its own: grey, or red-white-blue around zero, or in colour.

  Args:
    kernel: of a convolution [height, width, in, out], or of a Dense layer [inputs, out] where `image_shape` is given.
    image_shape: [height, width] or [height, width, channel] of the inputs of a Dense layer.
    limit: at most so many filters, those of largest norm.
    title: of the figure.

  Raises:
    ValueError: a kernel that is no image.
  """
  if kernel.ndim == 2 and image_shape is not None and np.prod(image_shape) == kernel.shape[0]:
    kernel = kernel.reshape(*image_shape, kernel.shape[1])
    kernel = kernel[:, :, None] if kernel.ndim == 3 else kernel
  if kernel.ndim != 4:
    raise ValueError(f"a kernel of shape {kernel.shape} is no image of shape {image_shape}")
  bank = np.moveaxis(kernel, -1, 0)
  strongest = np.argsort(-np.square(bank).sum((1, 2, 3)), kind="stable")[:limit]
  bank = bank[np.sort(strongest)]
  if bank.shape[-1] not in (1, 3):
    bank = bank.mean(-1, keepdims=True)
  peak = np.abs(bank).max((1, 2, 3), keepdims=True)
  scaled = 0.5 + 0.5 * bank / np.where(peak > 0, peak, 1)
  if scaled.shape[-1] == 1:
    scaled = _diverging(scaled[..., 0])
  return image_grid(scaled, title=title)


def sample_efficiency(
  sizes: Sequence[int], accuracy: Mapping[str, Float[np.ndarray, "size repeat"]], crossing: float | None = None
) -> "Figure":
  """Accuracy of models against the size of their training set: mean and standard deviation over repeats.

  Args:
    sizes: of the training sets.
    accuracy: by model.
    crossing: a size to mark, where one model overtakes the other.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(5.2, 3.8), layout="constrained")
  axes = figure.subplots()
  for (name, values), color in zip(accuracy.items(), (_RED, _BLUE, _MUTED)):
    mean, deviation = values.mean(1), values.std(1)
    axes.plot(sizes, mean, "o-", color=color, markersize=3, linewidth=1.3, label=name)
    axes.fill_between(sizes, mean - deviation, mean + deviation, color=color, alpha=0.18, linewidth=0)
  if crossing is not None:
    axes.axvline(crossing, color=_MUTED, linestyle="--", linewidth=1, label=f"crossing at {crossing:.0f}")
  axes.set(xscale="log", xlabel="training examples", ylabel="test accuracy")
  axes.set_xticks(sizes, [str(size) for size in sizes])
  axes.minorticks_off()
  axes.legend(frameon=False, fontsize=8, loc="lower right")
  _plain(axes)
  return figure


def densities(
  panels: Mapping[str, Float[np.ndarray, "side side"]], axis: Float[np.ndarray, " side"], points: np.ndarray
) -> "Figure":
  """Densities in the plane on one scale of colours, and points [point, 2] drawn from the first.

  Args:
    panels: name -> density at (axis[column], axis[row]).
    axis: the places along either axis.
    points: shown in a panel of their own.
  """
  from matplotlib.figure import Figure

  figure = Figure(figsize=(3.2 * (len(panels) + 1), 3.3), layout="constrained")
  *maps, last = figure.subplots(1, len(panels) + 1)
  extent = (axis[0], axis[-1], axis[0], axis[-1])
  brightest = max(panel.max() for panel in panels.values())
  for axes, (name, panel) in zip(maps, panels.items()):
    axes.imshow(panel, origin="lower", extent=extent, cmap="Blues", vmin=0, vmax=brightest)
    axes.set_title(name, fontsize=10)
  last.plot(*points.T, ".", markersize=1.5, color=_BLUE)
  last.set(xlim=extent[:2], ylim=extent[2:], aspect="equal")
  last.set_title(f"{len(points):,} samples", fontsize=10)
  return figure


def point_clouds(clouds: Iterable[Float[np.ndarray, "point 2"]], limit: float, titles: Sequence[str] = ()) -> "Figure":
  """Clouds of points in the plane, such as one at several times, side by side within +-`limit`; larger with titles."""
  from matplotlib.figure import Figure

  clouds, side = list(clouds), 3.2 if titles else 2.0
  figure = Figure(figsize=(side * len(clouds), side + (0.3 if titles else 0.1)), layout="constrained")
  for i, (axes, cloud) in enumerate(zip(np.ravel(figure.subplots(1, len(clouds))), clouds)):
    axes.set_title(titles[i] if titles else "", fontsize=10)
    axes.plot(*cloud.T, ".", markersize=1.2, color=_BLUE)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
  return figure


def spectrograms(rows: Mapping[str, Float[np.ndarray, "sound time"]], window: int = 128) -> "Figure":
  """Log-magnitude spectra over time, low frequencies at the bottom, of sounds side by side; a row for each name."""
  from matplotlib.figure import Figure

  count = max(len(sounds) for sounds in rows.values())
  figure = Figure(figsize=(1.3 * count, 1.7 * len(rows)), layout="constrained")
  grid = np.reshape(figure.subplots(len(rows), count), (len(rows), count))
  for line, (name, sounds) in zip(grid, rows.items()):
    for axes, sound in zip(line, sounds):
      width = min(window, len(sound))
      frames = np.lib.stride_tricks.sliding_window_view(sound, width)[:: max(width // 4, 1)]
      levels = 20 * np.log10(np.abs(np.fft.rfft(frames * np.hanning(width))) + 1e-3)
      axes.imshow(levels.T, origin="lower", aspect="auto", cmap="magma", vmin=-40, vmax=30)
      axes.set(xticks=[], yticks=[])
    line[0].set_ylabel(name, fontsize=8)
  return figure


def attention(
  layers: Sequence[Float[np.ndarray, "head time length"]], labels: Sequence[str], rows: Sequence[str] = ()
) -> "Figure":
  """What each token (row) attends to (column), a panel a head (across) and layer (down), 8 of each at most.

  Args:
    layers: weights of each.
    labels: of the columns.
    rows: labels of the rows, where they are of other tokens than the columns are.
  """
  from matplotlib.figure import Figure

  layers = [weights[:8] for weights in layers[:8]]
  heads = max(map(len, layers))
  side = 3.2 if rows else 1.6  # room for words
  figure = Figure(figsize=(side * heads + 0.8, side * len(layers) + 0.6), layout="constrained")
  panels = figure.subplots(len(layers), heads, squeeze=False)
  for row, (weights, axes) in enumerate(zip(layers, panels)):
    for head, (panel, values) in enumerate(zip(axes, weights)):
      panel.imshow(values, cmap="magma", vmin=0, vmax=float(values.max()), aspect="auto")
      panel.set(xticks=[], yticks=[])
      if not row:
        panel.set_title(f"head {head + 1}", fontsize=8)
    axes[0].set_ylabel(f"layer {row + 1}", fontsize=8)
    if rows:
      axes[0].set_yticks(range(len(rows)), rows, fontsize=6)
      axes[0].tick_params(length=0)
  if rows:
    for panel in panels[-1]:
      panel.set_xticks(range(len(labels)), labels, fontsize=6, rotation=90)
      panel.tick_params(length=0)
  elif len(labels) <= 60:
    panels[-1, 0].set_xticks(range(len(labels)), labels, fontsize=3)
    panels[-1, 0].tick_params(length=0)
  return figure


def learning_curves(rows: Sequence[Mapping[str, Any]], metrics: Sequence[str] | None = None) -> "Figure":
  """One panel for each quantity over the steps, training and evaluation together.

  Args:
    rows: of `metrics.jsonl`: `step`, `kind` (`train`, `eval`, ...) and some quantities; rows need not have the same.
    metrics: which quantities; by default all that are in the rows.
  """
  from matplotlib.figure import Figure

  curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
  for row in rows:
    for name, value in row.items():
      if name != "step" and isinstance(value, int | float) and (metrics is None or name in metrics):
        curves.setdefault(name, {}).setdefault(row.get("kind", ""), []).append((row["step"], value))
  # A curve needs two points; a single one would be an empty panel.
  panels = {name: kinds for name, kinds in curves.items() if any(len(points) > 1 for points in kinds.values())}
  columns = min(3, max(len(panels), 1))
  grid = (max(1, -(-len(panels) // columns)), columns)
  figure = Figure(figsize=(3.6 * columns, 2.7 * grid[0]), layout="constrained")
  for axes, (name, kinds) in zip(np.ravel(figure.subplots(*grid)), panels.items()):
    for kind, points in sorted(kinds.items()):
      _curve(axes, kind, np.array(sorted(points)))
    axes.set_title(name.replace("_", " "), fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    if len(kinds) > 1:
      axes.legend(frameon=False, fontsize=8)
    _plain(axes)
  for axes in figure.axes[len(panels) :]:
    axes.set_axis_off()
  return figure


def curves_over_seeds(
  groups: Mapping[str, Sequence[Sequence[Mapping[str, Any]]]], leave_out: Sequence[str] = ("learning_rate", "skipped")
) -> "Figure":
  """One panel for each quantity over the steps: the mean over seeds of each group, in a band of a standard deviation.

  Args:
    groups: by label, the rows of `metrics.jsonl` of every seed; steps that not all seeds of a group have are left out.
    leave_out: quantities that are not drawn.
  """
  from matplotlib.figure import Figure

  curves: dict[str, dict[str, np.ndarray]] = {}  # panel -> label -> [step, mean, deviation]
  for label, seeds in groups.items():
    for name, points in _by_quantity(seeds).items():
      steps = sorted(step for step, values in points.items() if len(values) == len(seeds))
      if len(steps) > 1 and name.partition(" ")[2] not in leave_out:
        values = np.array([points[step] for step in steps])
        curves.setdefault(name, {})[label] = np.stack([steps, values.mean(1), values.std(1)], 1)
  columns = min(3, max(len(curves), 1))
  grid = (max(1, -(-len(curves) // columns)), columns)
  figure = Figure(figsize=(4 * columns, 3 * grid[0] + 0.3 * (len(groups) > 1)), layout="constrained")
  for axes, (name, lines) in zip(np.ravel(figure.subplots(*grid)), curves.items()):
    for place, label in enumerate(groups):
      if label in lines:
        steps, mean, deviation = lines[label].T
        axes.plot(steps, mean, color=f"C{place}", linewidth=1.3, label=label)
        axes.fill_between(steps, mean - deviation, mean + deviation, color=f"C{place}", alpha=0.15, linewidth=0)
    axes.set_title(name.replace("_", " "), fontsize=10)
    axes.set_xlabel("step", fontsize=8)
    _plain(axes)
  for axes in figure.axes[len(curves) :]:
    axes.set_axis_off()
  if len(groups) > 1 and curves:
    handles, labels = max((axes.get_legend_handles_labels() for axes in figure.axes), key=lambda each: len(each[1]))
    figure.legend(handles, labels, loc="outside upper left", frameon=False, fontsize=8, ncols=min(len(labels), 4))
  return figure


def _by_quantity(seeds: Sequence[Sequence[Mapping[str, Any]]]) -> dict[str, dict[int, list[float]]]:
  """`"eval loss"` -> step -> finite values, at most one a seed."""
  points: dict[str, dict[int, list[float]]] = {}
  for rows in seeds:
    for row in rows:
      for name, value in row.items():
        number = name not in ("step", "kind") and isinstance(value, int | float) and np.isfinite(value)
        if number and row["kind"] != "timing":
          points.setdefault(f"{row['kind']} {name}", {}).setdefault(row["step"], []).append(float(value))
  return points


def _curve(axes: "Axes", kind: str, points: Float[np.ndarray, "point 2"]) -> None:
  steps, values = points.T
  train = kind.startswith("train")
  color = _MUTED if train else {"eval": _BLUE, "test": _BLUE, "": _BLUE}.get(kind, _RED)
  style = "-" if train or len(steps) > 20 else "o-"
  axes.plot(steps, values, style, color=color, markersize=3, linewidth=1.3, label=kind)
  positive = values[np.isfinite(values) & (values > 0)]
  if len(positive) == len(values) and positive.max() > 50 * positive.min():
    axes.set_yscale("log")


def _mosaic(images: np.ndarray, rows: int, columns: int) -> np.ndarray:
  """Images [count, height, width(, channel)] in one, row by row, on white with thin gaps."""
  if images.dtype != np.uint8:
    images = np.clip(images, 0, 1)
  scale = max(1, 120 // max(images.shape[1:3]))  # a gap is whole pixels, and is to be thin beside a small image
  images = images.repeat(scale, 1).repeat(scale, 2)
  height, width = images.shape[1:3]
  gap = max(1, max(height, width) // 20)
  size = (rows * (height + gap) - gap, columns * (width + gap) - gap)
  mosaic = np.full(size + images.shape[3:], 255 if images.dtype == np.uint8 else 1, images.dtype)
  for index, image in enumerate(images):
    top, left = (height + gap) * (index // columns), (width + gap) * (index % columns)
    mosaic[top : top + height, left : left + width] = image
  return mosaic


def _image(axes: "Axes", image: np.ndarray) -> None:
  image = image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else image
  if image.dtype != np.uint8:
    image = np.clip(image, 0, 1)
  axes.imshow(image, cmap="gray", vmin=0, vmax=255 if image.dtype == np.uint8 else 1, interpolation="nearest")


def _diverging(values: np.ndarray) -> np.ndarray:
  """[0, 1] around 0.5 -> blue, white, red in RGB: the sign of a weight is seen."""
  from matplotlib import colormaps

  return colormaps["RdBu_r"](values)[..., :3]


def _plain(*many: "Axes") -> None:
  for axes in many:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e8eb", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)
