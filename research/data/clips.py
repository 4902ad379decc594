"""One's own films: GIFs, or folders whose images, in order of their names, are frames."""

import dataclasses
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageSequence

from research.data import images, masks, validation
from research.errors import UserError


@dataclasses.dataclass(frozen=True)
class Clips:
  """Stretches of films, in memory.

  Attributes:
    name: for messages.
    frames: bytes [clip, frame, size, size, 1].
  """

  name: str
  frames: UInt8[np.ndarray, "clip frame size size 1"]

  @property
  def arrays(self) -> dict[str, np.ndarray]:
    """The fields as `pipeline.shuffled` and `pipeline.sequential` take them."""
    return {"frames": self.frames}


def load(path: str, size: int, frames: int, share: float) -> tuple[Clips, Clips | None, Clips]:
  """Clips to learn from, to choose by and to measure on: a fifth of the films, drawn with seed 0, is for the last.

  Args:
    path: a folder of `.gif` files, or of folders of frames.
    size: side that frames are brought to, the largest centred square of each.
    frames: of a clip; clips of one film follow one another, and what is left over is not used.
    share: of the films that are left, held out to choose by; 0 for none.

  Raises:
    UserError: no such folder, fewer than two films, or a film that is too short or has no frames that can be read.
  """
  names = films(path, "config.data.path")
  if len(names) < 2:
    raise UserError("config.data.path", path, "there is one film: give two or more, one to learn from, one to test.")
  order = np.random.default_rng(0).permutation(len(names))
  test = max(1, len(names) // 5)
  held = validation.count(share, len(names) - test)

  def of(chosen: np.ndarray, name: str) -> Clips:
    parts = [cut(read(names[i], size), frames, str(names[i])) for i in sorted(chosen)]
    return Clips(f"{Path(path).name} ({name})", np.concatenate(parts))

  chosen = order[test : test + held]
  return of(order[test + held :], "train"), of(chosen, "validation") if held else None, of(order[:test], "test")


def films(path: str, field: str) -> list[Path]:
  """The GIFs of a folder and its folders of frames; or the one film that a path is.

  Raises:
    UserError: there is none.
  """
  root = Path(path).expanduser()
  if root.is_file() and root.suffix.lower() == ".gif":
    return [root]
  pictures = lambda folder: any(file.suffix.lower() in masks.SUFFIXES for file in folder.iterdir() if file.is_file())
  inside = sorted(root.iterdir()) if path and root.is_dir() else []
  names = [p for p in inside if p.suffix.lower() == ".gif" or (p.is_dir() and pictures(p))]
  if not names and inside and pictures(root):
    return [root]
  if not names:
    raise UserError(field, path, "this experiment reads a folder of .gif files, or of folders of frames.")
  return names


def read(film: Path, size: int) -> UInt8[np.ndarray, "frame size size 1"]:
  """The frames of a GIF, or of a folder in order of their names; UserError where they cannot be decoded."""
  if film.is_dir():
    files = masks.listed(film, "config.data.path")
    return np.stack([images.decode(file, 1, size, str(file)) for file in files])
  try:
    with Image.open(film) as opened:
      frames = [frame.convert("L") for frame in ImageSequence.Iterator(opened)]
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:  # Pillow raises all of these
    raise UserError("film", str(film), f"replace or remove this file, which cannot be decoded ({error}).") from error
  square = images.centre()
  scaled = [frame.resize((size, size), Image.Resampling.BOX, box=square(*frame.size)) for frame in frames]
  return np.stack([np.asarray(frame) for frame in scaled])[..., None]


def cut(film: np.ndarray, frames: int, name: str) -> UInt8[np.ndarray, "clip frame size size 1"]:
  """A film as clips; UserError where it is shorter than one."""
  if len(film) < frames:
    raise UserError("film", name, f"it has {len(film)} frames, a clip takes {frames}: leave it out, or ask for fewer.")
  count = len(film) // frames
  return film[: count * frames].reshape(count, frames, *film.shape[1:])
