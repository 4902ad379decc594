"""One run, from a config to what it leaves behind."""

import dataclasses
import difflib
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import ml_collections
import numpy as np

from experiments.command import cli, export, ranges, runs
from research.data import remembered
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import figures
from research.training import compilation, durations, loop, parallel, processes, rundir, warm
from research.training.disk import disk_errors
from research.training.executor import Executor
from research.training.experiment import Experiment, Report
from research.training.job import EXIT_PREEMPTED
from research.training.precision import precision
from research.training.preemption import Preempted, Preemption

EXIT_NON_FINITE = 3


def run(
  build: Callable,
  name: str,
  config_name: str,
  config: ml_collections.ConfigDict,
  workdir: str,
  mode: str,
  source: str,
  overrides: Mapping[str, str] | None = None,
) -> int:
  """Trains and reports, or evaluates or predicts from the checkpoint; the exit code.

  Args:
    build: `build(config) -> Experiment`.
    name, config_name, overrides: of the experiment, its config file and what the command line changed in it, for
      `result.json`.
    config: the resolved config.
    workdir: the run's folder.
    mode, source: as on the command line.
  """
  header = {"experiment": name, "config": config_name, "overrides": dict(overrides or {}), "seed": config.seed}
  return guarded(
    lambda preemption: _run(build, config, workdir, mode, source, header, preemption), workdir, config.train.precision
  )


def guarded(function: Callable[[Preemption], int], workdir: str, numbers: str) -> int:
  """`function(preemption)` with what every run is guarded by; its exit code, or that of what stopped it.

  Args:
    function: the run.
    workdir: its folder, for messages.
    numbers: `config.train.precision`.
  """
  try:
    with Preemption() as preemption, disk_errors(workdir), precision(numbers):
      preemption.nothing_to_save(None)
      return function(preemption)
  except Preempted as stop:
    where = "before training began" if stop.step is None else f"at step {stop.step}, saved in {workdir}"
    _say(f"preempted {where}: run the same command to go on", file=sys.stderr)
    return EXIT_PREEMPTED
  except loop.NonFiniteError as error:
    _say(f"error: {error}", file=sys.stderr)
    return EXIT_NON_FINITE


