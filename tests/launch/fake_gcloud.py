"""In gcloud's place: TPU nodes that are folders, workers that are processes of this machine.

`install` puts it on a PATH.  What is called is logged; `ssh` runs the command for every worker, in a home folder of its
own, with the variables by which JAX's processes find each other; `preempt` takes the slice away as it happens: at once,
with everything on it.
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

WRAPPER = "#!/bin/bash\nexec {python} {script} {folder} {workers} \"$@\"\n"


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
    script = pathlib.Path(__file__).resolve()
    program.write_text(WRAPPER.format(python=sys.executable, script=script, folder=self.folder, workers=self.workers))
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

  def call(self, words: list[str]) -> int:
    """Does what gcloud would; the exit code."""
    with open(self.folder / "calls.jsonl", "a") as log:
      log.write(json.dumps(["gcloud", *words]) + "\n")
    assert words[:2] == ["compute", "tpus"]
    verb, rest = words[3], words[4:]
    flags = dict(word.removeprefix("--").partition("=")[::2] for word in rest if word.startswith("--"))
    assert flags["zone"], "gcloud would ask for it"
    return getattr(self, f"_{verb}")([word for word in rest if not word.startswith("--")], flags)

  def _create(self, names, flags):
    if self.state():
      print("ALREADY_EXISTS", file=sys.stderr)
      return 1
    assert flags["accelerator-type"]
    for home in self.homes():
      home.mkdir()
    (self.folder / "port").write_text(str(free_port()))
    (self.folder / "state").write_text("READY")
    return 0

  def _describe(self, names, flags):
    if not self.state():
      print("ERROR: (gcloud.compute.tpus.tpu-vm.describe) NOT_FOUND: Resource was not found", file=sys.stderr)
      return 1
    print(self.state())
    return 0

  def _delete(self, names, flags):
    self._take_away()
    (self.folder / "state").unlink()
    return 0

  def _scp(self, names, flags):
    if self.state() != "READY":
      return 255
    source, (_, _, target) = names[0], names[1].partition(":")
    for home in self.homes():
      shutil.copy(source, home / target)
    return 0

  def _ssh(self, names, flags):
    if self.state() != "READY":
      return 255
    homes = self.homes() if flags["worker"] == "all" else [self.homes()[int(flags["worker"])]]
    job = {"JAX_COORDINATOR_ADDRESS": f"localhost:{(self.folder / 'port').read_text()}"}
    started = []
    for i, home in enumerate(homes):
      here = {"HOME": str(home), **job, "JAX_NUM_PROCESSES": str(self.workers), "JAX_PROCESS_ID": str(i)}
      started.append(subprocess.Popen(["bash", "-c", flags["command"]], cwd=home, env={**os.environ, **here}))
    return max(process.wait() for process in started)


def free_port() -> int:
  with contextlib.closing(socket.socket()) as free:
    free.bind(("localhost", 0))
    return free.getsockname()[1]


if __name__ == "__main__":
  sys.exit(Cloud(pathlib.Path(sys.argv[1]), int(sys.argv[2])).call(sys.argv[3:]))
