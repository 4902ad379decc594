"""Larochelle & Murray's static binarisation of MNIST, the benchmark of likelihoods: pixels are 0 or 1, for good."""

import numpy as np

from research.data import raw
from research.data.examples import Examples, checked, choose, part
from research.errors import UserError

NAME, FILE, SIDE = "binarized_mnist", "binarized_mnist.npz", 28


def load(split: str = "train", path: str | None = None) -> Examples:
  """A split of the set (Larochelle & Murray 2011, section 6.1): 50,000 images to train, 10,000 valid, 10,000 test.

  The file is `binarized_mnist.npz`, with one array a split: bits [image, 784], or packed along the axis, [image, 98].

  Args:
    split: 'train', 'valid' or 'test', or part of one ('train[:1000]').
    path: the file or its folder; by default `$GENERA_DATA_DIR/binarized_mnist`.

  Returns:
    uint8 [image, 28, 28, 1], 0 or 255.  The set has no labels: all are 0, of a class 'digit'.

  Raises:
    UserError: no such file or split, or arrays of another shape.
  """
  file = raw.locate(NAME, FILE, path)
  bits = choose(raw.arrays(file), split)
  if bits.ndim == 2 and bits.shape[1] * 8 == SIDE * SIDE:
    bits = np.unpackbits(bits, axis=1)
  if bits.ndim != 2 or bits.shape[1] != SIDE * SIDE or bits.max(initial=0) > 1:
    remedy = f"give bits [image, {SIDE * SIDE}], or packed ones [image, {SIDE * SIDE // 8}]."
    raise UserError(f"{file}: shape of {split}", bits.shape, remedy)
  images = (255 * bits.astype(np.uint8)).reshape(-1, SIDE, SIDE, 1)[part(split, len(bits))]
  return checked(f"{NAME} {split}", images, np.zeros(len(images), np.int32), ("digit",))