def _say(text: str, **options) -> None:
  """Prints, from process 0, what all processes have come to together."""
  if processes.is_main():
    print(text, **options)


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A run before its folder is touched and anything is computed: all that a config is checked by has passed."""

  experiment: Experiment
  settings: loop.Settings
  executor: Executor


def prepared(
  build: Callable, config: ml_collections.ConfigDict, memory: remembered.Memory, mode: str, begun: bool = False
) -> Prepared:
  """The experiment of a config, laid over the devices.

  Args:
    build, config: of the experiment.
    memory: of its data.
    mode: as on the command line.
    begun: whether there is a checkpoint to go on from.

  Raises:
    UserError: what the config asks for cannot be.
  """
  check_claims(config)
  ranges.check(cli.flattened(config))
  fit_devices(config, mode)
  if mode == "train" and not begun and config.get("init_from"):
    warm.checkpoints_of(config.init_from)
  experiment = built(build, config, memory, mode)
  settings = settings_of(config, experiment.train_data)
  if mode == "train":
    check_best(experiment, settings)
  return Prepared(experiment, settings, loop.executor(experiment, settings, plan_of(config, experiment)))


def check_best(experiment: Experiment, settings: loop.Settings) -> None:
  """Raises UserError where the best checkpoint is one by a metric that there is not, or that is taken once."""
  metric, names = settings.best_metric, experiment.definitions
  if metric and metric not in names:
    near = difflib.get_close_matches(metric, names, 1)
    remedy = f"no such metric is evaluated; there are {', '.join(sorted(names))}{f': use {near[0]}?' if near else '.'}"
    raise UserError("config.run.best_metric", metric, remedy)
  if metric and not settings.eval_every and not (experiment.measure and settings.measure_every):
    remedy = f"there is no best {metric} of one evaluation, at the end: give an interval, or name no metric."
    raise UserError("config.run.eval_every", settings.eval_every, remedy)


def _run(build, config, workdir, mode, source, header, preemption) -> int:
  compilation.use_persistent_cache(config.run.compilation_cache)
  start = time.perf_counter()
  memory = remembered.Memory(workdir, stand_in=mode not in ("train", "evaluate"))
  begun = any((pathlib.Path(workdir) / "checkpoints").glob("[0-9]*"))
  ready = prepared(build, config, memory, mode, begun)
  experiment, settings, executor = ready.experiment, ready.settings, ready.executor
  check_mode(experiment, mode, source, memory)
  if mode == "train":
    for note in notes_of(config, experiment):
      _say(f"note: {note}", file=sys.stderr)
  if mode != "train" and not (pathlib.Path(workdir) / "checkpoints").is_dir():
    raise UserError("--workdir", workdir, "it holds no checkpoint: train there first (--mode=train).")
  with processes.together():  # process 0 holds the folder for all
    directory = rundir.RunDirectory(workdir, writes=processes.is_main())
  try:
    with processes.together():
      prolonged = claim(directory, config, mode, memory, settings, experiment)
    if mode in ("predict", "sample", "export"):
      state = executor.plan.local(restore(executor, settings, directory))
      return _predict(state, experiment, directory, mode, source)
    header |= prolonged
    return _train_or_evaluate(executor, config, settings, directory, header, mode, start, preemption)
  finally:
    directory.close()


def built(build: Callable, config: ml_collections.ConfigDict, memory: remembered.Memory, mode: str) -> Experiment:
  """`build(config)` with what the run remembers of its data.

  Raises:
    UserError: as it has; of a run that there is, with how to say where its data are now.
  """
  try:
    with memory:
      return build(config)
  except UserError as error:
    field, remedy = cli.full_name(error.field, error.value, config), error.remedy
    places = [name for name in ("path", "data_dir") if name in config.get("data", {})]
    if mode != "train" and places and any(word in field for word in ("path", "data_dir")):
      where = " or ".join(f"--config.data.{name}=..." for name in places)
      remedy = f"{remedy} (Where its data have moved, say so: {where})"
    if (field, remedy) == (error.field, error.remedy):
      raise
    raise UserError(field, error.value, remedy) from error


def claim(
  directory: rundir.RunDirectory,
  config: ml_collections.ConfigDict,
  mode: str,
  memory: remembered.Memory,
  settings: loop.Settings,
  experiment: Experiment,
) -> dict[str, Any]:
  """Makes the folder this run's; or, where nothing is trained, holds the config against that of the run in it.

  A run may be made longer; what is noted of that is returned.

  Raises:
    UserError: it is a run of another config, or of data that have changed since.
  """
  if mode != "train":
    notes = directory.claim(config.to_dict(), free=(*runs.FREE, *runs.PLACES, "data.eval_batch_size"), write=False)
    notes += [f"data are not here ({why}): going by what the run remembers" for why in memory.absent.values()]
    for note in notes:
      _say(f"note: {note}", file=sys.stderr)
    return {}
  before = ((directory.read_json("config.json") or {}).get("train") or {}).get("duration", config.train.duration)
  field = "config.train.duration"
  steps = durations.steps(before, per_step=experiment.train_data.per_step, field=field)
  longer = settings.total_steps > steps
  begun = any((directory.path / "checkpoints").glob("[0-9]*"))
  may_differ = (*(("train.duration",) if longer else ()), *(() if begun else ("init_from", "init_paths")))
  directory.claim(config.to_dict(), free=("run", "published", "bars", *may_differ))
  if changed := memory.changed():
    remedy = f"its data have changed since it was begun ({changed}): bring them back, or use another workdir."
    raise UserError("--workdir", str(directory.path), remedy)
  if directory.writes:
    memory.save(directory.path)
  if not longer:
    return {}
  schedule = config.get("optimizer", {}).get("schedule", "constant")
  _say(f"note: it goes on for {settings.total_steps} steps instead of {steps}", file=sys.stderr)
  if schedule != "constant":
    jumps = f"the schedule {schedule} is now one of {settings.total_steps} steps: the learning rate jumps"
    anew = f"to begin one anew, take another workdir and --config.init_from={directory.path}"
    _say(f"note: {jumps}; {anew}", file=sys.stderr)
  return {"prolonged": {"from": steps, "to": settings.total_steps}}


def notes_of(config: ml_collections.ConfigDict, experiment: Experiment) -> list[str]:
  """What is odd and no error: the experiment's own notes, and batches that hold an example more than once."""
  notes, data = list(experiment.notes), experiment.train_data
  size = config.train.get("batch_size", 0)
  if data.num_examples and size > data.num_examples:
    notes.append(f"config.train.batch_size = {size:,} is more than the {data.num_examples:,} training examples")
  return notes


