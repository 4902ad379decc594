"""In gcloud's place: TPU nodes that are folders, workers that are processes of this machine.

`install` puts it on a PATH; `call` is the same without a process for it.  What is called is logged; `ssh` runs the
command for every worker, in a home folder of its own, with the variables by which JAX's processes find each other;
`preempt` takes the slice away as it happens: at once, with everything on it.
"""

import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence

from launch.tpu import gcloud

WRAPPER = """#!/bin/bash
export PYTHONPATH={root}
exec {python} -m tests.launch.fake_gcloud {folder} {workers} "$@"
"""


class Cloud:
  """A project with room for one slice.

  Args:
    folder: an empty one.
    workers: machines of a slice.
  """

  def __init__(self, folder: pathlib.Path, workers: int):
    self.folder, self.workers = folder, workers

  def install(self) -> str:
    """The PATH on which `gcloud` is this one."""
    bin_folder = self.folder / "bin"
    bin_folder.mkdir(parents=True)
    program = bin_folder / "gcloud"
    root = pathlib.Path(__file__).resolve().parents[2]
    program.write_text(WRAPPER.format(python=sys.executable, root=root, folder=self.folder, workers=self.workers))
    program.chmod(0o755)
    return f"{bin_folder}:{os.environ['PATH']}"

  def calls(self) -> list[list[str]]:
    """The words of every call so far."""
    path = self.folder / "calls.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

  def state(self) -> str:
    path = self.folder / "state"
    return path.read_text() if path.exists() else ""

  def preempt(self) -> None:
    (self.folder / "state").write_text("PREEMPTED")
    self._take_away()

  def homes(self) -> list[pathlib.Path]:
    return [self.folder / f"worker{i}" for i in range(self.workers)]

  def _take_away(self) -> None:
    for home in self.homes():
      with contextlib.suppress(OSError, ValueError):  # nothing was started there, or it has ended
        os.killpg(int((home / "genera-run" / "pid").read_text()), signal.SIGKILL)
      shutil.rmtree(home, ignore_errors=True)

  def call(self, words: Sequence[str]) -> gcloud.Output:
    """Does what gcloud would."""
    with open(self.folder / "calls.jsonl", "a") as log:
      log.write(json.dumps(words) + "\n")
    assert words[:3] == ["gcloud", "compute", "tpus"]
    flags = dict(word.removeprefix("--").partition("=")[::2] for word in words if word.startswith("--"))
    assert flags["zone"], "gcloud would ask for it"
    return getattr(self, f"_{words[4]}")([word for word in words[5:] if not word.startswith("--")], flags)

  def _create(self, names, flags):
    if self.state():
      return gcloud.Output(1, errors="ALREADY_EXISTS")
    assert flags["accelerator-type"]
    for home in self.homes():
      home.mkdir()
    (self.folder / "port").write_text(str(free_port()))
    (self.folder / "state").write_text("READY")
    return gcloud.Output(0)

  def _describe(self, names, flags):
    if not self.state():
      return gcloud.Output(1, errors="ERROR: (gcloud.compute.tpus.tpu-vm.describe) NOT_FOUND: Resource was not found")
    return gcloud.Output(0, self.state())

  def _delete(self, names, flags):
    self._take_away()
    (self.folder / "state").unlink()
    return gcloud.Output(0)

  def _scp(self, names, flags):
    if self.state() != "READY":
      return gcloud.Output(255, errors="no connection")
    for home in self.homes():
      shutil.copy(names[0], home / names[1].partition(":")[2])
    return gcloud.Output(0)

  def _ssh(self, names, flags):
    if self.state() != "READY":
      return gcloud.Output(255, errors="no connection")
    homes = self.homes() if flags["worker"] == "all" else [self.homes()[int(flags["worker"])]]
    job = {"JAX_COORDINATOR_ADDRESS": f"localhost:{(self.folder / 'port').read_text()}"}
    outputs = []
    for i, home in enumerate(homes):
      here = {"HOME": str(home), **job, "JAX_NUM_PROCESSES": str(self.workers), "JAX_PROCESS_ID": str(i)}
      words = ["bash", "-c", flags["command"]]
      outputs.append(subprocess.run(words, cwd=home, env={**os.environ, **here}, capture_output=True, text=True))
    text, errors = ("".join(parts).strip() for parts in zip(*((o.stdout, o.stderr) for o in outputs)))
    return gcloud.Output(max(output.returncode for output in outputs), text, errors)


def free_port() -> int:
  with contextlib.closing(socket.socket()) as free:
    free.bind(("localhost", 0))
    return free.getsockname()[1]


if __name__ == "__main__":
  found = Cloud(pathlib.Path(sys.argv[1]), int(sys.argv[2])).call(["gcloud", *sys.argv[3:]])
  print(found.text)
  print(found.errors, file=sys.stderr)
  sys.exit(found.code)
