"""What an agent does, to be looked at: frames of an episode as a GIF, and values over a plane of states."""

import io
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, UInt8

if TYPE_CHECKING:
  from matplotlib.figure import Figure

SIDE = 240  # pixels of a frame
_PALETTE = np.array(
  [
    *((47, 109, 181), (209, 73, 91), (237, 174, 73), (0, 121, 140), (148, 103, 189), (90, 90, 90), (102, 166, 30)),
    *((230, 120, 170), (140, 86, 75), (23, 190, 207)),
  ],
  np.uint8,
)


def picture(name: str, observation: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
  """One observation as a picture: a cart and its pole, a game's grid with a colour for each channel, or bars."""
  if name == "cart_pole":
    return _cart_pole(observation)
  if observation.ndim == 3:
    return _grid(observation)
  if observation.ndim == 2:
    return _grid(observation[..., None])
  return _bars(observation)


def _blank():
  from PIL import Image, ImageDraw

  image = Image.new("RGB", (SIDE, SIDE), "white")
  return image, ImageDraw.Draw(image)


def _cart_pole(observation: Float[np.ndarray, "4"]) -> np.ndarray:
  image, draw = _blank()
  middle, ground, half = SIDE / 2 * (1 + observation[0] / 2.4), 0.75 * SIDE, SIDE / 16
  draw.line([(0, ground), (SIDE, ground)], fill=(138, 143, 152))
  draw.rectangle([middle - half, ground - half, middle + half, ground], fill=(34, 34, 34))
  tip = middle + SIDE / 2.5 * np.sin(observation[2]), ground - half - SIDE / 2.5 * np.cos(observation[2])
  draw.line([(middle, ground - half), tip], fill=(209, 73, 91), width=6)
  return np.asarray(image)


def _grid(observation: np.ndarray) -> np.ndarray:
  """The last channel that is on colours a cell."""
  cells = np.full((*observation.shape[:2], 3), 245, np.uint8)
  for channel in range(observation.shape[-1]):
    cells[observation[..., channel] > 0.5] = _PALETTE[channel % len(_PALETTE)]
  scale = max(SIDE // max(cells.shape[:2]), 1)
  return cells.repeat(scale, 0).repeat(scale, 1)


def _bars(observation: np.ndarray) -> np.ndarray:
  image, draw = _blank()
  width, middle = SIDE / len(observation), SIDE / 2
  for i, value in enumerate(np.tanh(observation)):
    bottom, top = sorted((middle, middle - value * 0.45 * SIDE))
    draw.rectangle([i * width + 2, bottom, (i + 1) * width - 2, top], fill=tuple(_PALETTE[i % len(_PALETTE)].tolist()))
  return np.asarray(image)


def gif(name: str, observations: np.ndarray, frames: int = 300, milliseconds: int = 40) -> bytes:
  """An episode's observations [time, ...] as a GIF that loops, its first `frames` steps."""
  from PIL import Image

  pictures = [Image.fromarray(picture(name, seen)) for seen in observations[:frames]]
  stream = io.BytesIO()
  pictures[0].save(
    stream, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=False
  )
  return stream.getvalue()


def value_plane(
  values: Callable[[np.ndarray], np.ndarray],
  visited: Float[np.ndarray, "state component"],
  plane: tuple[int, int],
  names: Sequence[str] = (),
) -> "Figure":
  """The value of the best action, and which it is, over two components of the observation, the others at their median.

  Args:
    values: `values(observations [n, component]) -> [n, action]`.
    visited: observations met, whose range is shown and which are drawn as dots.
    plane: the two components.
    names: of the components.
  """
  from matplotlib.figure import Figure

  low, high = np.quantile(visited[:, plane], [0.01, 0.99], axis=0)
  across, up = (np.linspace(a, b, 60) for a, b in zip(low, high + 1e-6))
  points = np.tile(np.median(visited, 0), (60 * 60, 1)).astype(np.float32)
  points[:, plane[0]], points[:, plane[1]] = (axis.ravel() for axis in np.meshgrid(across, up))
  table = np.asarray(values(points))
  figure = Figure(figsize=(9, 3.8), layout="constrained")
  titles = {"value of the best action": table.max(1), "best action": table.argmax(1)}
  for axes, (title, shade) in zip(figure.subplots(1, 2), titles.items()):
    image = axes.pcolormesh(across, up, shade.reshape(60, 60), cmap="viridis", shading="nearest")
    axes.plot(*visited[:: max(len(visited) // 400, 1), plane].T, ".", color="white", markersize=1, alpha=0.5)
    labels = [names[i] if names else f"component {i}" for i in plane]
    axes.set(title=title, xlabel=labels[0], ylabel=labels[1], xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    figure.colorbar(image, ax=axes).outline.set_visible(False)
  return figure
