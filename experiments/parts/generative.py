"""What the experiments that generate share: the data, and batches of it outside the loop."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

from experiments.parts import splits
from research.data import files, pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError


def load(data: ml_collections.ConfigDict, **reading: bool) -> splits.Splits[Examples]:
  """`splits.in_memory`, of images as they are: what generates brings pixels into the range that it works in.

  Raises:
    UserError: as there; or `normalise` is set.
  """
  if data.normalise != "none":
    raise UserError("config.data.normalise", data.normalise, "pixels are modelled as they are: leave it at none.")
  return splits.in_memory(data, **reading)


def load_pixels(data: ml_collections.ConfigDict, conditional: bool = False) -> splits.Splits[Examples]:
  """`load` of images of bytes; labels they need where a model is conditional on them.

  Raises:
    UserError: as there; or the examples are no images, or floats, whose range would be taken for that of bytes; or they
      have no labels, and the model is conditional.
  """
  parts = load(data, labels=False)
  if conditional and not parts.train.labelled:
    raise UserError("config.model.conditional", True, f"{data.path} has no classes to depend on: set it to False.")
  inputs = parts.train.inputs
  if inputs.ndim != 4 or inputs.dtype != np.uint8:
    value = f"{data.name} ({inputs.dtype} {list(inputs.shape[1:])} each)"
    raise UserError("config.data.name", value, "name a set of images of bytes, uint8 [height, width, channel] each.")
  return parts


def inputs_at(path: str, like: Examples, batch_size: int, assemble: pipeline.Assemble) -> tuple[Dataset, np.ndarray]:
  """The user's own inputs in order, and a name for each.

  Args:
    path: an archive, an array, an image, a folder or a table (`files.unlabelled`).
    like: what the model was trained on.
    batch_size, assemble: as `pipeline.sequential`.
  """
  inputs, names = files.unlabelled(path, like.inputs.shape[1:], dtype=like.inputs.dtype, columns=like.columns)
  arrays = {"inputs": inputs, "label": np.zeros(len(inputs), np.int32)}
  return pipeline.sequential(arrays, batch_size, name=path, assemble=assemble), np.asarray(names)


def identified(dataset: Dataset) -> Dataset:
  """An evaluation set whose batches have the field `index`: what is random in its evaluation is keyed by example."""
  assemble = lambda resident, fed: {**dataset.assemble(resident, fed), "index": fed["index"]}
  return dataclasses.replace(dataset, assemble=assemble)


def batched(function: Callable, size: int, *arrays: Any) -> Any:
  """`function(*rows)` of all rows of some arrays, `size` at a time, and so by one compiled program.

  Args:
    function: a tree of arrays with a leading axis of the rows; the last batch repeats its last row.
    size: of a batch.
    arrays: of equal length, one at least; keys too.

  Returns:
    That tree, as NumPy arrays over all rows.
  """
  count, parts = len(arrays[0]), []
  for start in range(0, count, size):
    rows = np.minimum(np.arange(start, start + size), count - 1)
    part = function(*(array[rows] for array in arrays))
    parts.append(jax.tree.map(lambda x, start=start: np.asarray(x)[: count - start], part))
  return jax.tree.map(lambda *joined: np.concatenate(joined), *parts)


def over(dataset: Dataset, function: Callable[[Any, Mapping[str, Any]], Any], state: Any) -> Any:
  """`function(state, batch)` of every example of an evaluation set, on one device.

  Args:
    dataset: of one pass (`pipeline.sequential`).
    function: pure; a tree of arrays with a leading axis of the batch.
    state: handed on.

  Returns:
    That tree, as NumPy arrays over all examples, padding left out.
  """

  @jax.jit
  def one(state, resident, fed):
    batch = dataset.assemble(resident, fed)
    return function(state, batch), batch["mask"]

  resident = jax.device_put(dict(dataset.resident))
  batches = [jax.device_get(one(state, resident, dataset.feed(i))) for i in range(dataset.num_batches)]
  kept = np.concatenate([mask for _, mask in batches]) > 0
  return jax.tree.map(lambda *parts: np.concatenate(parts)[kept], *(tree for tree, _ in batches))
