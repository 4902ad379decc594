"""Runs an experiment on a Cloud TPU slice, through preemptions, by gcloud.

  python -m launch.tpu train --name=genera --zone=us-west4-a --topology=v5e:4x4 --spot \\
    --config=configs/resnet/imagenet.py --workdir=/mnt/runs/imagenet --setup='sudo mount ...'
  python -m launch.tpu logs|status|stop|delete --name=genera --zone=us-west4-a
  ... --dry-run        prints every gcloud command of such a life, one preemption in it, and runs none

`train` creates the slice (or asks the queue for it, with --queued), copies the tracked files of this checkout,
installs, runs on all workers, and deletes the slice when the run has ended.  When it is preempted, the slice is made
anew and the same command resumes.  The workdir must be on storage that outlives the slice and that all workers see;
--setup mounts it.
"""

import argparse
import pathlib
import shlex
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping, Sequence

from experiments.command import cli
from launch import command
from launch.tpu import gcloud, slices, supervisor
from research.errors import UserError
from research.training import job as job_lib
from research.training import rundir

EXIT_INTERRUPTED = 130  # as shells have it
ACTIONS = ("logs", "status", "stop", "delete")
# The slices' images have an older Python than jax wants; versions are those of the lock.
INSTALL = (
  "sudo apt-get -qq update && sudo apt-get -qq install -y python3.11-venv && python3.11 -m venv .venv"
  " && sh launch/constraints.sh > constraints.txt"
  " && .venv/bin/pip install --quiet --constraint constraints.txt -e '.[tpu]'"
)


def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code: the run's, or 2 for bad input."""
  words = list(sys.argv[1:] if argv is None else argv)
  try:
    if words and words[0] in ACTIONS:
      parser = _slice_flags(argparse.ArgumentParser(prog=f"python -m launch.tpu {words[0]}"))
      parser.add_argument("--dry-run", action="store_true", help="print the command, and do not run it")
      flags = parser.parse_args(words[1:])
      return _act(words[0], _commands(flags), flags.dry_run)
    if words and words[0] == "train":
      return _train(*command.parse(_train_flags(), words[1:]))
    if words and words[0] in ("-h", "--help"):
      print((__doc__ or "").strip())
      return 0
    raise UserError("action", " ".join(words[:1]), f"begin with one of train, {', '.join(ACTIONS)}.")
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return command.EXIT_USER_ERROR


def _slice_flags(flags: argparse.ArgumentParser) -> argparse.ArgumentParser:
  """Adds what names a slice."""
  flags.add_argument("--name", required=True, help="of the slice")
  flags.add_argument("--zone", required=True, help="where, us-west4-a")
  flags.add_argument("--slices", type=int, default=1, help="slices of one run; more than one are queued")
  flags.add_argument("--queued", action="store_true", help="it is a queued resource, which waits for room")
  flags.add_argument("--project", default="", help="default: gcloud's own setting")
  return flags


def _train_flags() -> argparse.ArgumentParser:
  flags = _slice_flags(command.parser("python -m launch.tpu train", (__doc__ or "").partition("\n")[0]))
  flags.add_argument("--topology", required=True, help="generation and shape, v5e:4x4")
  flags.add_argument("--spot", action="store_true", help="cheaper, may be preempted")
  flags.add_argument("--create-options", default="", help="further options of gcloud's create, '--network=n'")
  flags.add_argument("--setup", default="", help="shell commands on every worker before the run: mount the workdir")
  flags.add_argument("--install", default=INSTALL, help="shell commands that install, in the checkout's copy")
  flags.add_argument("--python", default=".venv/bin/python", help="the interpreter on the workers")
  flags.add_argument("--poll", type=float, default=30, help="seconds between two looks at the run")
  flags.add_argument("--max-restarts", type=int, default=100, help="give up after so many")
  flags.add_argument("--keep", action="store_true", help="do not delete the slice when the run has ended")
  return flags


def _commands(flags: argparse.Namespace, **options) -> gcloud.Commands:
  if flags.slices < 1:
    raise UserError("--slices", flags.slices, "give 1 or more.")
  queued = flags.queued or flags.slices > 1
  return gcloud.Commands(flags.name, flags.zone, flags.project, flags.slices, queued, **options)


def _act(action: str, commands: gcloud.Commands, dry_run: bool) -> int:
  words = {
    "logs": commands.ssh(supervisor.worker("log"), worker="0"),
    "status": commands.ssh(supervisor.worker("state")),
    "stop": commands.ssh(supervisor.worker("stop")),
    "delete": commands.delete(),
  }[action]
  if dry_run:
    print(shlex.join(words))
    return 0
  return gcloud.stream(words)


def _train(flags: argparse.Namespace, overrides: Mapping[str, str]) -> int:
  options = tuple(shlex.split(flags.create_options))
  commands = _commands(flags, slice=slices.parse(flags.topology), spot=flags.spot, options=options)
  if not flags.workdir:
    remedy = "name a folder that outlives the slice and that all workers see; --setup can mount it."
    raise UserError("--workdir", flags.workdir, remedy)
  runs = command.runs_of(flags, overrides)
  if len(runs) > 1:
    raise UserError("--seeds", flags.seeds or flags.sweep, "a slice does one run: launch each under its own --name.")
  job = supervisor.Job(
    commands,
    run=runs[0].shell(flags.python),
    # The copy has no git to tell run.json what runs.
    environment=f"{job_lib.DETECT}=auto {rundir.COMMIT}={rundir.commit()}",
    setup=flags.setup,
    install=flags.install,
    poll=flags.poll,
    max_restarts=flags.max_restarts,
    keep=flags.keep,
  )
  if flags.dry_run:
    return supervisor.supervise(job, "genera.tar.gz", supervisor.Rehearsal())
  with tempfile.TemporaryDirectory() as folder:
    archive = pathlib.Path(folder) / "genera.tar.gz"
    pack(cli.ROOT, archive)
    try:
      return supervisor.supervise(job, str(archive), supervisor.Cloud())
    except KeyboardInterrupt:
      print(
        "no longer watched: the slice and the run go on. The same command takes them up, `stop` saves, `delete` ends."
      )
      return EXIT_INTERRUPTED


def pack(root: pathlib.Path, archive: pathlib.Path) -> None:
  """The tracked files of a checkout, as they are now.

  Raises:
    UserError: it is no git checkout, or there is no git.
  """
  try:
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True, check=True)
  except (FileNotFoundError, subprocess.CalledProcessError) as error:
    raise UserError("checkout", str(root), "git does not know its files, and so not what to copy.") from error
  with tarfile.open(archive, "w:gz") as tar:
    for name in listed.stdout.split("\0"):
      if name and (root / name).exists():
        tar.add(root / name, arcname=name, recursive=False)


if __name__ == "__main__":
  sys.exit(main())
