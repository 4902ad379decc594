"""A run, disturbed: killed, stopped, its newest checkpoint cut short, its devices changed; held against its twin."""

import contextlib
import dataclasses
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np
import orbax.checkpoint as ocp

from research.training.job import EXIT_PREEMPTED
from research.training.rundir import read_rows

ROOT = pathlib.Path(__file__).resolve().parents[2]
KINDS = ("kill a process", "kill the job", "stop a process", "stop the job", "cut the newest checkpoint short")
OTHER_DEVICES = "stop the job, go on with other devices"
TOLERANCE = 1e-2  # of the state's arrays, relative to their norms, where sums were taken in another order
DEADLINE = 1800  # seconds after which a launch counts as hung


@dataclasses.dataclass(frozen=True)
class Layout:
  """How many processes of how many devices each, and how they are used."""

  processes: int
  devices: int
  mode: str

  def __str__(self):
    return f"{self.processes} x {self.devices} {self.mode}"


LAYOUTS = (Layout(1, 1, "jit"), Layout(1, 4, "pmap"), Layout(2, 1, "pmap"), Layout(2, 2, "pmap"), Layout(2, 2, "fsdp"))


@dataclasses.dataclass(frozen=True)
class Subject:
  """What is run: `python -m module --config=config` with overrides."""

  module: str
  config: str
  overrides: tuple[str, ...] = ()

  def command(self, layout: Layout, workdir: pathlib.Path) -> list[str]:
    words = [sys.executable, "-m", "launch.local", f"--processes={layout.processes}", f"--devices={layout.devices}"]
    flags = [f"--config={self.config}", f"--workdir={workdir}", f"--config.run.parallelism={layout.mode}"]
    return [*words, "--", sys.executable, "-m", self.module, *flags, *(f"--config.{text}" for text in self.overrides)]


