"""Where fields of a config are now that an older revision had elsewhere: its commands and run folders stay valid."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

RENAMED = {"model.network": "model.name"}  # of GANs
# Fields that others took the place of, with these and what their values are of the old ones.
REPLACED: dict[str, tuple[str, Callable[[Any], Any]]] = {
  "model.pixelcnn.blocks": ("model.pixelcnn.dilations", lambda blocks: (1,) * blocks)
}
# Fields that configs have been given since, with the values by which they change nothing.
ADDED: dict[str, Any] = {"init_from": "", "init_paths": "", "data.test_films": "", "model.base_components": 3}


def now(field: str, fields: Collection[str]) -> str:
  """The path of a field among those that there are; itself where it is none of them.

  `model.features` is `model.dit.features` since every network has a section of its own.
  """
  if field in fields:
    return field
  field = RENAMED.get(field, field)
  section, _, leaf = field.rpartition(".")
  within = [
    name for name in fields if name.startswith(f"{section}.") and name.removeprefix(f"{section}.").count(".") == 1
  ]
  moved = [name for name in within if name.endswith(f".{leaf}")]
  return moved[0] if len(moved) == 1 else field


def brought_up(old: Mapping[str, Any], fields: Collection[str]) -> dict[str, Any]:
  """An older revision's fields by their paths of now; without those of networks that were not chosen."""
  renamed = {now(name, fields): value for name, value in old.items()}
  for name, (later, value_of) in REPLACED.items():
    if name in renamed and later in fields:
      renamed.setdefault(later, value_of(renamed.pop(name)))
  return {name: value for name, value in renamed.items() if name in fields or not _of_a_network(name)}


def added(fields: Collection[str]) -> dict[str, Any]:
  """Those of `ADDED` that a config has: what a run that was begun before them had."""
  return {field: value for field, value in ADDED.items() if field in fields}


def _of_a_network(field: str) -> bool:
  """Whether it stood beside `model.name`, where the fields of all networks were."""
  return field.startswith("model.") and field.count(".") == 1
