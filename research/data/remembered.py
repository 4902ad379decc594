"""What a run remembers of its data, so that its folder is enough where they are not.

An experiment is built of its data: their shapes and class names, and what was learned of the training part before any
step (a tokenizer, a vocabulary, means).  Builders pass what they read through `data`, and what they learn of it through
`value`; within a `Memory` both are kept, as `data.json` and `data.npz`.  A later build has the values from there, as
they were, and where its data cannot be read has stand-ins of their shape: zeros that take no memory.
"""

import contextlib
import contextvars
import dataclasses
import importlib
import io
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from research.errors import UserError

T = TypeVar("T")
JSON, ARRAYS = "data.json", "data.npz"
_WHOLE = ("label", "mean", "deviation")  # fields of data whose arrays are kept whole: no examples


class Memory:
  """What is remembered while an experiment is built in `with memory:`.

  Args:
    folder: of a run, whose memory is called up; None or a folder that has none begins without.
    stand_in: whether data that cannot be read are stood in for.

  Attributes:
    absent: why data could not be read, by name; what was built of these has stand-ins in their place.

  Raises:
    UserError: the folder's memory is damaged.
  """

  def __init__(self, folder: str | pathlib.Path | None = None, stand_in: bool = False):
    self._kept, self._arrays = _read(pathlib.Path(folder)) if folder else ({}, {})
    self._stand_in, self.absent = stand_in, {}
    self._new: dict[str, Any] = {}
    self._new_arrays: dict[str, np.ndarray] = {}
    self._calls: dict[str, int] = {}

  def __enter__(self) -> "Memory":
    self._calls.clear()
    self._token = _CURRENT.set(self)
    return self

  def __exit__(self, *_) -> None:
    _CURRENT.reset(self._token)

  def value(self, name: str, compute: Callable[[], T]) -> T:
    """See the function of that name."""
    name = self._numbered(name)
    known = _decoded(self._kept[name], self._arrays) if name in self._kept else compute()
    self._keep(name, known, whole=True)
    return known

  def data(self, name: str, load: Callable[[], T]) -> T:
    """See the function of that name."""
    name = self._numbered(name)
    try:
      parts = load()
    except UserError as error:
      if not self._stand_in or name not in self._kept:
        raise
      self.absent[name] = str(error)
      return _decoded(self._kept[name], self._arrays)
    self._keep(name, parts, whole=False)
    return parts

  def holds(self, name: str) -> bool:
    """See the function of that name."""
    return name in self._kept

  def _numbered(self, name: str) -> str:
    """Unique within a build: `examples`, `examples.1`."""
    count = self._calls[name] = self._calls.get(name, 0) + 1
    return name if count == 1 else f"{name}.{count - 1}"

  def _keep(self, name: str, value: Any, whole: bool) -> None:
    with contextlib.suppress(_UnknownError):  # what cannot be written is not remembered
      arrays: dict[str, np.ndarray] = {}
      self._new[name] = _encoded(value, name, arrays, whole)
      self._new_arrays |= arrays

  def changed(self) -> str:
    """The first of the data whose shapes are others than when the run was begun, a sentence; empty where none is."""
    for name, new in self._new.items():
      before, now = _shapes(self._kept.get(name, new)), _shapes(new)
      if before != now:
        return f"the {name} were of shapes {before}, now {now}"
    return ""

  def save(self, folder: pathlib.Path) -> None:
    """Writes what was remembered."""
    if not self._new:
      return
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **self._new_arrays)
    for name, contents in ((ARRAYS, buffer.getvalue()), (JSON, json.dumps(self._new).encode())):
      partial = folder / f"{name}.partial"
      partial.write_bytes(contents)
      partial.replace(folder / name)


_CURRENT: contextvars.ContextVar[Memory | None] = contextvars.ContextVar("memory", default=None)


def value(name: str, compute: Callable[[], T]) -> T:
  """`compute()`, or what it was when the run was begun: what is learned of data before the first step.

  Args:
    name: unique among the values of an experiment.
    compute: its result is made of numbers, strings, arrays, and the data classes and named tuples of this project.
  """
  memory = _CURRENT.get()
  return compute() if memory is None else memory.value(name, compute)


def data(name: str, load: Callable[[], T]) -> T:
  """`load()`, or, where that raises UserError and a run's memory has it, a stand-in: arrays of its shapes, of zeros.

  Labels (arrays in a field `label`), means and deviations, strings and numbers are kept whole, but not texts that are
  examples themselves (fields with the metadata `example`).
  """
  memory = _CURRENT.get()
  return load() if memory is None else memory.data(name, load)


def holds(name: str) -> bool:
  """Whether the run that is opened has learned from data of that name, wherever their files are now."""
  memory = _CURRENT.get()
  return memory is not None and memory.holds(name)


def of_run(folder: str, name: str, field: str) -> Any:
  """The value of that name that another run remembers.

  Raises:
    UserError: it remembers none; `field` says who asks.
  """
  kept, arrays = _read(pathlib.Path(folder).expanduser())
  if name not in kept:
    raise UserError(field, folder, f"it is no folder of a run that has learned a {name}.")
  return _decoded(kept[name], arrays)


