"""The folder that a run leaves behind, from which everything a plot or a table shows can be recomputed.

`config.json` (resolved), `run.json` (versions, commit, devices, seed), `metrics.jsonl`, TensorBoard events,
`checkpoints/`, `figures/`, `result.json` (final numbers beside the published ones).
"""

import fcntl
import importlib.metadata
import json
import logging
import math
import os
import pathlib
import platform
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from typing import Any, TextIO

from research import renamed
from research.errors import UserError

COMMIT = "GENERA_COMMIT"  # variable by which images and copies of the code, which have no git, know their commit
FLUSH_SECONDS = 30  # what TensorBoard shows of a live run is at most this old


class RunDirectory:
  """A workdir, held by this process alone while open.

  Args:
    path: the folder; it is made if it is not there.
    writes: False where another process of the same job holds it: this one reads, and writes nothing.

  Raises:
    UserError: it cannot be written, or another live run holds it.
  """

  def __init__(self, path: str | os.PathLike, writes: bool = True):
    self.path, self.writes = pathlib.Path(path).absolute(), writes
    self._lock: TextIO | None = None
    if writes:
      self._hold(path)

  def _hold(self, path):
    try:
      self.path.mkdir(parents=True, exist_ok=True)
      self._lock = open(self.path / "lock", "a+")  # noqa: SIM115  held until the process ends
    except OSError as error:
      remedy = f"it cannot be written ({error.strerror}): name a folder that can."
      raise UserError("--workdir", str(path), remedy) from error
    try:
      # The kernel drops the lock with the process, however it dies, so a killed run never blocks its relaunch.
      fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
      self._lock.seek(0)
      holder = self._lock.read().strip() or "unknown"
      remedy = f"another live run (process {holder}) writes to it: wait for that, stop it, or use another workdir."
      raise UserError("--workdir", str(path), remedy) from error
    except OSError as error:  # some network file systems have no locks
      logging.warning("%s cannot be locked (%s): see to it that no second run writes there", path, error.strerror)
    self._lock.truncate(0)
    self._lock.write(str(os.getpid()))
    self._lock.flush()

  def close(self) -> None:
    if self._lock is not None:
      self._lock.close()

  def write_json(self, name: str, content: Mapping[str, Any]) -> pathlib.Path:
    """Writes whole or not at all."""
    target = self.path / name
    if not self.writes:
      return target
    partial = target.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=1, default=str) + "\n")
    partial.replace(target)
    return target

  def read_json(self, name: str) -> dict[str, Any] | None:
    """What `write_json` wrote; None where it did not.

    Raises:
      UserError: the file is there and is not JSON.
    """
    target = self.path / name
    try:
      return json.loads(target.read_text()) if target.exists() else None
    except ValueError as error:
      remedy = f"it is damaged ({error}): delete it, the checkpoints beside it are not touched, and run again."
      raise UserError("file", str(target), remedy) from error

  def claim(
    self,
    config: Mapping[str, Any],
    name: str = "config.json",
    free: Collection[str] = ("run", "published", "bars"),
    write: bool = True,
  ) -> list[str]:
    """Writes the config to the file `name`, or holds the one there against it: a workdir belongs to one config.

    The section `run` (devices, intervals, logging) and what results are shown beside (`published`, `bars`) may change
    between launches; nothing that changes the numbers may.

    Args:
      config: resolved.
      name: of the file.
      free: sections, and fields by their paths, that may differ.
      write: False to look only.

    Returns:
      The free fields, but for those of `run`, that differ, each with what it was and is.

    Raises:
      UserError: the workdir holds a run of another config.
    """
    if not self.writes:
      return []  # the process that does compares
    old, notes = self.read_json(name), []
    config = json.loads(json.dumps(config, default=str))
    if old is not None:
      after = _flatten(config)
      brought_up = json.loads(json.dumps(renamed.brought_up(_flatten(old), after)))  # tuples are lists, as in `after`
      before = {**renamed.added(after), **brought_up}
      differs = [k for k in sorted({*before, *after}) if before.get(k) != after.get(k)]
      told = lambda k: f"{k} was {before.get(k)!r}, now {after.get(k)!r}"
      allowed = [k for k in differs if k in free or k.partition(".")[0] in free]
      changed = [k for k in differs if k not in allowed]
      if changed:
        differences = "; ".join(map(told, changed[:5]))
        remedy = (
          f"it holds a run of another config ({differences}): use another workdir, or the config it was begun with."
        )
        raise UserError("--workdir", str(self.path), remedy)
      notes = [told(k) for k in allowed if not k.startswith("run.")]
    if write:
      self.write_json(name, config)
    return notes


def _flatten(tree, prefix=""):
  if not isinstance(tree, Mapping):
    return {prefix[:-1]: tree}
  return {key: value for name, child in tree.items() for key, value in _flatten(child, f"{prefix}{name}.").items()}


