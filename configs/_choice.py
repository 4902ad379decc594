"""A section of a config in which one of several named parts is chosen, and that one alone exists."""

from collections.abc import Mapping
from typing import Any

import ml_collections


class Choice(ml_collections.ConfigDict):
  """`{"name": "small", "small": {...}}`: the name of a part, and the fields of that part.

  Setting `name`, in a config file or on the command line, drops the part that was there and brings the one that is
  named, with its defaults; what is set in the part is set after it.

  Args:
    name: the part that is chosen at first.
    parts: the fields of every part, with their defaults.
    shared: fields that stay whichever part is chosen.

  Raises:
    ValueError: a name that no part has; it says which there are.
  """

  def __init__(self, name: str = "", parts: Mapping[str, Mapping[str, Any]] | None = None, **shared: Any):
    # ml_collections keeps attributes of its own in this way; it makes copies without arguments.
    object.__setattr__(self, "_parts", dict(parts or {}))
    super().__init__(shared)
    if name:
      self["name"] = name

  def __setitem__(self, key: str, value: Any) -> None:
    if key != "name" or not self._parts or value == self.get("name"):
      super().__setitem__(key, value)
      return
    if value not in self._parts:
      *others, last = self._parts
      raise ValueError(f"choose {', '.join(others)} or {last}" if others else f"there is {last} alone")
    with self.unlocked():
      for part in [name for name in self._parts if name in self]:
        del self[part]
      super().__setitem__("name", value)
      super().__setitem__(value, ml_collections.ConfigDict(self._parts[value]))

  def defaults(self, **parts: Mapping[str, Any]) -> None:
    """Other defaults for parts, chosen now or not: `defaults(small={"dropout": 0.5})`."""
    for part, fields in parts.items():
      self._parts[part] = {**self._parts[part], **fields}
      if part in self:
        self[part].update(fields)

  def copy_and_resolve_references(self, visit_map=None) -> "Choice":
    copy = super().copy_and_resolve_references(visit_map)
    object.__setattr__(copy, "_parts", dict(self._parts))
    return copy
