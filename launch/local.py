"""Several processes of one job on this machine.

python -m launch.local --processes=2 --devices=4 -- python -m experiments.mlp --workdir=runs/mlp

  --processes=N   processes (2)
  --devices=N     fake CPU devices of each process (1); 0 leaves the devices to the environment
  --restarts=N    start the job again, up to N times, when one of its processes was lost or it was preempted (0)

Process 0 speaks for the job; what the others print comes on stderr, each line with the number of its process.
SIGTERM or Ctrl-C asks the job to save and stop, a second one kills it.  A process that fails or dies ends the job: the
others, which cannot go on without it, are killed after some seconds, and the job started again resumes from the newest
checkpoint.

Exit codes are those of the command: 75 for `saved, run me again`; 128 + n where a process was killed by signal n.
"""

import contextlib
import ctypes
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO, Any

from research.errors import UserError
from research.training.job import ADDRESS, COUNT, EXIT_PREEMPTED, HEARTBEAT, INDEX

# Seconds in which the other processes may end by themselves, once one has: stopped (to leave); failed (to say more).
GRACE_STOPPED, GRACE_FAILED = 10.0, 3.0
_DEVICES = re.compile(r"--xla_force_host_platform_device_count=\d+")
_PERIOD = 0.05
_SET_PDEATHSIG = 1  # of prctl(2)


