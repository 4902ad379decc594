"""Stacked MNIST: three digits as the channels of one image, 1,000 classes (Metz et al. 2017, section 3.3.1).

Nothing is stacked in memory: a step is fed three rows of the grey set for each example.
"""

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError

CHANNELS = 3


def stacked(examples: Examples, batch_size: int, *, seed: int, train: bool, assemble: pipeline.Assemble) -> Dataset:
  """A data set of stacks; class `100 a + 10 b + c` of three of ten classes, in general by powers of their number.

  Args:
    examples: grey images [example, height, width, 1], uint8.
    batch_size: rows of a batch.
    seed: of the order; each channel has one of its own, so every image is once an epoch in each.
    train: endless; else one pass, as many stacks as there are images.
    assemble: as `Dataset.assemble`, of batches whose `inputs` are the stacks (`pipeline.normalised`).

  Raises:
    UserError: images that are not grey.
  """
  if examples.inputs.ndim != 4 or examples.inputs.shape[-1] != 1:
    raise UserError("config.data.stacked", True, f"grey images are stacked, not {examples.inputs.shape[1:]}.")
  count, classes = len(examples), examples.num_classes
  orders = [pipeline.Order(count, CHANNELS * seed + channel) for channel in range(CHANNELS)]

  def feed(step: int) -> dict[str, np.ndarray]:
    start = step * batch_size
    if train:
      return {"rows": np.stack([order(start, batch_size) for order in orders], 1)}
    if not 0 <= start < count:
      raise IndexError(f"step {step} of an evaluation set of {count} examples in batches of {batch_size}")
    place = pipeline.in_order(count, start, batch_size)
    whole = [order(0, count) for order in orders]
    return {"rows": np.stack([one[place["index"]] for one in whole], 1), "mask": place["mask"]}

  def stack(resident: Mapping[str, Array], fed: Mapping[str, Array]) -> dict[str, Array]:
    fed = dict(fed)
    rows = fed.pop("rows")
    images = jnp.moveaxis(resident["inputs"][rows][..., 0], 1, -1)
    label = resident["label"][rows] @ jnp.asarray([classes**2, classes, 1], jnp.int32)
    return dict(assemble({}, {"inputs": images, "label": label, **fed}))

  return Dataset(f"{examples.name}, stacked", dict(examples.arrays), feed, stack, batch_size, count)