def check_mode(experiment: Experiment, mode: str, source: str, memory: remembered.Memory) -> None:
  """Raises UserError where an experiment has not what a mode asks for, or the data for it are not here."""
  if mode == "predict" and experiment.predict is None:
    raise UserError("--mode", "predict", "this experiment has nothing to predict; use evaluate.")
  if mode == "sample" and experiment.sample is None:
    raise UserError("--mode", "sample", "this experiment generates nothing; use predict or evaluate.")
  if mode == "predict" and not source and experiment.sample is None and memory.absent:
    why = next(iter(memory.absent.values()))
    raise UserError("--input", source, f"its test set, which would be predicted, is not here ({why}): name an input.")


def fit_devices(config: ml_collections.ConfigDict, mode: str) -> None:
  """Where nothing is trained, a run of more devices than there are here is looked at on one."""
  if mode != "train" and config.run.num_devices > jax.device_count():
    _say(f"note: it was trained on {config.run.num_devices} devices; here on one", file=sys.stderr)
    with config.unlocked():
      config.run.update({"num_devices": 1, "parallelism": "auto"})


def settings_of(config: ml_collections.ConfigDict, data: Dataset) -> loop.Settings:
  """The loop's settings, every duration in steps."""
  total = durations.steps(config.train.duration, per_step=data.per_step, field="config.train.duration")
  if total < 1:
    raise UserError("config.train.duration", config.train.duration, "train for at least one step.")

  def steps(field: str) -> int:
    value = durations.steps(config.run[field], per_step=data.per_step, total_steps=total, field=f"config.run.{field}")
    # A share of a short run may round to nothing, which would mean `never`.
    return max(value, 1) if "%" in str(config.run[field]) else value

  profile = None
  if config.run.profile:
    first, colon, last = config.run.profile.partition(":")
    if not colon or not (first + last).isdigit():
      raise UserError("config.run.profile", config.run.profile, 'give first and last step, as in "10:20".')
    profile = (int(first), int(last))
  run = config.run
  _check_run(run)
  return loop.Settings(
    total_steps=total,
    seed=config.seed,
    eval_every=steps("eval_every"),
    measure_every=steps("measure_every"),
    save_every=steps("save_every"),
    log_every=steps("log_every"),
    keep_every=steps("keep_every"),
    profile=profile,
    **{
      f: run[f]
      for f in ("steps_per_dispatch", "keep", "best_metric", "best_mode", "report_best", "max_skips", "stop_at")
    },
  )


def _check_run(run: ml_collections.ConfigDict) -> None:
  """Words that mean nothing."""
  if run.best_mode not in ("max", "min"):
    raise UserError("config.run.best_mode", run.best_mode, "choose max or min.")
  if run.report_best and not run.best_metric:
    raise UserError(
      "config.run.report_best", True, "best by what? Name an evaluation metric in config.run.best_metric."
    )


def plan_of(
  config: ml_collections.ConfigDict, experiment: Experiment, devices: Sequence[jax.Device] | None = None
) -> parallel.Plan:
  """Which devices, of this process or of those given, and how; batch sizes are checked, before anything compiles."""
  sizes = {"config.train.batch_size": experiment.train_data.batch_size}
  for data in (experiment.eval_data, experiment.test_data):
    if data is not None:
      sizes["config.data.eval_batch_size"] = data.batch_size
  return parallel.plan(config.run.parallelism, config.run.num_devices, batch_sizes=sizes, devices=devices)


