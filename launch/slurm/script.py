"""The batch script of a run, or of an array of runs."""

import dataclasses
import shlex
from collections.abc import Sequence

from launch.command import Run
from research.training.job import EXIT_PREEMPTED

STRAGGLERS = 60  # seconds that tasks may outlive the first that ended: a dead one must not leave the others waiting


@dataclasses.dataclass(frozen=True)
class Resources:
  """What a job asks of Slurm.

  Attributes:
    nodes: for each run.
    tasks_per_node: processes on each node; with GPUs one for each, which is how JAX divides them.
    time: limit of each launch, in Slurm's form; a run that takes longer is saved and requeued.
    grace: seconds before that limit at which the run is asked to save.
    gpus_per_node: 0 for none.
    array: which runs of several, and how many at once, in Slurm's form (`0-7%2`); empty for all.
    options: further options of sbatch, `--partition=long`.
  """

  nodes: int = 1
  tasks_per_node: int = 1
  time: str = "1:00:00"
  grace: int = 120
  gpus_per_node: int = 0
  array: str = ""
  options: tuple[str, ...] = ()


def render(runs: Sequence[Run], resources: Resources, logs: str, python: str, setup: str = "") -> str:
  """The script.

  Args:
    runs: one, or the tasks of an array.
    resources: asked for each run.
    logs: folder of what the job prints; it must exist when the job starts.
    python: the interpreter on the nodes.
    setup: shell commands to be run first, `module load cuda`.
  """
  several = len(runs) > 1
  options = [
    f"--job-name={runs[0].name}",
    f"--nodes={resources.nodes}",
    f"--ntasks-per-node={resources.tasks_per_node}",
    *([f"--gpus-per-node={resources.gpus_per_node}"] if resources.gpus_per_node else []),
    f"--time={resources.time}",
    # To the tasks, not to the shell (that would be B:TERM): they save, and the shell looks at how they ended.
    f"--signal=TERM@{resources.grace}",
    "--requeue",
    "--open-mode=append",
    f"--output={logs}/slurm-{'%A_%a' if several else '%j'}.out",
    *([f"--array={resources.array or f'0-{len(runs) - 1}'}"] if several else []),
    *resources.options,
  ]
  return _TEMPLATE.format(
    options="\n".join(f"#SBATCH {_quoted(option)}" for option in options),
    setup=f"\n{setup}\n" if setup else "",
    command=_commands(runs, python) if several else f"run=({runs[0].shell(python)})",
    stragglers=STRAGGLERS,
    preempted=EXIT_PREEMPTED,
  )


def _quoted(option: str) -> str:
  """An option as sbatch reads it from a comment: it knows double quotes."""
  return f'"{option}"' if " " in option else option


def _commands(runs: Sequence[Run], python: str) -> str:
  cases = "\n".join(f"  {i}) run=({run.shell(python)}) ;;" for i, run in enumerate(runs))
  return f'case "$SLURM_ARRAY_TASK_ID" in\n{cases}\n  *) echo "no run $SLURM_ARRAY_TASK_ID" >&2; exit 2 ;;\nesac'


def table_command(runs: Sequence[Run], python: str, output: str) -> str:
  """The shell command that collects the runs' results into one table."""
  return shlex.join([python, "-m", "launch.table", *(run.workdir for run in runs), f"--output={output}"])


_TEMPLATE = """#!/bin/bash
{options}

# The tasks get the signal too, save, and exit with {preempted}; the shell outlives it to see that.
trap : TERM
{setup}
{command}

# Several tasks are one run: they find each other by Slurm's variables.
srun --kill-on-bad-exit=0 --wait={stragglers} "${{run[@]}}"
code=$?

if [ "$code" = {preempted} ]; then
  # A task of an array may have the array's own id, which would mean all of it.
  id=${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}
  id=${{id:-$SLURM_JOB_ID}}
  # Not when Slurm is already taking the job away: it was cancelled, or is being requeued.
  if [ "$(squeue --noheader --job="$id" --format=%T)" = RUNNING ]; then
    echo "preempted, requeued: $id"
    scontrol requeue "$id"
  fi
fi
exit $code
"""
