"""One table of many runs: those with the same config and overrides are one row, averaged over their seeds.

  python -m launch.table RUNDIR... [--metrics=test_accuracy,test_loss] [--output=table.md]

A RUNDIR is a run's folder, or one that holds such folders.  Runs that have not finished are listed below the table,
with the step they came to.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.results import collect, tables
from research.errors import UserError
from research.training.rundir import read_rows


def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code, 2 for bad input."""
  parser = argparse.ArgumentParser(prog="python -m launch.table", description=(__doc__ or "").partition("\n")[0])
  parser.add_argument("rundirs", nargs="+", type=pathlib.Path, help="run folders, or folders of run folders")
  parser.add_argument("--metrics", default="", help="columns, separated by commas; default: all scalars")
  parser.add_argument("--output", type=pathlib.Path, help="file to write; default: the screen")
  flags = parser.parse_args(argv)
  try:
    text = render(run_folders(flags.rundirs), [name for name in flags.metrics.split(",") if name])
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  if flags.output:
    flags.output.write_text(text)
    print(f"wrote {flags.output}")
  else:
    print(text, end="")
  return 0


def run_folders(paths: Iterable[pathlib.Path]) -> list[pathlib.Path]:
  """The runs in or under the folders; a folder that holds none stands for a run that has not begun."""
  folders_of_runs = []
  for path in paths:
    folders_of_runs += sorted({file.parent for file in path.rglob("config.json")}) or [path]
  return folders_of_runs


def render(folders: Sequence[pathlib.Path], metrics: Sequence[str] = ()) -> str:
  """Markdown: config, number of runs, wall time and `mean ± standard deviation` of every metric; then what is missing.

  Raises:
    UserError: a `result.json` that is none, or a metric that no run has.
  """
  files = [folder / "result.json" for folder in folders]
  finished = collect.read([file for file in files if file.exists()])
  groups: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
  for result in finished:
    changed = tuple(f"{field}={value}" for field, value in collect.changes(result))
    groups.setdefault((collect.short_config(result), *changed), []).append(result)
  names = list(metrics) or list(dict.fromkeys(name for result in finished for name in _scalars(result)))
  missing = [name for name in metrics if finished and not any(name in _scalars(result) for result in finished)]
  if missing:
    known = dict.fromkeys(name for result in finished for name in _scalars(result))
    raise UserError("--metrics", missing[0], f"no run has it: there are {', '.join(known)}.")
  rows = [
    [" ".join(key), str(len(group)), *(_cell(group, name) for name in names), _wall(group)]
    for key, group in groups.items()
  ]
  parts = []
  if rows:
    parts.append(tables.markdown_table(["config", "runs", *(f"`{name}`" for name in names), "wall time"], rows))
  unfinished = [f"- {folder}: {_progress(folder)}" for folder, file in zip(folders, files) if not file.exists()]
  if unfinished:
    parts.append("Not finished:\n\n" + "\n".join(unfinished))
  return "\n\n".join(parts) + "\n"


def _scalars(result: Mapping[str, Any]) -> dict[str, float | None]:
  """A metric that is not a number was written as None and counts as not-a-number."""
  values = {name: metric["value"] for name, metric in result["metrics"].items()}
  return {name: value for name, value in values.items() if value is None or isinstance(value, int | float)}


def _cell(group: Sequence[Mapping[str, Any]], name: str) -> str:
  values = [_scalars(result)[name] for result in group if name in _scalars(result)]
  return tables.mean_and_spread([float("nan") if value is None else value for value in values]) if values else "-"


def _wall(group: Sequence[Mapping[str, Any]]) -> str:
  return tables.wall_time(sum(result["wall_seconds"] for result in group) / len(group))


def _progress(folder: pathlib.Path) -> str:
  rows, run = read_rows(folder / "metrics.jsonl"), folder / "run.json"
  if not run.exists():
    return "not begun"
  launches = len(json.loads(run.read_text())["launches"])
  return f"at step {rows[-1]['step'] if rows else 0}, {launches} launch{'es' if launches > 1 else ''}"


if __name__ == "__main__":
  sys.exit(main())
