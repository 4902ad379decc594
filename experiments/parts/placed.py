"""Scenes of digits as sets to learn from, to choose by and to measure on: what segmentation and detection share."""

from typing import Any

import ml_collections

from experiments.parts import splits
from research.data import scenes as scenes_lib
from research.data.dataset import Dataset


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


def scenes(config: ml_collections.ConfigDict) -> tuple[splits.Splits[Dataset], tuple[str, ...]]:
  """Scenes of `config.data` in the style of `config.scene`, none of whose digits is in two sets; and the digits' names.

  Raises:
    UserError: no such set, or no such scenes.
  """
  look, parts = style(config), splits.in_memory(config.data)
  make = lambda part, size, **options: scenes_lib.dataset(part, look, size, **options)
  return splits.procedural(parts, config, config.data.scenes, make), tuple(parts.train.class_names)
