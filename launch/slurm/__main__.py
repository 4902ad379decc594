"""Submits an experiment to Slurm.

  python -m launch.slurm --config=configs/resnet/cifar10.py --nodes=2 --time=4:00:00 [--config.FIELD=VALUE]
  python -m launch.slurm --config=configs/cnn/mnist.py --time=1:00:00 --seeds=0-4 --sweep=rates.txt --array=0-9%2
  ... --dry-run        prints the script and submits nothing

Run it in the environment that the job is to run in, from a folder that the nodes see too.  A run that is preempted, or
comes to the end of its time, saves, is requeued and goes on.  Several runs are one job array; when all have ended,
a last small job writes `table.md` with their results.
"""

import os
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Sequence

from launch import command
from launch.command import Run
from launch.slurm import script
from research.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code, 2 for bad input."""
  parser = command.parser("python -m launch.slurm", (__doc__ or "").partition("\n")[0])
  parser.add_argument("--nodes", type=int, default=1, help="for each run")
  parser.add_argument("--time", required=True, help="limit of one launch, 4:00:00; longer runs are requeued")
  parser.add_argument("--gpus-per-node", type=int, default=0, help="each has its own process")
  parser.add_argument("--tasks-per-node", type=int, default=0, help="processes; 0: one, or one for each GPU")
  parser.add_argument("--array", default="", help="which runs of several, how many at once: 0-7%%2")
  parser.add_argument("--grace", type=int, default=120, help="seconds before the limit at which the run saves")
  parser.add_argument("--sbatch", default="", help="further options, '--partition=long --account=us --mem=64G'")
  parser.add_argument("--setup", default="", help="shell commands before the run, 'module load cuda'")
  parser.add_argument("--python", default=sys.executable, help="the interpreter on the nodes")
  try:
    flags, overrides = command.parse(parser, argv)
    runs = command.runs_of(flags, overrides)
    resources = _resources(flags, several=len(runs) > 1)
    folder = _folder(runs, flags.workdir)
    text = script.render(runs, resources, folder, flags.python, flags.setup)
    if flags.dry_run:
      print(text)
      if len(runs) > 1:
        print(
          f"# And when all of them have ended:\n{shlex.join(_collect(runs, folder, flags.python, resources, 'JOB'))}"
        )
      return 0
    job = _submit(text, pathlib.Path(folder))
    if len(runs) > 1:
      table = _sbatch(_collect(runs, folder, flags.python, resources, job))
      print(f"job {table}  then writes {folder}/table.md")
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return command.EXIT_USER_ERROR
  return 0


def _resources(flags, several: bool) -> script.Resources:
  for field, least in {"nodes": 1, "gpus_per_node": 0, "tasks_per_node": 0, "grace": 1}.items():
    if getattr(flags, field) < least:
      raise UserError(f"--{field.replace('_', '-')}", getattr(flags, field), f"give {least} or more.")
  if flags.array and not several:
    raise UserError("--array", flags.array, "there is one run: give --seeds or --sweep for more.")
  return script.Resources(
    nodes=flags.nodes,
    tasks_per_node=flags.tasks_per_node or max(1, flags.gpus_per_node),
    time=flags.time,
    grace=flags.grace,
    gpus_per_node=flags.gpus_per_node,
    array=flags.array,
    options=tuple(shlex.split(flags.sbatch)),
  )


def _folder(runs: Sequence[Run], workdir: str) -> str:
  """The folder of script, logs and table: the one that was named, or that all runs lie in."""
  return os.path.abspath(workdir) if workdir else os.path.commonpath([os.path.abspath(run.workdir) for run in runs])


def _collect(runs: Sequence[Run], folder: str, python: str, resources: script.Resources, job: str) -> list[str]:
  """The sbatch command of the job that writes the table after `job`."""
  options = [f"--job-name={runs[0].name}-table", "--time=10", f"--output={folder}/table-%j.out", *resources.options]
  wrapped = script.table_command(runs, python, f"{folder}/table.md")
  return ["sbatch", "--parsable", *options, f"--dependency=afterany:{job}", f"--wrap={wrapped}"]


def _submit(text: str, folder: pathlib.Path) -> str:
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / "slurm.sh"
  path.write_text(text)
  job = _sbatch(["sbatch", "--parsable", str(path)])
  print(f"job {job}  script {path}  output {folder}/slurm-*.out")
  return job


def _sbatch(words: Sequence[str]) -> str:
  """The id of the job that these words submit."""
  try:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
  except FileNotFoundError as error:
    raise UserError("sbatch", "", "there is no Slurm here: submit from a login node, or use --dry-run.") from error
  if done.returncode:
    raise UserError("sbatch", shlex.join(words), f"Slurm refused it: {done.stderr.strip()}")
  return done.stdout.strip().partition(";")[0]


if __name__ == "__main__":
  sys.exit(main())
