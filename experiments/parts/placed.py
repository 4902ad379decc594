"""Scenes of digits as sets to learn from, to choose by and to measure on: what experiments on scenes share."""

from typing import Any

import ml_collections

from experiments.parts import splits
from research.data import raw, remembered
from research.data import scenes as scenes_lib
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError


def is_own(data: ml_collections.ConfigDict, name: str, is_there: bool) -> bool:
  """Whether one's own images are learnt from as they are, rather than scenes of digits.

  Args:
    data: the config's.
    name: by which a run remembers such images, wherever their files are now.
    is_there: whether `data.path` leads to some.
  """
  return data.name == raw.OWN or is_there or remembered.holds(name)


def digits(data: ml_collections.ConfigDict, kinds: str) -> splits.Splits[Examples]:
  """What scenes are made of; `kinds` says which images of one's own the experiment reads instead.

  Raises:
    UserError: no such set.
  """
  try:
    return splits.in_memory(data)
  except UserError as error:
    if not data.path:
      raise
    remedy = f"{error.remedy} These would be digits to place in scenes; to learn from images as they are, give {kinds}."
    raise UserError(error.field, error.value, remedy) from error


def style(config: ml_collections.ConfigDict) -> scenes_lib.Style:
  """What `config.scene` says of scenes.

  Raises:
    UserError: nothing can be drawn so.
  """
  scene = config.scene
  options: dict[str, Any] = {**scene, "objects": tuple(scene.objects), "sides": tuple(scene.sides)}  # lists of JSON
  look = scenes_lib.Style(**options)
  look.check("config.scene")
  return look


def scenes(config: ml_collections.ConfigDict, kinds: str) -> tuple[splits.Splits[Dataset], tuple[str, ...]]:
  """Scenes of `config.data` in the style of `config.scene`, none of whose digits is in two sets; and the digits' names.

  `kinds` is as of `digits`.

  Raises:
    UserError: no such set, or no such scenes.
  """
  look, parts = style(config), digits(config.data, kinds)
  make = lambda part, size, **options: scenes_lib.dataset(part, look, size, **options)
  return splits.procedural(parts, config, config.data.scenes, make), tuple(parts.train.class_names)
