"""Where labelled examples come from: one way in for the experiment files, and one way on to a `Dataset`."""

import difflib
from collections.abc import Mapping
from typing import Any

import numpy as np

from research.data import embedded, images, own, pipeline, prepared
from research.data.dataset import Dataset
from research.data.examples import Examples, Stream
from research.errors import UserError

_MEMORY = 2**30  # bytes of pixels above which a set is streamed


def load(
  name: str = "",
  split: str = "train",
  *,
  data_dir: str | None = None,
  path: str | None = None,
  reading: own.Reading = own.LABELLED,
  image_size: int | None = None,
  channels: int | None = None,
  streamed: bool | None = None,
) -> Examples | Stream:
  """A split of a labelled set: embedded, prepared by TFDS, or the user's own.

  Args:
    name: 'iris' or 'digits' (embedded), or a TFDS set of labelled images, such as 'mnist'; unused with `path`.
    split: 'train', 'test', ... or part of one: 'train[:90%]', 'train[1000:2000]'.
    data_dir: the folder of prepared TFDS sets; by default `$TFDS_DATA_DIR`, else `~/tensorflow_datasets`.
    path: the user's own data (`own.load`).
    reading: what is taken of these.
    image_size: height and width to bring images to; None leaves them as they are.
    channels: 1 (grey) or 3 (colour); None leaves them as they are.
    streamed: read images when they are needed; by default, sets of more than 1 GiB of pixels.

  Raises:
    UserError: whatever is wrong with any of these, and with the data, before any compute.
  """
  if path:
    return own.load(path, split, reading, image_size=image_size, channels=channels, streamed=streamed)
  if name in embedded.NAMES:
    _check_as_it_is(image_size, channels, streamed)
    return embedded.load(name, split)
  try:
    description = prepared.find(name, data_dir)
  except UserError as error:
    if error.field == "data_dir":  # no such set there: is it one at all?
      _check_name(name)
    raise
  if streamed is None:
    shape = (
      image_size or description.shape[0],
      image_size or description.shape[1],
      channels or description.shape[2] or 3,
    )
    pixels = sum(description.splits.values()) * int(np.prod([size or 256 for size in shape]))
    streamed = pixels > _MEMORY
  return (prepared.stream if streamed else prepared.load)(description, split, image_size, channels)


def training(
  data: Examples | Stream,
  batch_size: int,
  *,
  seed: int,
  mean=None,
  std=None,
  scale: tuple[float, float] | None = None,
  identify: bool = False,
) -> Dataset:
  """Endless shuffled batches of `inputs` (float32, normalised), `label` (int32) and `mask` (ones).

  Args:
    data: from `load`.
    batch_size: rows of a batch, over all devices.
    seed: of the order, and of the random parts.
    mean, std: as `pipeline.normalised`.
    scale: of streamed images, take a random part with this range of areas ((0.08, 1) for ImageNet) in place of the
      centred square.
    identify: add `index` and `epoch`, as `pipeline.shuffled`.
  """
  fields: dict[str, Any] = {
    "seed": seed,
    "name": data.name,
    "assemble": pipeline.normalised(mean, std),
    "identify": identify,
  }
  if isinstance(data, Examples):
    return pipeline.shuffled(data.arrays, batch_size, **fields)

  def transform(record: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    return _decode(data, record, images.random_area(generator, scale) if scale else images.centre())

  return pipeline.streamed(data.source, batch_size, transform=transform, **fields)


def evaluation(data: Examples | Stream, batch_size: int, *, mean=None, std=None, centre: float = 1.0) -> Dataset:
  """One pass in order, the last batch padded and masked.  Arguments as `training`.

  Args:
    centre: of streamed images, the part of the shorter side that is taken (0.875 for ImageNet: 224 of 256).
  """
  assemble = pipeline.normalised(mean, std)
  if isinstance(data, Examples):
    return pipeline.sequential(data.arrays, batch_size, name=data.name, assemble=assemble)

  def transform(record: Mapping[str, Any], generator: np.random.Generator) -> dict[str, Any]:
    return _decode(data, record, images.centre(centre))

  return pipeline.streamed(data.source, batch_size, seed=None, name=data.name, transform=transform, assemble=assemble)


def _decode(data: Stream, record: Mapping[str, Any], box) -> dict[str, Any]:
  pixels = images.decode(record["image"], data.channels, data.image_size, record["where"], box)
  if not 0 <= record["label"] < data.num_classes:
    raise UserError(f"label of {record['where']}", int(record["label"]), f"it has {data.num_classes} classes, from 0.")
  return {"inputs": pixels, "label": np.int32(record["label"])}


def _check_as_it_is(image_size: int | None, channels: int | None, streamed: bool | None) -> None:
  for field, value in {"image_size": image_size, "channels": channels, "streamed": streamed}.items():
    if value:
      raise UserError(field, value, "embedded sets are used as they are: leave it out.")


def _check_name(name: str) -> None:
  known = (*embedded.NAMES, *prepared.KNOWN)
  if name not in known:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    remedy = f"{hint}Known are {', '.join(known)}, and any TFDS set of labelled images prepared in data_dir."
    raise UserError("name", name, remedy)