def _train_or_evaluate(executor, config, settings, directory, header, mode, start, preemption) -> int:
  history = directory.read_json("run.json") or {"launches": []}
  begun = {name: header[name] for name in ("experiment", "config", "overrides", "prolonged") if name in header}
  launch = {**rundir.environment(), **begun, "parallelism": executor.plan.mode, "mode": mode, "seed": config.seed}
  directory.write_json("run.json", {"launches": [*history["launches"], launch]})
  clock = compilation.CompileClock()
  try:
    if mode == "train":

      def begin(state):
        if not config.get("init_from"):
          return state
        state, launch["init_from"] = warm.begin(state, config.init_from, config.init_paths)
        directory.write_json("run.json", {"launches": [*history["launches"], launch]})
        return state

      state = loop.train(executor, settings, directory, preemption, begin).state
      preemption.nothing_to_save(int(state.step))
      if settings.report_best:
        state = restore(executor, settings, directory)
    else:
      state = restore(executor, settings, directory)
    step = int(state.step)
    preemption.nothing_to_save(step)
    metrics, paths = final(executor, config, directory, state)
  finally:
    launch |= {"wall_seconds": time.perf_counter() - start, "compile_seconds": clock.seconds}
    directory.write_json("run.json", {"launches": [*history["launches"], launch]})
  # What it took to train, also of a run that is evaluated again; a launch that was killed has left no time.
  trained = [entry for entry in history["launches"] if entry.get("mode") == "train" and "wall_seconds" in entry]
  counted = [*trained, launch] if mode == "train" or not trained else trained
  seconds = [sum(entry.get(name, 0) for entry in counted) for name in ("wall_seconds", "compile_seconds")]
  conclude(directory, {**header, "step": step, "metrics": metrics}, launch, paths, *seconds)
  processes.wait_for_main("reported")
  if directory.writes:
    check_claims(config, metrics)
  return 0


def conclude(
  directory: rundir.RunDirectory,
  conclusion: Mapping[str, Any],
  launch: Mapping[str, Any],
  paths: Sequence[pathlib.Path],
  wall_seconds: float,
  compile_seconds: float,
) -> None:
  """Writes `result.json`, and says what a run has come to.

  Args:
    directory: the run's folder.
    conclusion: experiment, config, overrides, seed, step and metrics.
    launch: of `run.json`.
    paths: of figures and samples.
    wall_seconds, compile_seconds: of the run's training.
  """
  result = {
    **conclusion,
    "wall_seconds": round(wall_seconds, 2),
    "compile_seconds": round(compile_seconds, 2),
    "device": launch["device"],
    "commit": launch["commit"],
    "finished": True,
  }
  path = directory.write_json("result.json", result)
  for file in paths:
    _say(f"{'figure' if file.suffix == '.png' else 'sample'} {file}")
  numbers = "  ".join(
    f"{n} {m['value']:.4f}" for n, m in conclusion["metrics"].items() if isinstance(m["value"], float)
  )
  _say(f"result {path}  step {conclusion['step']}  {numbers}  ({wall_seconds:.0f} s)")


def restore(
  executor: Executor, settings: loop.Settings, directory: rundir.RunDirectory, read_only: bool = False
) -> Any:
  """The state to report: the newest, or the best where `report_best` asks for it; `read_only`, nothing is moved.

  Raises:
    UserError: nothing is saved there.
  """
  checkpoints = loop.open_checkpoints(directory, settings, read_only)
  best = checkpoints.best_step() if settings.report_best else None
  state = checkpoints.restore(executor.abstract_state(), best)
  checkpoints.close()
  if state is None:
    raise UserError("--workdir", str(directory.path), "it holds no checkpoint: train there first (--mode=train).")
  return state


