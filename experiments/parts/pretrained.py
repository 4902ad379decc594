"""A model that another experiment needs: trained on the spot, or taken from the folder of its run."""

import contextlib
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import ml_collections

from experiments.command import runs, session
from research.errors import UserError
from research.training import loop, parallel, rundir
from research.training.executor import Executor
from research.training.experiment import Experiment

Build = Callable[[ml_collections.ConfigDict], Experiment]


def trained(build: Build, config: ml_collections.ConfigDict) -> tuple[Executor, Any]:
  """An experiment, trained in a folder that is then thrown away: its executor and state."""
  with tempfile.TemporaryDirectory() as folder, contextlib.closing(rundir.RunDirectory(folder)) as directory:
    experiment = build(config)
    settings = session.settings_of(config, experiment.train_data)
    executor = loop.executor(experiment, settings, parallel.plan("jit", 1))
    return executor, loop.train(executor, settings, directory).state


def loaded(
  build: Build, folder: pathlib.Path, field: str, experiments: str
) -> tuple[ml_collections.ConfigDict, Executor, Any]:
  """The config of the run in a folder, its executor, and the state that it reports.

  Args:
    build: of the run's experiment.
    folder: the run's.
    field: of the config that named it, for messages.
    experiments: what it is to be a run of, for messages.

  Raises:
    UserError: it holds no finished run, or one whose config is of another form.
  """
  if not (folder / "config.json").is_file() or not (folder / "checkpoints").is_dir():
    remedy = f"name the folder of a finished run of {experiments}, or leave it empty."
    raise UserError(field, str(folder), remedy)
  with contextlib.closing(rundir.RunDirectory(folder)) as directory:
    config = runs.restored(directory.read_json("config.json") or {}, runs.origin(str(folder)).get("config", ""))
    try:
      experiment = build(config)
    except (AttributeError, KeyError) as error:  # what ml_collections raises of a field that is not there
      remedy = f"another revision wrote its config.json, which has no {error}: train it anew."
      raise UserError(field, str(folder), remedy) from error
    settings = session.settings_of(config, experiment.train_data)
    executor = loop.executor(experiment, settings, parallel.plan("jit", 1))
    return config, executor, session.restore(executor, settings, directory)
