"""The gcloud commands of one slice, or of several that are one run."""

import dataclasses
import subprocess
from collections.abc import Sequence

from launch.tpu.slices import Slice
from research.errors import UserError

READY = ("READY", "ACTIVE")
FAILED = "FAILED"
# In one of these states it will not become ready any more, and must be deleted before it is made anew.
GONE = ("PREEMPTED", "TERMINATED", "STOPPED", "SUSPENDED", FAILED)
NOT_FOUND = "NOT_FOUND"  # in what gcloud says of a thing that is not there


@dataclasses.dataclass(frozen=True)
class Commands:
  """Words of commands.

  Attributes:
    name: of the TPU node, or of the queued resource and its node.
    zone: where.
    project: empty for gcloud's own setting.
    slices: how many; more than one needs `queued`.
    queued: ask by a queued resource, which waits until there is room.
    slice: generation and shape; only `create` needs it.
    spot: cheaper, and may be preempted.
    options: further options of `create`.
  """

  name: str
  zone: str
  project: str = ""
  slices: int = 1
  queued: bool = False
  slice: Slice | None = None
  spot: bool = False
  options: tuple[str, ...] = ()

  def _words(self, verb: str, *rest: str) -> list[str]:
    group = "queued-resources" if self.queued else "tpu-vm"
    where = [f"--zone={self.zone}", *([f"--project={self.project}"] if self.project else [])]
    return ["gcloud", "compute", "tpus", group, verb, *rest, *where]

  def create(self) -> list[str]:
    assert self.slice is not None
    version = "--runtime-version" if self.queued else "--version"
    words = [f"--accelerator-type={self.slice.accelerator_type}", f"{version}={self.slice.runtime_version}"]
    if self.queued:
      words += [f"--node-count={self.slices}", f"--node-prefix={self.name}"] if self.slices > 1 else []
      words += [f"--node-id={self.name}"] if self.slices == 1 else []
    return self._words("create", self.name, *words, *(["--spot"] if self.spot else []), *self.options)

  def state(self) -> list[str]:
    """Prints one word; fails where there is no such thing."""
    return self._words("describe", self.name, f"--format=value({'state.state' if self.queued else 'state'})")

  def delete(self) -> list[str]:
    return self._words("delete", self.name, *(["--force"] if self.queued else []), "--quiet")

  def ssh(self, command: str, worker: str = "all") -> list[str]:
    """Runs a shell command on every worker, or on one of the first slice."""
    return self._words("ssh", self.name, *self._nodes(worker), f"--worker={worker}", f"--command={command}")

  def copy(self, source: str, target: str) -> list[str]:
    """Copies a file to every worker."""
    return self._words("scp", source, f"{self.name}:{target}", *self._nodes("all"), "--worker=all")

  def _nodes(self, worker: str) -> list[str]:
    return [f"--node={'all' if worker == 'all' else 0}"] if self.queued else []


@dataclasses.dataclass(frozen=True)
class Output:
  """How a command ended, and what it printed."""

  code: int
  text: str = ""
  errors: str = ""


def run(words: Sequence[str]) -> Output:
  """Runs a command.

  Raises:
    UserError: there is no gcloud here.
  """
  try:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
  except FileNotFoundError as error:
    raise UserError(words[0], "", "it is not installed here: install Google's Cloud SDK, or use --dry-run.") from error
  return Output(done.returncode, done.stdout.strip(), done.stderr.strip())


def stream(words: Sequence[str]) -> int:
  """Runs a command whose output is for the user; its exit code."""
  return subprocess.run(words, check=False).returncode
