"""Fields of `config.data` that are set but that the chosen source does not read: an error, never silence."""

from collections.abc import Collection

import ml_collections

from research.data import embedded
from research.errors import UserError

# What says where examples come from, or in which form, as it is where nothing is asked for; all that a config's `data`
# has beside these is read by the family, whatever the source.
NEUTRAL = {
  "data_dir": "",
  "path": "",
  "target": "",
  "text": "",
  "impute": False,
  "validation": 0.0,
  "test_split": "test",
  "normalise": "none",
  "image_size": 0,
  "channels": 0,
  "streamed": False,
  "random_area": (),
  "centre": 1.0,
  "resolution": "quarter",
}


def refuse_unread(data: ml_collections.ConfigDict, read: Collection[str], source: str = "") -> None:
  """Refuses fields of `config.data` that are set away from `NEUTRAL` and not read.

  Args:
    data: the section.
    read: the fields that the source reads.
    source: what the error calls it; by default, `data.name`.

  Raises:
    UserError: the first such field, its value, and what to set it to.
  """
  for field, neutral in NEUTRAL.items():
    if field not in data or field in read:
      continue
    value = tuple(data[field]) if isinstance(neutral, tuple) else data[field]  # of config.json, a list
    if value != neutral:
      text = repr(neutral) if neutral in ("", ()) else neutral
      remedy = f"{source or data.name} does not use it: leave it out (its default is {text})."
      raise UserError(f"config.data.{field}", data[field], remedy)


def read_of_labelled(data: ml_collections.ConfigDict) -> set[str]:
  """The fields that labelled sets are read by: embedded ones, prepared ones, an archive's, a folder's.

  `random_area` and `centre` among them, though these are of streamed images alone: whether they are is known later.
  """
  always, images = {"validation", "test_split", "normalise", "random_area", "centre"}, {"image_size", "channels"}
  if data.path:
    return always | images | {"streamed", "path", "target", "impute"}  # `own.load` knows which is of what
  return always if data.name in embedded.NAMES else always | images | {"streamed", "data_dir"}


def check_task(config: ml_collections.ConfigDict, tasks: Collection[str]) -> None:
  """Raises UserError where there is no such task."""
  if config.task not in tasks:
    raise UserError("config.task", config.task, f"choose one of {', '.join(tasks)}.")
