"""A finished run in Python: its config, state and metrics, and what its family does, on arrays."""

import contextlib
import functools
import importlib
import io
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import jax
import ml_collections
import numpy as np

from experiments.command import runs, session
from research.data import pipeline, remembered
from research.data.dataset import Dataset
from research.errors import UserError
from research.training import loop, parallel, rundir
from research.training.executor import Executor
from research.training.experiment import Experiment
from research.training.precision import precision


class Run:
  """What `open_run` returns.  Nothing in the folder is written; what costs something is made at first use.

  Attributes:
    path: the folder.
    config: of the run, locked.
    result: `result.json`; empty where the run has not finished.
    metrics: column -> list, a row each of `metrics.jsonl`, None where a row has no such number: what
      `pandas.DataFrame` takes.
  """

  def __init__(self, path: str | pathlib.Path, build: Callable[[ml_collections.ConfigDict], Experiment] | None = None):
    self.path = pathlib.Path(path)
    if not runs.holds_one(str(path)):
      raise UserError("run", str(path), "it is no folder of a run: name one that has a config.json.")
    self.name = runs.origin(str(path)).get("experiment", "")
    if build is None and not self.name:
      raise UserError("run", str(path), "it does not say of which experiment: give build=experiments.NAME.experiment.")
    self._build = build or importlib.import_module(f"experiments.{self.name}").experiment
    default = getattr(importlib.import_module(self._build.__module__), "DEFAULT", "")
    _, self.config = runs.load(str(path), self.name, default, {})
    self.result = runs._read(self.path / "result.json") or {}
    rows = rundir.read_rows(self.path / "metrics.jsonl")
    columns = dict.fromkeys(name for row in rows for name in row)
    self.metrics = {name: [row.get(name) for row in rows] for name in columns}

  @functools.cached_property
  def _parts(self) -> tuple[Experiment, Executor, remembered.Memory]:
    return self._made(self.config)

  def _made(self, config: ml_collections.ConfigDict) -> tuple[Experiment, Executor, remembered.Memory]:
    memory = remembered.Memory(self.path, stand_in=True)
    with precision(config.train.precision):
      experiment = session.built(self._build, config, memory, "predict")
      settings = session.settings_of(config, experiment.train_data)
      return experiment, loop.executor(experiment, settings, parallel.plan("jit", 1)), memory

  @property
  def experiment(self) -> Experiment:
    """The family, its network and its data."""
    return self._parts[0]

  @functools.cached_property
  def state(self) -> Any:
    """The state that the run reports: its newest, or its best where `config.run.report_best` says so."""
    with precision(self.config.train.precision):
      executor = self._parts[1]
      settings = session.settings_of(self.config, executor.experiment.train_data)
      with contextlib.closing(rundir.RunDirectory(self.path, writes=False)) as directory:
        return executor.plan.local(session.restore(executor, settings, directory, read_only=True))

  def predict(self, inputs: Any = "") -> dict[str, Any]:
    """What `--mode=predict` leaves, of inputs, or of a text or path as `--input` takes it.

    Args:
      inputs: [example, ...]; a list of texts, numbers [row, column] or a list of sounds [sample], -1 to 1, where the
        family reads such files.

    Raises:
      UserError: the experiment predicts nothing, or inputs are not as the model was trained.
    """
    session.check_mode(self.experiment, "predict", inputs if isinstance(inputs, str) else "given", self._parts[2])
    predict: Any = self.experiment.predict
    with tempfile.TemporaryDirectory() as folder, self._quiet():
      if not isinstance(inputs, str | pathlib.Path):
        inputs = (self.experiment.as_file or _archive)(inputs, pathlib.Path(folder))
      return dict(predict(self.state, str(inputs)))

  def sample(self, count: int = 0, seed: int | None = None) -> dict[str, Any]:
    """What `--mode=sample` leaves: new examples.

    Args:
      count: `config.report.samples`, or `config.measure.samples` of a GAN; 0 leaves it.
      seed: what they are drawn by; by default as the command does.

    Raises:
      UserError: the experiment generates nothing.
    """
    session.check_mode(self.experiment, "sample", "", self._parts[2])
    config, experiment, state = self.config.copy_and_resolve_references(), self.experiment, self.state
    sections = [section for section in ("report", "measure") if "samples" in config.get(section, {})]
    if count or seed is not None:
      with config.unlocked():
        for section in sections:
          config[section].samples = count or config[section].samples
        config.seed = config.seed if seed is None else seed
      experiment = self._made(config)[0]
    sample: Any = experiment.sample
    with self._quiet():
      return dict(sample(state if seed is None else state.replace(key=jax.random.key(seed))))

  def score(self, **arrays: Any) -> dict[str, Any]:
    """The means that an evaluation takes, by name: of the test set, or of these arrays in its place.

    Args:
      arrays: as the test set has them, all of its fields: for a classifier `inputs=..., label=...`.

    Raises:
      UserError: other fields, shapes or types, or the test set is not here.
    """
    executor, test = self._parts[1], self.experiment.test_data
    if test is None:
      raise UserError("score", self.name, "this experiment measures nothing.")
    if not arrays and self._parts[2].absent:
      raise UserError("score", "", "the test set is not here: give arrays.")
    data = _in_place_of(test, arrays) if arrays else test
    with precision(self.config.train.precision):
      return {name: rundir.to_python(value) for name, value in executor.evaluate(self.state, data).items()}

  @contextlib.contextmanager
  def _quiet(self):
    """Computes as the run did, and does not print."""
    with precision(self.config.train.precision), contextlib.redirect_stdout(io.StringIO()):
      yield


def _archive(inputs: Any, folder: pathlib.Path) -> pathlib.Path:
  np.savez(folder / "inputs.npz", inputs=np.asarray(inputs))
  return folder / "inputs.npz"


def _in_place_of(test: Dataset, given: Mapping[str, Any]) -> Dataset:
  """Arrays as a test set."""
  fields = {name: np.asarray(value) for name, value in test.resident.items()}
  if {*given} != {*fields}:
    raise UserError("score", sorted(given), f"give the fields of the test set: {', '.join(sorted(fields)) or 'none'}.")
  arrays = {name: np.asarray(value) for name, value in given.items()}
  for name, like in fields.items():
    value = arrays[name]
    if value.shape[1:] != like.shape[1:] or (value.dtype == np.uint8) != (like.dtype == np.uint8):
      remedy = f"the model was trained on {like.dtype} {list(like.shape[1:])}."
      raise UserError(f"score: {name}", f"{value.dtype} {list(value.shape[1:])}", remedy)
    arrays[name] = value.astype(like.dtype)
  return pipeline.sequential(arrays, min(test.batch_size, len(value)), name="given", assemble=test.assemble)
