"""Small real sets that come with scikit-learn: no download, no folder."""

import importlib.metadata
from typing import Any

import numpy as np

from research.data import cache
from research.data.examples import Examples, checked, choose, held_out, part

NAMES = ("iris", "digits")


def load(name: str, split: str = "train") -> Examples:
  """Iris or digits, with a held-out test set.

  Neither set has a test set of its own, so a stratified fifth, drawn with seed 0, is held out: the same one always.

  * iris: Fisher's 150 flowers, float32 [150, 4] in centimetres, as measured; standardise with `pipeline.statistics` of
    the training split.  120 for training, 30 for testing.
  * digits: 1,797 handwritten digits, uint8 [1797, 8, 8, 1]; the counts 0 to 16 of the source are scaled to 0 to 255, so
    that they are images as any other.  1,438 for training, 359 for testing.

  Args:
    name: one of `NAMES`.
    split: 'train', 'test' or 'all', or part of one ('train[:90%]'); each part has the classes in their proportions.

  Raises:
    UserError: no such split.
  """
  version = importlib.metadata.version("scikit-learn")
  # Importing scikit-learn takes longer than training the first steps.
  arrays = cache.cached(name, {"name": name, "scikit-learn": version}, lambda: _arrays(name))
  index = choose(held_out(arrays["label"]), split)
  whole = checked(f"{name} {split}", arrays["inputs"], arrays["label"], tuple(arrays["class_names"]))
  return whole.select(index[part(split, len(index))])


def _arrays(name: str) -> dict[str, np.ndarray]:
  from sklearn import datasets

  bunch: Any
  if name == "iris":
    bunch = datasets.load_iris()
    inputs = bunch.data.astype(np.float32)
  else:
    bunch = datasets.load_digits()
    inputs = np.round(bunch.images * (255 / 16)).astype(np.uint8)[..., None]
  return {"inputs": inputs, "label": bunch.target.astype(np.int32), "class_names": np.array(bunch.target_names, str)}