def is_stand_in(array: Any) -> bool:
  """Whether an array stands for data that are not here."""
  return isinstance(array, np.ndarray) and array.size > 1 and not any(array.strides)


class AbsentImages:
  """Random access to images that are not here: black ones."""

  def __init__(self, count: int):
    self._count = count

  def __len__(self) -> int:
    return self._count

  def __getitem__(self, index: int) -> Mapping[str, Any]:
    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    return {"image": buffer.getvalue(), "label": 0, "where": f"absent image {index}"}


class _UnknownError(TypeError):
  """Of a type that is not written."""


def _encoded(value: Any, path: str, arrays: dict[str, np.ndarray], whole: bool) -> Any:
  """A tree as JSON, its arrays by path in `arrays` or, where they are not kept, as their shapes."""
  inner = lambda child, name: _encoded(child, f"{path}/{name}", arrays, whole)
  match value:
    case None | bool() | int() | float() | str():
      return value
    case np.ndarray() | np.generic():
      if whole or path.rpartition("/")[2] in _WHOLE:
        arrays[path] = np.asarray(value)
        return {"array": path}
      return {"shape": list(np.shape(value)), "dtype": str(value.dtype)}
    case np.dtype():
      return {"type": str(value)}
    case Mapping():
      return {"mapping": [[inner(key, f"{i}k"), inner(item, i)] for i, (key, item) in enumerate(value.items())]}
    case frozenset():
      return {"set": [inner(item, i) for i, item in enumerate(sorted(value))]}
    case list():
      return {"list": [inner(item, i) for i, item in enumerate(value)]}
  if isinstance(value, tuple) and type(value) is tuple:
    return {"tuple": [inner(item, i) for i, item in enumerate(value)]}
  if fields := _fields(type(value)):
    text = set() if whole else _texts(type(value))
    children = {name: getattr(value, name) for name in fields}
    encoded = {name: {"texts": len(v)} if name in text else inner(v, name) for name, v in children.items()}
    return {"class": _name(type(value)), "fields": encoded}
  if hasattr(value, "__len__") and hasattr(value, "__getitem__") and not whole:
    return {"images": len(value)}
  raise _UnknownError(type(value).__name__)


def _decoded(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
  if not isinstance(tree, dict):
    return tree
  inner = lambda child: _decoded(child, arrays)
  match tree:
    case {"array": path}:
      return arrays[path]
    case {"shape": shape, "dtype": dtype}:
      return np.broadcast_to(np.zeros((), dtype), shape)
    case {"type": name}:
      return np.dtype(name)
    case {"mapping": items}:
      return {inner(key): inner(item) for key, item in items}
    case {"set": items}:
      return frozenset(map(inner, items))
    case {"list": items}:
      return list(map(inner, items))
    case {"tuple": items}:
      return tuple(map(inner, items))
    case {"texts": count}:
      return ("",) * count
    case {"images": count}:
      return AbsentImages(count)
    case {"class": name, "fields": fields}:
      return _class(name)(**{field: inner(item) for field, item in fields.items()})
  raise ValueError(f"{sorted(tree)} is nothing that is written")


def _fields(kind: type) -> tuple[str, ...]:
  """What a data class or named tuple of this project is made of."""
  if not kind.__module__.startswith(("research.", "experiments.")):
    return ()
  if dataclasses.is_dataclass(kind):
    return tuple(field.name for field in dataclasses.fields(kind) if field.init)
  return getattr(kind, "_fields", ())


def _texts(kind: type) -> set[str]:
  """Fields that hold the texts of examples: they have the metadata `example`."""
  fields = dataclasses.fields(kind) if dataclasses.is_dataclass(kind) else ()
  return {field.name for field in fields if field.metadata.get("example")}


def _name(kind: type) -> str:
  return f"{kind.__module__}:{kind.__qualname__}"


def _class(name: str) -> type:
  """A data class of this project, and no other: a folder may come from anyone."""
  module, _, qualname = name.partition(":")
  if not module.startswith(("research.", "experiments.")):
    raise ValueError(f"{name} is no class of this project")
  kind = getattr(importlib.import_module(module), qualname, None)
  if not isinstance(kind, type) or not _fields(kind):
    raise ValueError(f"{name} is no data class")
  return kind


def _shapes(tree: Any) -> list[Any]:
  """Of all arrays, and lengths of all sources, that are not kept whole."""
  if isinstance(tree, list):
    return [shape for child in tree for shape in _shapes(child)]
  if not isinstance(tree, dict):
    return []
  own = [tree[kind] for kind in ("shape", "images") if kind in tree]
  return own or [shape for child in tree.values() for shape in _shapes(child)]


def _read(folder: pathlib.Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  if not (folder / JSON).is_file():
    return {}, {}
  try:
    with np.load(folder / ARRAYS, allow_pickle=False) as archive:
      return json.loads((folder / JSON).read_text()), {name: archive[name] for name in archive.files}
  except Exception as error:  # zipfile, zlib and NumPy raise many kinds
    remedy = f"it is damaged ({error}): bring it back, or delete {JSON} and {ARRAYS} and have the data at hand."
    raise UserError("file", str(folder / JSON), remedy) from error
