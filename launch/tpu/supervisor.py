"""The life of a run on slices that come and go: create, copy, run, watch; preempted, and from the start."""

import dataclasses
import re
import shlex
import time
from collections.abc import Sequence

from experiments.command import cli, session
from launch.tpu import gcloud
from research.errors import UserError

FOLDER = "genera"  # of the code, in the home folder of every worker
FINAL = (0, cli.EXIT_USER_ERROR, session.EXIT_NON_FINITE)  # running the same command again would change nothing
LOST = 137  # in place of the code of a worker that was restarted under the run


def worker(action: str) -> str:
  """The shell command for `worker.sh`, which lies in the copied checkout."""
  return f"bash {FOLDER}/launch/tpu/worker.sh {action}"


@dataclasses.dataclass(frozen=True)
class Job:
  """What is to be run where.

  Attributes:
    commands: of the slice.
    run: the experiment's shell command.
    environment: its variables, `NAME=value NAME=value`.
    setup: shell commands on every worker before anything else.
    install: shell commands in the checkout's copy.
    poll: seconds between two looks.
    max_restarts: after which the run is given up.
    keep: leave the slice when the run has ended.
  """

  commands: gcloud.Commands
  run: str
  environment: str
  setup: str
  install: str
  poll: float
  max_restarts: int
  keep: bool


class Cloud:
  """Runs commands."""

  def say(self, text: str) -> None:
    print(text, flush=True)

  def run(self, words: Sequence[str]) -> gcloud.Output:
    self.say(f"$ {shlex.join(words)}")
    output = gcloud.run(words)
    for text in (output.text, output.errors):
      if text:
        self.say(text)
    return output

  def look(self, words: Sequence[str]) -> gcloud.Output:
    """As `run`, for what is asked again and again and not worth a line."""
    return gcloud.run(words)

  def sleep(self, seconds: float) -> None:
    time.sleep(seconds)


class Rehearsal(Cloud):
  """Prints the commands of a life with one preemption, and runs none."""

  def __init__(self):
    self._state, self._lives, self._looks = "", 0, 0

  def run(self, words):
    print(shlex.join(words))
    if "create" in words:
      self._state, self._lives, self._looks = gcloud.READY[0], self._lives + 1, 0
    if "delete" in words:
      self._state = ""
    return gcloud.Output(0)

  def look(self, words):
    print(shlex.join(words))
    if "describe" in words:
      output = gcloud.Output(0, self._state) if self._state else gcloud.Output(1, errors=gcloud.NOT_FOUND)
    else:
      self._looks += 1
      output = gcloud.Output(0, "running" if self._looks == 1 else "0")
      if self._looks == 2 and self._lives == 1:
        self._state, output = gcloud.GONE[0], gcloud.Output(255, errors="no connection")
    self.say(f"# -> {output.text or output.errors}")
    return output

  def sleep(self, seconds):
    pass


def supervise(job: Job, archive: str, cloud: Cloud) -> int:
  """Runs the job to its end; the run's exit code.

  Args:
    job: what, where.
    archive: of the code.
    cloud: runs the commands, or only prints them.

  Raises:
    UserError: the slice could not be made, or the run did not end in `max_restarts` restarts.
  """
  for _ in range(job.max_restarts + 1):
    _ensure(job, cloud)
    code = _attempt(job, archive, cloud)
    if code in FINAL:
      if not job.keep:
        _must(cloud, job.commands.delete())
      return code
    cloud.say(
      f"# {'the slice is gone' if code is None else f'the run ended with {code}'}: it goes on from its checkpoint"
    )
  raise UserError("--max-restarts", job.max_restarts, "the run has not ended after so many: see its log.")


def _ensure(job: Job, cloud: Cloud) -> None:
  """Makes the slice where there is none, what is left of an earlier one removed, and waits until it is ready."""
  created = False
  while (state := _state(job, cloud)) not in gcloud.READY:
    if state not in ("", *gcloud.GONE):
      cloud.sleep(job.poll)  # it comes, or goes, or cannot be told
    elif state == gcloud.FAILED and created:
      raise UserError("slice", state, "it did not come up: `gcloud compute tpus ... describe` says why.")
    elif state:
      _must(cloud, job.commands.delete())
    else:
      _must(cloud, job.commands.create())
      created = True


def _state(job: Job, cloud: Cloud) -> str | None:
  """Of the slice: gcloud's word; empty where there is none, None where it cannot be told at the moment."""
  output = cloud.look(job.commands.state())
  if output.code == 0:
    return output.text
  return "" if gcloud.NOT_FOUND in output.errors else None


def _attempt(job: Job, archive: str, cloud: Cloud) -> int | None:
  """Brings the code, runs and watches: the exit code of the run, None where the slice went away."""
  unpack = f"rm -rf {FOLDER} && mkdir {FOLDER} && tar xzf {FOLDER}.tar.gz -C {FOLDER} && cd {FOLDER}"
  start = f"cd {FOLDER} && bash launch/tpu/worker.sh start env {job.environment} {job.run}"
  steps = [
    job.commands.copy(archive, f"{FOLDER}.tar.gz"),
    job.commands.ssh(f"{unpack} && {job.install}"),
    *([job.commands.ssh(job.setup)] if job.setup else []),
    job.commands.ssh(start),
  ]
  for words in steps:
    if cloud.run(words).code:
      if _state(job, cloud) in gcloud.READY:
        raise UserError(
          "gcloud", shlex.join(words), "it failed, see above; the slice is kept: delete it, or try again."
        )
      return None
  while True:
    cloud.sleep(job.poll)
    output = cloud.look(job.commands.ssh(worker("state")))
    if output.code:
      if _state(job, cloud) not in (*gcloud.READY, None):
        return None
    elif (code := _joint(output.text)) is not None:
      return code


def _joint(text: str) -> int | None:
  """The run's exit code from the words of `worker.sh state` on all workers; None while one is at work.

  The code of a failure that running again would not change counts before all others, which only failed for the lack of
  that process.
  """
  words = re.findall(r"^(\d+|running|none)$", text, re.MULTILINE)
  if not words or "running" in words:
    return None
  codes = [LOST if word == "none" else int(word) for word in words]
  final = [code for code in codes if code in FINAL and code]
  return final[0] if final else max(codes)


def _must(cloud: Cloud, words: Sequence[str]) -> None:
  if cloud.run(words).code:
    raise UserError("gcloud", shlex.join(words), "it failed, see above.")
