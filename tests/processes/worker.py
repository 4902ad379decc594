"""What each process of a test's job runs: `python -m tests.processes.worker FOLDER NAME[:MODE] ...`.

Trains the smoke variant of `configs/NAME.py` into `FOLDER/NAME-MODE`, or goes on with what is there, one after the
other in the same processes.
"""

import dataclasses
import pathlib
import sys
import tempfile
from collections.abc import Sequence

import numpy as np

from experiments.command import session
from research.training import loop, parallel, processes, rundir
from research.training.precision import precision
from tests.conformance import test_conformance as conformance


def folder_of(base: pathlib.Path, job: str) -> pathlib.Path:
  return base / job.replace("/", "_").replace(":", "-")


def train(job: str, base: pathlib.Path, devices: int, mode: str = "", stop_at: int = 0) -> list[np.ndarray]:
  """One run; the numbers of its final state, whole."""
  name, _, own = job.partition(":")
  config = conformance.load(name, base, **{"run.num_devices": 4})  # which whole sets are padded for, on fewer too
  with precision(config.train.precision):
    experiment = conformance.experiment_of(name)(config)
    settings = dataclasses.replace(session.settings_of(config, experiment.train_data), stop_at=stop_at)
    plan = parallel.plan(mode or own or "pmap", devices)
    directory = rundir.RunDirectory(folder_of(base, job), writes=processes.is_main())
    try:
      state = loop.train(loop.executor(experiment, settings, plan), settings, directory).state
      return conformance.numbers(plan.local(state))
    finally:
      directory.close()


def one_process(job: str, devices: int) -> list[np.ndarray]:
  """The same in this process, in a folder that is not kept."""
  with tempfile.TemporaryDirectory() as folder:
    return train(job, pathlib.Path(folder), devices)


def main(base: pathlib.Path, jobs: Sequence[str]) -> None:
  processes.join()
  for job in jobs:
    numbers = train(job, base, 0)
    processes.wait_for_main(f"trained {job}")  # so its folder is there
    np.savez(folder_of(base, job) / f"state{processes.index()}.npz", *numbers)
  processes.leave(0)


if __name__ == "__main__":
  main(pathlib.Path(sys.argv[1]), sys.argv[2:])
