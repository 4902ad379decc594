"""Results as runs left them: found, read, and copied into `results/` under names that say what they are.

`results/` holds one `result.json` for each config, seed and kind of device, `benchmarks.jsonl` (rows of `python -m
experiments.benchmark` and of the peers; of several runs of one the last counts, of several peers the fastest) and
`preface.md`.  By hand are the preface and, in a result or a row of `benchmarks.jsonl`, a `note`: what the numbers alone
do not say, rendered below the table.  A newer run takes its predecessor's place without the note, which was about that
run.
"""

import json
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from research.errors import UserError

Result = Mapping[str, Any]
_REQUIRED = ("experiment", "config", "seed", "step", "metrics", "wall_seconds", "device", "finished")


def find(rundirs: Iterable[pathlib.Path]) -> list[pathlib.Path]:
  """Every `result.json` in or under the folders.

  Raises:
    UserError: a folder with none.
  """
  paths = []
  for rundir in rundirs:
    files = sorted(rundir.rglob("result.json"))
    if not files:
      raise UserError(
        "RUNDIR", str(rundir), "there is no result.json in or under it: name the workdir of a finished run"
      )
    paths += files
  return paths


def read(paths: Iterable[pathlib.Path]) -> list[dict[str, Any]]:
  """The results in files.

  Raises:
    UserError: a file that is no result.
  """
  results = []
  for path in paths:
    try:
      result = json.loads(path.read_text())
    except json.JSONDecodeError as error:
      raise UserError("result", str(path), f"is no JSON ({error}); delete it, or run its experiment again") from error
    missing = [field for field in _REQUIRED if field not in result]
    if missing:
      raise UserError("result", str(path), f"lacks {', '.join(missing)}: it was not written by an experiment here")
    results.append(result)
  return results


def collect(rundirs: Iterable[pathlib.Path], folder: pathlib.Path) -> list[pathlib.Path]:
  """Copies finished runs into the collection, under names that say what they are; newer ones replace older ones."""
  folder.mkdir(parents=True, exist_ok=True)
  written = []
  for path, result in ((path, read([path])[0]) for path in find(rundirs)):
    if not result["finished"]:
      print(f"left out {path}: not finished")
      continue
    written.append(folder / file_name(result))
    written[-1].write_text(json.dumps(result, indent=1, sort_keys=True) + "\n")
    print(f"{path} -> {written[-1]}")
  return written


def file_name(result: Result) -> str:
  """`cnn-mnist-seed0-cpu.json`: the same for the same experiment, config, overrides, seed and kind of device."""
  parts = [short_config(result), *(f"{k}={v}" for k, v in changes(result))]
  if not parts[0].startswith(result["experiment"]):
    parts.insert(0, result["experiment"])
  return (
    re.sub(r"[^\w=.]+", "-", "-".join([*parts, f"seed{result['seed']}", result["device"]])).strip("-").lower() + ".json"
  )


def short_config(result: Result) -> str:
  """`cnn/mnist`, or `cnn/mnist:smoke`."""
  path, colon, variant = result["config"].partition(":")
  return path.removeprefix("configs/").removesuffix(".py") + colon + variant


def changes(result: Result) -> list[tuple[str, str]]:
  """What the command line changed in the config; not the seed, nor where data lie, nor how the run was run."""
  mine = lambda field: field in ("seed", "data.data_dir") or field.startswith("run.")
  return sorted((field, value) for field, value in result.get("overrides", {}).items() if not mine(field))
