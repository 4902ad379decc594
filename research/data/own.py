"""The one door for a user's own examples: what `config.data.path` is says how it is read."""

from pathlib import Path
from typing import Any, NamedTuple

from research.data import cells, columns, files
from research.data.examples import Examples, Stream
from research.errors import UserError


class Reading(NamedTuple):
  """What an experiment takes of a user's own data.

  Attributes:
    labels: whether it needs classes; without, sets that have none are of the one class 'unlabelled'.
    tables: whether rows of a table are inputs for it.
    images: whether a folder of images is.
    target: `config.data.target`: the column of a table that tells the class.
    impute: `config.data.impute`: whether a table's missing cells are filled in.
  """

  labels: bool = True
  tables: bool = False
  images: bool = True
  target: str = ""
  impute: bool = False

  @property
  def kinds(self) -> str:
    """What may be at the path, in words."""
    folder = "a folder of images by class" if self.labels else "a folder of images, by class or all in one"
    table = "a table with a line of names (.csv, .tsv, .parquet)"
    kinds = {
      folder: self.images,
      "an .npz archive of `inputs`" + (" and `label`" if self.labels else ""): True,
      "an .npy array of inputs": not self.labels,
      f"{table} and --config.data.target=COLUMN" if self.labels else table: self.tables,
    }
    return "; ".join(kind for kind, read in kinds.items() if read)


LABELLED = Reading()


def is_table(path: str) -> bool:
  """Whether a path is that of a table, by its suffix."""
  return Path(path).suffix.lower() in cells.SUFFIXES


def load(
  path: str,
  split: str,
  reading: Reading = LABELLED,
  *,
  image_size: int | None = None,
  channels: int | None = None,
  streamed: bool | None = None,
) -> Examples | Stream:
  """A split of a folder of images, an archive, an array or a table (`files`, `columns`).

  Raises:
    UserError: nothing there, a kind that the experiment does not read, with a list of those that it does; no labels
      where there must be some; an option that is of another kind; and what is wrong with the data.
  """
  location, suffix = Path(path).expanduser(), Path(path).suffix.lower()
  if not location.exists():
    raise UserError(
      "config.data.path", path, f"there is no such file or folder. This experiment reads {reading.kinds}."
    )
  if location.is_dir() and reading.images:
    kind = "folder"
  elif suffix == ".npz" or (suffix == ".npy" and not reading.labels) or (is_table(path) and reading.tables):
    kind = suffix
  else:
    raise UserError("config.data.path", path, f"this experiment reads {reading.kinds}.")
  if kind == "folder" and not files.has_images(location):
    raise UserError("config.data.path", path, f"it has no images. This experiment reads {reading.kinds}.")
  _refuse_unused(path, kind, reading, {"image_size": image_size, "channels": channels, "streamed": streamed})
  if kind == "folder":
    return files.folder(path, split, image_size=image_size, channels=channels, streamed=streamed, labels=reading.labels)
  if is_table(path):
    if reading.labels and not reading.target:
      remedy = f"name the column that tells the class: --config.data.target=COLUMN, of {', '.join(_names(path))}."
      raise UserError("config.data.target", "", remedy)
    return columns.load(path, split, reading.target, reading.impute)
  return files.arrays(path, split, image_size=image_size, channels=channels, labels=reading.labels)


def _refuse_unused(path: str, kind: str, reading: Reading, of_images: dict[str, Any]) -> None:
  """Options that are of another kind than `kind`: 'folder', or a suffix."""
  of_tables = {"target": reading.target, "impute": reading.impute}
  unused = of_images if is_table(path) else of_tables
  if kind in (".npz", ".npy"):
    unused = {**unused, "streamed": of_images["streamed"]}
  for field, value in unused.items():
    if value:
      raise UserError(f"config.data.{field}", value, f"{path} does not use it: leave it out.")


def _names(path: str) -> tuple[str, ...]:
  return cells.read(path).columns[:12]