def final(executor, config, directory, state):
  """Metrics of the test set and of the report, each with its definition and the published value; the paths of
  figures and samples.  Of several processes all evaluate and the first reports."""
  experiment: Experiment = executor.experiment
  measured = executor.measure(state, experiment.test_data)
  evaluated = executor.evaluate(state, experiment.test_data)
  values = {f"test_{name}": value for name, value in {**evaluated, **measured}.items()}
  definitions = {f"test_{name}": f"{text}; test set" for name, text in experiment.definitions.items()}
  # Reports run on one device: they are measured in examples, not in steps.
  state = executor.plan.local(state)
  if not directory.writes:
    return {}, []
  report: Report = experiment.report(state)
  metrics = {}
  reported = {
    _TWICE * (name in values) + name: name for name in report.metrics
  }  # both are kept, and `check_claims` ends
  values |= {name: report.metrics[own] for name, own in reported.items()}
  definitions |= {name: report.definitions.get(own, "") for name, own in reported.items()}
  for name, value in values.items():
    definition = definitions.get(name, "")
    extra = {key: dict(table[name]) for key, table in (("bar", config.bars),) if name in table}
    published = dict(config.published[name]) if name in config.published else {}
    reference = {"published": published["value"], "source": published["source"]} if published else {}
    metrics[name] = {"value": rundir.to_python(np.asarray(value)), "definition": definition, **reference, **extra}
  curves = figures.learning_curves(rundir.read_rows(directory.path / "metrics.jsonl"))
  figures_by_name = {"learning_curves": curves, **report.figures}
  paths = [figures.save(figure, directory.path / "figures" / f"{name}.png") for name, figure in figures_by_name.items()]
  return metrics, paths + _write(directory, report.files)


_TWICE = "report_"


def check_claims(config: ml_collections.ConfigDict, metrics: Mapping[str, Any] | None = None) -> None:
  """Holds the config's bars and published values against themselves and, once there are some, the metrics.

  Called before training without metrics, and after `result.json` is written with them: nothing is lost.

  Raises:
    UserError: a bar without `min` or `max`; a published value without `value` or `source`; either of a metric that was
      not measured; a metric that both the test set's evaluation and the report have.
  """
  for name, bar in config.bars.items():
    if not set(bar) or not set(bar) <= {"min", "max"}:
      raise UserError(f"config.bars.{name}", dict(bar), 'give {"min": x}, {"max": x} or both.')
  for name, published in config.published.items():
    if set(published) != {"value", "source"}:
      raise UserError(f"config.published.{name}", dict(published), 'give {"value": x, "source": where}.')
  if metrics is None:
    return
  there = f"there are {', '.join(metrics)}; result.json has these, and is written."
  for section in ("bars", "published"):
    for name in config[section]:
      if name not in metrics:
        raise UserError(
          f"config.{section}.{name}", dict(config[section][name]), f"no such metric was measured: {there}"
        )
  for name in metrics:
    if _TWICE + name in metrics:
      raise UserError("report.metrics", name, f"the test set's evaluation has that name too: call it another; {there}")


def _write(directory: rundir.RunDirectory, files: Mapping[str, bytes]) -> list[pathlib.Path]:
  """Writes files to `samples/`; their paths."""
  folder = directory.path / "samples"
  if files:
    folder.mkdir(exist_ok=True)
  for name, contents in files.items():
    (folder / name).write_bytes(contents)
  return [folder / name for name in files]


def _predict(state, experiment, directory: rundir.RunDirectory, mode: str, source: str) -> int:
  if directory.writes and mode == "export":
    for file in export.export(directory.path, experiment, state):
      print(f"export {file}")
  elif directory.writes:
    _write_outputs(experiment.sample(state) if mode == "sample" else experiment.predict(state, source), directory, mode)
  processes.wait_for_main("predicted")
  return 0


def _write_outputs(outputs: Mapping[str, Any], directory: rundir.RunDirectory, mode: str) -> None:
  for file in _write(directory, {name: value for name, value in outputs.items() if isinstance(value, bytes)}):
    print(f"sample {file}")
  arrays = {name: value for name, value in outputs.items() if not isinstance(value, bytes)}
  path = directory.path / ("samples.npz" if mode == "sample" else "predictions.npz")
  np.savez(path, **arrays)
  for name, value in arrays.items():
    print(f"{name} {np.asarray(value).shape}: {np.array2string(np.asarray(value).ravel()[:8], precision=3)} ...")
  print(f"{path.stem} {path}")
