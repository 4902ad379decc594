"""Films as GIFs."""

import io

import numpy as np
from jaxtyping import Float

MARGIN = 1  # pixels between films


def beside(*rows: Float[np.ndarray, "film frame height width 1"], enlarged: int = 3, milliseconds: int = 120) -> bytes:
  """A GIF that loops: films of a row beside one another, rows below one another, values 0 to 1.

  Args:
    rows: of as many films each, all of as many frames.
    enlarged: pixels of the GIF, along a side, that show one.
    milliseconds: of a frame.
  """
  from PIL import Image

  grid = np.stack(rows)[..., 0]  # [row, film, frame, height, width]
  grid = np.pad(grid, [(0, 0)] * 3 + [(MARGIN, MARGIN)] * 2, constant_values=0.5)
  count, number, frames, height, width = grid.shape
  sheets = grid.transpose(2, 0, 3, 1, 4).reshape(frames, count * height, number * width)
  sheets = np.kron(np.clip(sheets, 0, 1), np.ones((enlarged, enlarged)))
  pictures = [Image.fromarray(np.round(255 * sheet).astype(np.uint8)) for sheet in sheets]
  stream = io.BytesIO()
  pictures[0].save(
    stream, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=False
  )
  return stream.getvalue()
