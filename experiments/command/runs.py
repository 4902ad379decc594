"""A run's folder, by itself: what it is a run of, and its config."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from experiments.command import cli
from research import renamed
from research.errors import UserError

# What may differ from a run's config where nothing is trained: how and where it runs, what is reported of it.
FREE = ("run", "published", "bars", "report", "measure", "sampler")
PLACES = ("data.path", "data.data_dir", "environment.path", "init_from", "init_paths")


def holds_one(workdir: str) -> bool:
  """Whether a folder is that of a run."""
  return bool(workdir) and (pathlib.Path(workdir) / "config.json").is_file()


def origin(workdir: str) -> dict[str, Any]:
  """`experiment`, `config` and `overrides` of the launch that began a run; what its folder does not say is missing."""
  folder = pathlib.Path(workdir)
  launches = (_read(folder / "run.json") or {}).get("launches", [])
  noted = next((launch for launch in launches if "experiment" in launch), {})
  noted = noted or _read(folder / "result.json") or {}
  return {name: noted[name] for name in ("experiment", "config", "overrides") if name in noted}


def load(workdir: str, name: str, default: str, overrides: Mapping[str, str]) -> tuple[str, ml_collections.ConfigDict]:
  """The config file that a run was begun with, and the run's config, with overrides laid over it, locked.

  Args:
    workdir: the run's folder.
    name: of the experiment that is asked for.
    default: its config.
    overrides: as the command line has them; whether the run allows them, `RunDirectory.claim` tells.

  Raises:
    UserError: it is a run of another experiment, or its `config.json` is damaged; as `cli.override`.
  """
  begun = origin(workdir)
  if begun.get("experiment", name) != name:
    other = begun["experiment"]
    remedy = f"it holds a run of experiments.{other}: python -m experiments.{other} --workdir={workdir}"
    raise UserError("--workdir", workdir, remedy)
  stored = _read(pathlib.Path(workdir) / "config.json")
  if not isinstance(stored, dict):
    raise UserError("file", f"{workdir}/config.json", "it is damaged: bring it back, or give the run's --config.")
  spec = begun.get("config", default)
  config = restored(stored, spec)
  config.lock()
  cli.override_all(config, overrides)
  return spec, config


def restored(stored: Mapping[str, Any], spec: str) -> ml_collections.ConfigDict:
  """The config that `config.json` holds; fields that the config file has since been given have their defaults."""
  plain = ml_collections.ConfigDict(with_tuples(stored))
  try:
    config = cli.load_config(spec)
    config.unlock()
    for section in ("published", "bars"):
      config[section] = ml_collections.ConfigDict(stored.get(section, {}))
    values = renamed.brought_up(cli.flattened(with_tuples(stored)), cli.flattened(config))
    for field, value in sorted(values.items(), key=lambda item: not item[0].endswith(".name")):
      _set(config, field.split("."), value)
  except (UserError, ValueError, TypeError, KeyError, AttributeError):  # the file is gone, or has another form now
    return plain
  return config


def _set(config: ml_collections.ConfigDict, path: list[str], value: Any) -> None:
  for name in path[:-1]:
    if name not in config:
      config[name] = ml_collections.ConfigDict()
    config = config[name]
  config[path[-1]] = value


def with_tuples(tree: Any) -> Any:
  """What JSON has kept as lists are tuples in a config."""
  if isinstance(tree, Mapping):
    return {name: with_tuples(value) for name, value in tree.items()}
  return tuple(map(with_tuples, tree)) if isinstance(tree, list) else tree


def _read(file: pathlib.Path) -> Any:
  try:
    return json.loads(file.read_text())
  except (OSError, ValueError):
    return None
