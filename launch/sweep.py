"""Seeds and variants of one config on this machine, and one table and one figure of what they came to.

  python -m launch.sweep --config=configs/mlp/digits.py --seeds=0-4 [--config.FIELD=VALUE]
  python -m launch.sweep --config=configs/mlp/digits.py --seeds=0-2 --sweep=rates.txt --jobs=2
  ... --dry-run        prints the commands and runs nothing

A sweep file holds the overrides of one run on each line, as `launch.command` says.  Seeds of the same line are trained
side by side by vmap where the family allows it (the seed decides nothing but keys and the order of the examples),
otherwise every run is a process.  The same command goes on where it was stopped: what has finished is left alone.
"""

import os
import pathlib
import shlex
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from experiments.command import seeds as seeds_lib
from launch import command, table
from launch.command import Run
from research.errors import UserError
from research.evaluation import figures
from research.training.job import EXIT_PREEMPTED
from research.training.rundir import read_rows

MODES = ("auto", "never")


def main(argv: Sequence[str] | None = None) -> int:
  """The command line; the exit code: 0, 2 for bad input, 75 if stopped, 1 if a run has failed."""
  parser = command.parser("python -m launch.sweep", (__doc__ or "").partition("\n")[0])
  parser.add_argument("--jobs", type=int, default=1, help="processes at once")
  parser.add_argument("--vmap", default="auto", help="seeds side by side: auto, never")
  parser.add_argument("--metrics", default="", help="columns of the table, separated by commas; default: all scalars")
  parser.add_argument("--python", default=sys.executable, help="the interpreter")
  try:
    flags, overrides = command.parse(parser, argv)
    if flags.jobs < 1:
      raise UserError("--jobs", flags.jobs, "give 1 or more.")
    if flags.vmap not in MODES:
      raise UserError("--vmap", flags.vmap, f"choose one of {', '.join(MODES)}.")
    runs = command.runs_of(flags, overrides)
    groups = grouped(runs, flags.vmap == "auto")
    if flags.dry_run:
      print("\n".join(shlex.join(argv_of(group, flags.python)) for group in groups))
      return 0
    with _Runner(flags.python, flags.jobs) as runner:
      code = runner.run([[run for run in group if not _finished(run)] for group in groups])
    text = table.render([pathlib.Path(run.workdir) for run in runs], [m for m in flags.metrics.split(",") if m])
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return command.EXIT_USER_ERROR
  target = pathlib.Path(os.path.commonpath([os.path.abspath(run.workdir) for run in runs])) / "table.md"
  target.parent.mkdir(parents=True, exist_ok=True)
  target.write_text(text)
  print(f"{text}\nwrote {target}")
  if flags.seeds:
    print(f"wrote {figures.save(figures.curves_over_seeds(_rows(runs)), target.with_name('curves.png'))}")
  return code


def _rows(runs: Sequence[Run]) -> dict[str, list[Sequence[Mapping[str, Any]]]]:
  """Rows of every seed of the runs that have finished, by what else was set."""
  rows: dict[str, list[Sequence[Mapping[str, Any]]]] = {}
  for run in filter(_finished, runs):
    changes = (f"{field.rpartition('.')[2]}={value}" for field, value in run.overrides.items() if field != "seed")
    rows.setdefault(" ".join(changes), []).append(read_rows(pathlib.Path(run.workdir) / "metrics.jsonl"))
  return rows


def _finished(run: Run) -> bool:
  return (pathlib.Path(run.workdir) / "result.json").exists()


def grouped(runs: Sequence[Run], side_by_side: bool) -> list[list[Run]]:
  """Runs that are one process: those with the same overrides but for the seed, in folders named like their seeds."""
  groups: dict[tuple, list[Run]] = {}
  for run in runs:
    path = pathlib.PurePath(run.workdir)
    alone = not side_by_side or path.name != f"seed{run.overrides.get('seed')}"
    rest = tuple(sorted((field, text) for field, text in run.overrides.items() if field != "seed"))
    groups.setdefault((run.workdir if alone else str(path.parent), rest), []).append(run)
  return list(groups.values())


def argv_of(group: Sequence[Run], python: str) -> list[str]:
  """The command of one process: a run's own, or that of several seeds side by side."""
  first = group[0]
  if len(group) == 1:
    return first.argv(python)
  numbers = ",".join(run.overrides["seed"] for run in group)
  overrides = [f"--config.{field}={value}" for field, value in first.overrides.items() if field != "seed"]
  flags = [f"--seeds={numbers}", f"--experiment={first.module}", f"--config={first.config}"]
  return [python, "-m", "experiments.seeds", *flags, f"--workdir={pathlib.PurePath(first.workdir).parent}", *overrides]


class _Runner:
  """Runs groups as processes, some at a time; passes a signal on to them and begins no more."""

  def __init__(self, python: str, jobs: int):
    self._python, self._jobs = python, jobs
    self._alive: set[subprocess.Popen] = set()
    self._lock = threading.Lock()
    self._stopped = False

  def __enter__(self) -> "_Runner":
    self._before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
    return self

  def __exit__(self, *_):
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _stop(self, *_):
    self._stopped = True
    for child in list(self._alive):
      child.send_signal(signal.SIGTERM)

  def run(self, groups: Sequence[Sequence[Run]]) -> int:
    """Until all have ended: 0 if they have finished, 75 if they were stopped, 1 if one has failed."""
    with ThreadPoolExecutor(self._jobs) as pool:
      pending = [pool.submit(self._group, group) for group in groups if group]
      codes = [code for future in pending for code in future.result()]
    if self._stopped or EXIT_PREEMPTED in codes:
      return EXIT_PREEMPTED
    return 1 if any(codes) else 0

  def _group(self, group: Sequence[Run]) -> list[int]:
    """The exit codes of a group's processes; one for each run where they cannot be trained, or end, side by side."""
    code = self._process(argv_of(group, self._python))
    # A seed that meets non-finite numbers takes those beside it along: alone, the others finish.
    if len(group) > 1 and code in (seeds_lib.EXIT_NOT_ALLOWED, 3):
      return [self._process(run.argv(self._python)) for run in group if not _finished(run)]
    return [code]

  def _process(self, argv: Sequence[str]) -> int:
    with self._lock:
      if self._stopped:
        return EXIT_PREEMPTED
      # A session of its own: Ctrl-C reaches it once, from here.
      child = subprocess.Popen(list(argv), start_new_session=True)
      self._alive.add(child)
    if self._stopped:  # meanwhile
      child.send_signal(signal.SIGTERM)
    code = child.wait()
    self._alive.discard(child)
    if code:
      print(f"ended with {code}: {shlex.join(argv)}", file=sys.stderr)
    return code


if __name__ == "__main__":
  sys.exit(main())