def environment(index: int, processes: int, devices: int, port: int) -> dict[str, str]:
  """What process `index` of the job is started with, on top of this process's own environment."""
  variables = {**os.environ, ADDRESS: f"localhost:{port}", COUNT: str(processes), INDEX: str(index)}
  variables.setdefault(HEARTBEAT, "3600")  # the launcher sees for itself who is dead
  if devices:
    flags = _DEVICES.sub("", variables.get("XLA_FLAGS", ""))
    variables["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={devices}".strip()
    variables["JAX_PLATFORMS"] = "cpu"
    variables.setdefault("NPROC", str(max(32, 4 * devices)))  # XLA's pool; too small for its devices, it dead-locks
  return variables


class Job:
  """The processes of one job, from start to end.

  Args:
    command: what each of them runs.
    processes: how many.
    devices: fake CPU devices of each, 0 for those there are.
  """

  def __init__(self, command: Sequence[str], processes: int, devices: int):
    port = _free_port()
    self._children: list[subprocess.Popen] = []
    self._threads: list[threading.Thread] = []
    self.asked = 0  # how often it was asked to stop
    for i in range(processes):
      self._children.append(self._start(list(command), i, environment(i, processes, devices, port)))

  def _start(self, command, index, environ) -> subprocess.Popen:
    out = None if index == 0 else subprocess.PIPE
    options: dict[str, Any] = {"stdout": out, "stderr": subprocess.STDOUT} if index else {}
    # A session of its own: Ctrl-C reaches the launcher alone, which passes it on once.
    child = subprocess.Popen(
      command, env=environ, start_new_session=True, preexec_fn=_die_with_parent, stdin=subprocess.DEVNULL, **options
    )
    if index:
      thread = threading.Thread(target=_prefixed, args=(child.stdout, f"[{index}] "), daemon=True)
      thread.start()
      self._threads.append(thread)
    return child

  def ask(self, *_) -> None:
    """Asks all processes to save and stop; asked again, kills them.  A signal handler."""
    self.asked += 1
    self._signal(signal.SIGTERM if self.asked == 1 else signal.SIGKILL)

  def _signal(self, number: int) -> None:
    for child in self._children:
      if child.poll() is None:
        child.send_signal(number)

  def wait(self) -> int:
    """Until all have ended; the exit code of the job.  Says on stderr what ended it, unless the process did."""
    ended: tuple[int, int] | None = None  # the first that ended badly, and its code
    deadline = float("inf")
    while True:
      codes = [child.poll() for child in self._children]
      bad = [(code, i) for i, code in enumerate(codes) if code]
      if bad and ended is None:
        code, first = min(bad)  # one that was killed is the cause, one that failed may have failed for the lack of it
        ended, stopped = (first, code), code in (EXIT_PREEMPTED, -signal.SIGTERM)
        deadline = time.monotonic() + (GRACE_STOPPED if stopped else GRACE_FAILED)
        self._tell(first, code)
        if stopped:  # what can be saved is; this is for those who do not know yet
          self._signal(signal.SIGTERM)
      if None not in codes:
        break
      if time.monotonic() > deadline:
        self._signal(signal.SIGKILL)
      time.sleep(_PERIOD)
    for thread in self._threads:
      thread.join(timeout=1)
    code = ended[1] if ended else 0
    if code == -signal.SIGTERM:
      return EXIT_PREEMPTED
    return 128 - code if code < 0 else code

  def _tell(self, index: int, code: int) -> None:
    processes = len(self._children)
    if code in (EXIT_PREEMPTED, 2, 3):
      return  # the process has said why
    if code == -signal.SIGTERM:
      print(f"process {index} was asked to stop while it started: run the same command to go on", file=sys.stderr)
      return
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"failed with exit code {code}"
    others = f"the other {processes - 1} cannot go on without it and are stopped. " if processes > 1 else ""
    rest = "The checkpoints saved before are intact: run the same command to go on from the newest."
    print(f"error: process {index} of {processes} {how}; {others}{rest}", file=sys.stderr, flush=True)


def _prefixed(stream: IO[bytes], prefix: str) -> None:
  for line in stream:
    if not line.startswith(b"[Gloo] "):  # that the processes have found one another
      sys.stderr.write(prefix + line.decode(errors="replace"))
      sys.stderr.flush()


def _die_with_parent() -> None:
  """In the child, on Linux: the kernel kills it when the launcher is gone, so that no orphan holds the workdir."""
  if sys.platform == "linux":
    ctypes.CDLL(None).prctl(_SET_PDEATHSIG, signal.SIGKILL)


def _free_port() -> int:
  with contextlib.closing(socket.socket()) as free:
    free.bind(("localhost", 0))
    return free.getsockname()[1]


def run(command: Sequence[str], processes: int, devices: int, restarts: int = 0) -> int:
  """Runs a job to its end; its exit code."""
  while True:
    job = Job(command, processes, devices)
    before = {number: signal.signal(number, job.ask) for number in (signal.SIGTERM, signal.SIGINT)}
    code = job.wait()
    for number, handler in before.items():
      signal.signal(number, handler)
    lost = code > 128 or code in (1, EXIT_PREEMPTED)
    if not lost or job.asked or restarts == 0:
      return code
    restarts -= 1
    print(f"started again ({restarts} restarts left)", file=sys.stderr, flush=True)


def parse(argv: Sequence[str]) -> tuple[list[str], dict[str, int]]:
  """`(command, {processes, devices, restarts})`.

  Raises:
    UserError: an unknown flag, one whose value is no number, or no command.
  """
  options = {"processes": 2, "devices": 1, "restarts": 0}
  least = {"processes": 1, "devices": 0, "restarts": 0}
  words = list(argv)
  while words and words[0] != "--":
    word = words.pop(0)
    if word in ("-h", "--help"):
      print((__doc__ or "").strip())
      sys.exit(0)
    name, _, value = word.removeprefix("--").partition("=")
    if not word.startswith("--") or name not in options:
      known = ", ".join(f"--{option}=N" for option in options)
      raise UserError("flag", word, f"there are {known}; the command comes behind `--`.")
    if not value.isdecimal() or int(value) < least[name]:
      raise UserError(f"--{name}", value, f"give a number from {least[name]} on.")
    options[name] = int(value)
  if len(words) < 2:
    raise UserError("command", " ".join(words), "give one behind `--`, such as `-- python -m experiments.mlp`.")
  return words[1:], options


def main(argv: Sequence[str]) -> int:
  """The command line; the exit code."""
  try:
    command, options = parse(argv)
    return run(command, **options)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  except FileNotFoundError as error:
    print(f"error: {UserError('command', error.filename, 'there is no such program.')}", file=sys.stderr)
    return 2


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