class MetricsWriter:
  """Rows to `metrics.jsonl` and scalars to TensorBoard events, without TensorFlow.

  A relaunched run first drops the rows that describe steps after the checkpoint it resumes from, so each step stands
  there once, whatever happened between.  In a run directory that this process does not write to, it writes nothing.
  """

  def __init__(self, run: RunDirectory, resume_step: int):
    self._events: _Events | None = None
    self._file: TextIO | None = None
    if not run.writes:
      return
    self._path = run.path / "metrics.jsonl"
    kept = [row for row in read_rows(self._path) if row["step"] < resume_step]
    partial = self._path.with_suffix(".partial")
    partial.write_text("".join(json.dumps(row) + "\n" for row in kept))
    partial.replace(self._path)
    self._file = open(self._path, "a")  # noqa: SIM115  closed by `close`
    self._events_folder, self._resume_step = run.path / "events", resume_step

  def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
    """One row: `{"step": ..., "kind": "train", "loss": ...}`.  Values that are not scalars are left out."""
    if self._file is None:
      return
    values = {name: value for name, value in values.items() if isinstance(value, float | int)}
    self._file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
    self._file.flush()
    if self._events is None:
      self._events = _Events(self._events_folder, self._resume_step)
    self._events.write(step, {f"{kind}/{name}": value for name, value in values.items()})

  def flush(self) -> None:
    """To the system: what is written now survives the process.  (Rows do so by themselves, TensorBoard's do not.)"""
    if self._file is not None:
      self._file.flush()
    if self._events is not None:
      self._events.flush()

  def close(self) -> None:
    if self._file is not None:
      self._file.close()
    if self._events is not None:
      self._events.close()


class _Events:
  """TensorBoard's event file, written at once and in this thread.

  tensorboardX's own SummaryWriter hands every scalar to another thread through a pipe: it costs more, loses what is
  under way when the process is killed, and on a full disk stops the caller for good.
  """

  def __init__(self, folder: pathlib.Path, resume_step: int):
    from tensorboardX.event_file_writer import EventsWriter  # half a second, which nothing before the first row needs
    from tensorboardX.proto import event_pb2, summary_pb2

    self._flushed = time.monotonic()
    event, summary = vars(event_pb2), vars(summary_pb2)  # made when they are imported: no checker sees inside
    self._event, self._summary = event["Event"], summary["Summary"]
    folder.mkdir(exist_ok=True)
    relaunched = any(folder.iterdir())
    # Two launches within a second must not share a file.
    self._writer = EventsWriter(str(folder / "events"), f".{time.time_ns()}")
    if relaunched:  # TensorBoard hides what was written for this step and later
      start = event["SessionLog"](status=event["SessionLog"].START)
      self._write(step=resume_step, file_version="brain.Event:2")
      self._write(step=resume_step, session_log=start)

  def write(self, step: int, values: Mapping[str, float]) -> None:
    """Scalars of one step."""
    scalars = [self._summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]
    self._write(step=step, summary=self._summary(value=scalars))
    if time.monotonic() - self._flushed > FLUSH_SECONDS:
      self.flush()

  def _write(self, **content):
    self._writer.write_event(self._event(wall_time=time.time(), **content))

  def flush(self) -> None:
    self._writer.flush()
    self._flushed = time.monotonic()

  def close(self) -> None:
    self._writer.close()


def read_rows(path: pathlib.Path) -> list[dict[str, Any]]:
  """The rows of a `metrics.jsonl`; a last line cut short by a crash is left out."""
  if not path.exists():
    return []
  rows = []
  for line in path.read_text().splitlines():
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError:
      continue
  return rows


def environment() -> dict[str, Any]:
  """What `run.json` says of where a run ran."""
  import jax

  packages = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
  return {
    "command": sys.orig_argv,
    "commit": commit(),
    "versions": {"python": platform.python_version(), **{p: importlib.metadata.version(p) for p in packages}},
    "device": device_name(),
    "num_devices": jax.device_count(),
    "num_processes": jax.process_count(),
    "host": {"cores": os.cpu_count(), "platform": platform.platform()},
  }


def device_name() -> str:
  """For instance `2-core CPU` or `NVIDIA H100 80GB HBM3 x 8`."""
  import jax

  devices = jax.devices()
  if devices[0].platform == "cpu":
    return f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}-core CPU"
  return devices[0].device_kind + (f" x {len(devices)}" if len(devices) > 1 else "")


def commit() -> str:
  """The commit of the code, `-dirty` where the tree has changes; outside a git checkout `GENERA_COMMIT`, or nothing."""
  here = pathlib.Path(__file__).parent
  git = lambda *args: subprocess.run(
    ["git", "-C", here, *args], capture_output=True, text=True, check=False
  ).stdout.strip()
  try:
    dirty = git("status", "--porcelain", "--untracked-files=no")
    revision = git("rev-parse", "--short=10", "HEAD") + ("-dirty" if dirty else "")
  except OSError:
    revision = ""
  return revision or os.environ.get(COMMIT, "")


def to_python(value):
  """A metric for JSON: a float, or nested lists; not-a-number becomes None."""
  if getattr(value, "ndim", 0):
    return value.tolist()
  value = float(value)
  return value if math.isfinite(value) else None
