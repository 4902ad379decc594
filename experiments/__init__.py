"""One file per family; `python -m experiments` lists them."""

import sys

from research.training import host

# `python -m experiments.x` executes this file first, before anything slow is imported.
if len(sys.orig_argv) > 2 and "-m" in sys.orig_argv and any(a.startswith("experiments.") for a in sys.orig_argv):
  host.tune_cpu()


def open_run(path, build=None):
  """A run's folder in Python (`experiments.command.opened.Run`): config, state, metrics; predict, sample, score.

  Args:
    path: the folder.
    build: `build(config) -> Experiment`, where the run is not of an experiment of this package.
  """
  from experiments.command.opened import Run  # this imports jax

  return Run(path, build)