@dataclasses.dataclass
class Outcome:
  """What became of a disturbed run: what was done to it, how often it was launched, how it differs from its twin."""

  subject: Subject
  layouts: list[Layout]
  disturbances: list[str]
  launches: int = 0
  difference: str = ""  # empty where it ended like its twin
  distance: float = 0.0
  stops: list[float] = dataclasses.field(default_factory=list)  # seconds from SIGTERM amid the steps to the end

  def row(self, number: int) -> str:
    """Of the table."""
    same = "bit for bit" if len(set(self.layouts)) == 1 else f"to {self.distance:.0e}"
    cells = [
      number,
      self.subject.config.removeprefix("configs/"),
      " → ".join(dict.fromkeys(map(str, self.layouts))),
      "; ".join(self.disturbances),
      self.launches,
      f"**differs: {self.difference}**" if self.difference else f"equal {same}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


HEADER = "| run | config | processes x devices | disturbed by | launches | end |\n|---|---|---|---|---|---|"


class Launch:
  """One launch of a subject, alive."""

  def __init__(self, subject: Subject, layout: Layout, workdir: pathlib.Path):
    workdir.parent.mkdir(parents=True, exist_ok=True)
    self._workdir, self._log = workdir, workdir.with_suffix(".log")
    self._rows = workdir / "metrics.jsonl"
    self._before = self._stamp()
    with open(self._log, "a") as log:
      command = subject.command(layout, workdir)
      self._job = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    self._pids: list[int] = []

  def _stamp(self):
    return self._rows.stat().st_mtime_ns if self._rows.exists() else 0

  def reaches(self, step: int) -> bool:
    """Waits until this launch has written a row of a step; False if it ended before."""
    deadline = time.monotonic() + DEADLINE
    while self._job.poll() is None and time.monotonic() < deadline:
      if self._stamp() > self._before:
        written = read_rows(self._rows)
        if written and written[-1]["step"] >= step:
          return True
      time.sleep(0.005)
    return False

  def pids(self) -> list[int]:
    """Of its processes, by number."""
    while len(self._pids) == 0 and self._job.poll() is None:
      children = pathlib.Path(f"/proc/{self._job.pid}/task/{self._job.pid}/children")
      self._pids = [int(pid) for pid in children.read_text().split()] if children.exists() else []
      time.sleep(0.005)
    return self._pids

  def signal(self, number: int, process: int | None = None) -> None:
    """To one of its processes, or to the launcher."""
    pids = self.pids()
    with contextlib.suppress(ProcessLookupError, ZeroDivisionError):  # it has ended already
      os.kill(self._job.pid if process is None else pids[process % len(pids)], number)

  def end(self) -> int:
    """The exit code, when all its processes are gone."""
    code = self._job.wait(timeout=DEADLINE)
    while any(_alive(pid) for pid in self._pids):
      time.sleep(0.01)
    return code


def _alive(pid: int) -> bool:
  try:
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
  except OSError:
    return False


def disturbed(
  subject: Subject,
  layout: Layout,
  kinds: Sequence[str],
  twin: pathlib.Path,
  workdir: pathlib.Path,
  chance: random.Random,
  early: float = 0.2,
) -> Outcome:
  """Launches a subject, disturbs it in turn by each of `kinds`, lets it end, and compares with its twin's folder.

  `early` is the share of disturbances that come while it starts and compiles, not amid its steps.
  """
  outcome = Outcome(subject, [layout], [])
  total = max(row["step"] for row in read_rows(twin / "metrics.jsonl"))
  for kind in kinds:
    launch = Launch(subject, layout, workdir)
    outcome.launches += 1
    when = _moment(launch, workdir, total, early, chance)
    _do(kind, launch, chance)
    asked = time.monotonic()
    code = launch.end()
    if code == EXIT_PREEMPTED and when != "early":
      outcome.stops.append(time.monotonic() - asked)
    expected = (0, EXIT_PREEMPTED) if "stop" in kind else (0, -signal.SIGKILL, 128 + signal.SIGKILL)
    # A process that is killed may be missed by the others before the launcher sees it.
    if code not in expected and not (kind == "kill a process" and code in (1, 134)):
      outcome.difference = f"exit code {code} after {kind}"
      return outcome
    outcome.disturbances.append(f"{kind} {when}" if code else f"{kind}, too late")
    if code == 0:
      break
    if "cut" in kind:
      _cut(workdir / "checkpoints", chance)
    if kind == OTHER_DEVICES:
      layout = chance.choice([other for other in LAYOUTS if other != layout])
      outcome.layouts.append(layout)
  else:
    launch = Launch(subject, layout, workdir)
    outcome.launches += 1
    code = launch.end()
  outcome.difference = f"exit code {code} of the last launch" if code else ""
  if not outcome.difference:
    compare(outcome, twin, workdir)
  return outcome


def _moment(launch: Launch, workdir: pathlib.Path, total: int, early: float, chance: random.Random) -> str:
  """Waits for a random moment: amid the steps, or early, while it starts and compiles; words for it."""
  if chance.random() < early:
    time.sleep(chance.uniform(0.0, 15.0))
    return "early"
  rows = read_rows(workdir / "metrics.jsonl")
  begun = rows[-1]["step"] if rows else 0
  step = chance.randint(min(begun + 1, total), max(begun + 1, total * 3 // 4))
  launch.reaches(step)
  time.sleep(chance.uniform(0.0, 0.3))
  return f"at {step}"


def _do(kind: str, launch: Launch, chance: random.Random) -> None:
  number = signal.SIGTERM if "stop" in kind else signal.SIGKILL
  launch.signal(number, chance.randrange(8) if "process" in kind else None)


def _cut(checkpoints: pathlib.Path, chance: random.Random) -> None:
  """Cuts a file of the newest checkpoint short, as a machine that loses power may; the one before stays."""
  steps = sorted((p for p in checkpoints.glob("*") if p.name.isdigit()), key=lambda p: int(p.name))
  if len(steps) < 2:
    return
  files = sorted(p for p in (steps[-1] / "state").rglob("*") if p.is_file() and p.stat().st_size > 1)
  file = chance.choice(files)
  os.truncate(file, file.stat().st_size // 2)


def undisturbed(subject: Subject, layout: Layout, workdir: pathlib.Path) -> None:
  """The twin, once: run to its end."""
  if not (workdir / "result.json").exists():
    code = Launch(subject, layout, workdir).end()
    if code:
      raise RuntimeError(f"the undisturbed run ended with {code}: see {workdir.with_suffix('.log')}")


def compare(outcome: Outcome, twin: pathlib.Path, workdir: pathlib.Path) -> None:
  """Notes in what the two runs differ: the last state and, on the same devices throughout, every row of metrics."""
  (step, one), (other_step, other) = last_state(twin), last_state(workdir)
  if step != other_step:
    outcome.difference = f"ended at step {other_step}, its twin at {step}"
    return
  outcome.distance = max(_distance(a, b) for a, b in zip(one, other, strict=True))
  if len(set(outcome.layouts)) > 1:
    outcome.difference = f"distance {outcome.distance:.1e}" if outcome.distance > TOLERANCE else ""
  elif any(not np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(one, other, strict=True)):
    outcome.difference = f"the last states, distance {outcome.distance:.1e}"
  elif _rows(twin) != _rows(workdir):
    outcome.difference = "rows of metrics"


def _distance(one: np.ndarray, other: np.ndarray) -> float:
  one, other = one.astype(np.float64), other.astype(np.float64)
  return float(np.linalg.norm(one - other) / (np.linalg.norm(one) + 1e-3))


def _rows(folder: pathlib.Path):
  rows = [row for row in read_rows(folder / "metrics.jsonl") if row["kind"] != "timing"]
  return sorted(rows, key=lambda row: (row["step"], row["kind"]))


def last_state(workdir: pathlib.Path) -> tuple[int, list[np.ndarray]]:
  """The newest checkpoint's step and arrays, whatever wrote it, read on one device."""
  path = max((p for p in (workdir / "checkpoints").iterdir() if p.name.isdigit()), key=lambda p: int(p.name))
  place = jax.sharding.SingleDeviceSharding(jax.devices()[0])
  with ocp.StandardCheckpointer() as checkpointer:
    saved = checkpointer.metadata(path / "state").item_metadata
    wanted = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=place), saved)
    state = checkpointer.restore(path / "state", wanted)
  plain = lambda x: jax.random.key_data(x) if jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key) else x
  return int(path.name), [np.asarray(plain(leaf)) for leaf in jax.tree.leaves(state)]
