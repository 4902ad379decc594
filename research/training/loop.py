"""The loop, the only one: every family trains, resumes, is measured and is stopped here."""

import contextlib
import dataclasses
import functools
import logging
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from research.errors import UserError
from research.training import compilation, processes, rundir
from research.training.checkpoint import Checkpoints
from research.training.disk import disk_errors
from research.training.executor import Executor, means
from research.training.experiment import Experiment
from research.training.parallel import GUARD, Plan
from research.training.preemption import Preempted, Preemption

if TYPE_CHECKING:
  from rich.progress import Progress


@dataclasses.dataclass(frozen=True)
class Settings:
  """How a run is run; every duration in steps, 0 for never.

  Attributes:
    total_steps: updates to do.
    seed: of initialisation and every key stream (the data's order has the same seed, through its `Dataset`).
    eval_every, measure_every, save_every, log_every: intervals.
    steps_per_dispatch: updates per call of the compiled step.
    keep, keep_every: checkpoints kept: the newest ones, and those at multiples of a step.
    best_metric, best_mode: metric of `eval_data`, derived and measured ones included, whose best checkpoint is kept,
      and whether `max` or `min` is best.  A state that is the best so far is saved, whatever `save_every` says.
    report_best: whether the final report is of the best checkpoint rather than the last.
    max_skips: updates with a non-finite loss or gradient that are skipped before the run stops.
    profile: steps [start, stop) whose trace is written to `profile/`.
    stop_at: stop, saved, as if preempted, when this step is reached: what tests and time-sliced queues use.
  """

  total_steps: int
  seed: int = 0
  eval_every: int = 0
  measure_every: int = 0
  save_every: int = 0
  log_every: int = 100
  steps_per_dispatch: int = 1
  keep: int = 2
  keep_every: int = 0
  best_metric: str = ""
  best_mode: str = "max"
  report_best: bool = False
  max_skips: int = 0
  profile: tuple[int, int] | None = None
  stop_at: int = 0


class NonFiniteError(FloatingPointError):
  """Training has met more non-finite updates than it may skip.  The checkpoints saved before are good."""


@dataclasses.dataclass
class Outcome:
  """What `train` returns."""

  state: Any
  step: int
  wall_seconds: float
  compile_seconds: float


def executor(experiment: Experiment, settings: Settings, plan: Plan) -> Executor:
  """The experiment laid over the plan's devices, as the settings say: what trains it, evaluates and restores it.

  Raises:
    UserError: a best checkpoint where nothing is evaluated, or a second epoch of what counts examples.
  """
  data = experiment.train_data
  if settings.best_metric and experiment.eval_data is None:
    remedy = 'nothing is evaluated during training: hold out config.data.validation, or name none, best_metric="".'
    raise UserError("config.run.best_metric", settings.best_metric, remedy)
  if experiment.learner.one_pass and settings.total_steps > data.num_batches:
    remedy = f"counting takes one epoch, {data.num_batches} steps; in a second it would count every example twice."
    raise UserError("config.train.duration", f"{settings.total_steps} steps", remedy)
  return Executor(experiment, plan, settings.seed, settings.steps_per_dispatch)


def train(
  executor: Executor,
  settings: Settings,
  run: rundir.RunDirectory,
  preemption: Preemption | None = None,
  begin: Callable[[Any], Any] = lambda state: state,
) -> Outcome:
  """Trains, from the newest checkpoint of the run directory if there is one, to `settings.total_steps`.

  Order: evaluate and save *before* the update, so that what is labelled step s describes state s.  The labels of
  training metrics likewise: the loss at step s is that of state s, on batch s, alone; so a resumed run's rows equal an
  undisturbed one's, however its dispatches were grouped.

  Args:
    executor: of the experiment, by these settings (see the function of that name).
    settings: how it is run.
    run: the folder that it leaves behind.
    preemption: an open one, where the caller holds the signals; by default they are held for as long as this runs.
    begin: of the state at step 0, what training begins with; not called where there is a checkpoint.

  Raises:
    Preempted: SIGTERM or SIGINT came; the state is saved.
    NonFiniteError: see there.
    UserError: the checkpoint is of another architecture, or the disk is full.
  """
  start, clock = time.perf_counter(), compilation.CompileClock()
  with contextlib.ExitStack() as stack:
    if preemption is None:
      preemption = stack.enter_context(Preemption())
    preemption.something_to_save()
    stack.enter_context(disk_errors(run.path))
    checkpoints = stack.enter_context(contextlib.closing(open_checkpoints(run, settings)))
    state = checkpoints.restore(executor.abstract_state())
    if state is None:
      state = begin(executor.init_state())
    writer = stack.enter_context(contextlib.closing(rundir.MetricsWriter(run, resume_step=int(state.step))))
    progress = stack.enter_context(contextlib.closing(_Progress(settings, writer, int(state.step), int(state.skipped))))
    state = _steps(executor, settings, run, checkpoints, preemption, progress, writer, state)
  return Outcome(state, settings.total_steps, time.perf_counter() - start, clock.seconds)


def open_checkpoints(run: rundir.RunDirectory, settings: Settings, read_only: bool = False) -> Checkpoints:
  """The checkpoints of a run directory, kept by the settings' policy."""
  return Checkpoints(
    run.path / "checkpoints",
    keep=settings.keep,
    keep_every=settings.keep_every,
    best_metric=settings.best_metric,
    best_mode=settings.best_mode,
    read_only=read_only,
  )


def _steps(executor, settings, run, checkpoints, preemption, progress, writer, state):
  """From the state's step to the last, with all that is due on the way; the final state, saved."""
  step, data = int(state.step), executor.experiment.train_data
  scoring = _Scoring(executor, settings, preemption, progress, writer)
  due = lambda every: every and step % every == 0 and step > 0
  feeds = executor.feeds(data, _spans(step, settings), settings.steps_per_dispatch)
  with contextlib.closing(_Profiler(settings.profile, run)) as profiler, contextlib.closing(feeds):
    while True:
      try:
        scores = scoring(step, state)
        if scoring.complete:
          checkpoints.check_best(scoring.names)
        if due(settings.save_every) or step == settings.total_steps or checkpoints.improves(scores):
          progress.settle()  # a state that is saved is a state whose update was finite
          writer.flush()  # and its rows outlive whatever happens after
          checkpoints.save(step, state, scores)
        if step == settings.total_steps:
          break
        preemption.poll(step)
        if settings.stop_at == step > 0:
          raise Preempted(step)
      except Preempted:
        progress.settle()
        checkpoints.save(step, state)
        checkpoints.wait()
        raise
      profiler.at(step)
      step, count, feed, device_count = next(feeds)
      state, metrics = executor.update(state, feed, device_count)
      progress.push(step, count, metrics)
      step += count
  checkpoints.wait()
  return state


def _spans(step: int, settings: Settings) -> Iterator[tuple[int, int]]:
  """(first step, number of steps) of each dispatch: none crosses a step at which something is due."""
  every = (settings.eval_every, settings.measure_every, settings.save_every, settings.log_every)
  intervals = [e for e in every if e]
  stops = [s for s in (settings.total_steps, settings.stop_at, *(settings.profile or ())) if s]
  while step < settings.total_steps:
    bound = min([s for s in stops if s > step] + [(step // e + 1) * e for e in intervals])
    count = min(settings.steps_per_dispatch, bound - step)
    yield step, count
    step += count


class _Scoring:
  """What is evaluated and measured of the states at which it is due, written and said.

  Attributes:
    names: of all metrics that there have been.
    complete: whether each kind has been taken at least once.
  """

  def __init__(self, executor: Executor, settings: Settings, preemption, progress: "_Progress", writer):
    experiment, self._total = executor.experiment, settings.total_steps
    self._data, self._poll, self._progress, self._writer = experiment.eval_data, preemption.poll, progress, writer
    self._kinds = {"eval": (settings.eval_every, executor.evaluate)} if experiment.eval_data else {}
    if self._kinds and experiment.measure:
      self._kinds["measure"] = settings.measure_every, executor.measure
    self._taken: set[str] = set()
    self.names: set[str] = set()

  @property
  def complete(self) -> bool:
    return bool(self._kinds) and self._taken == {*self._kinds}

  def __call__(self, step: int, state) -> dict[str, Any]:
    """Scores of this state; none where nothing is due."""
    scores: dict[str, Any] = {}
    for kind, (every, take) in self._kinds.items():
      if not (every and step % every == 0 and step > 0) and step != self._total:
        continue
      self._progress.settle()
      values = take(state, self._data, functools.partial(self._poll, step))
      values = {name: rundir.to_python(value) for name, value in values.items()}
      if shared := sorted({*scores} & {*values}):
        raise ValueError(f"measured metrics have names of evaluated ones: {', '.join(shared)}")
      self._taken.add(kind)
      if values:
        self._writer.write(step, kind, values)
        self._progress.say(step, kind, values)
      scores |= values
    self.names |= {*scores}
    return scores


class _Progress:
  """Training metrics, fetched one dispatch late so that the device never waits; the guard; the console."""

  def __init__(self, settings: Settings, writer: rundir.MetricsWriter, step: int, skipped: int):
    self._settings, self._writer, self._pending = settings, writer, None
    self._skipped = skipped
    self._started = self._said = time.perf_counter()
    self._mark = (step, self._started)
    self._bar = _bar(settings.total_steps, step)

  def close(self) -> None:
    """Takes the bar away."""
    if self._bar is not None:
      self._bar.stop()

  def push(self, step: int, count: int, metrics) -> None:
    """Notes the metrics of the dispatch just begun, and settles the one before."""
    before, self._pending = self._pending, (step + count - 1, metrics)
    self._settle(before)

  def settle(self) -> None:
    """Fetches what is pending: waits for the device."""
    before, self._pending = self._pending, None
    self._settle(before)

  def _settle(self, pending) -> None:
    if pending is None:
      return
    step, metrics = pending
    self._guard(step, metrics)
    every = self._settings.log_every
    # The dispatch that ends where a row is due ends with the update of the step before it.
    if every and ((step + 1) % every == 0 or step + 1 == self._settings.total_steps or step == 0):
      values = {name: rundir.to_python(value) for name, value in means(jax.device_get(metrics)).items()}
      self._writer.write(step, "train", values)
      rate = self._rate(step)
      self._writer.write(step, "timing", {"steps_per_second": rate, "memory_gib": memory_gib()})
      self.say(step, "train", values, rate)

  def _guard(self, step, metrics):
    skipped, finite = np.asarray(metrics[GUARD]).tolist()  # one small fetch; the metrics stay until a row is due
    new, self._skipped = skipped - self._skipped, skipped
    if finite and not new:
      return
    values = {name: rundir.to_python(value) for name, value in means(jax.device_get(metrics)).items()}
    what = f"step {step}: non-finite loss or gradient ({skipped} skipped so far); metrics {values}"
    # A learner that does not skip by itself is in a state of no use: stop whatever the allowance.
    if skipped > self._settings.max_skips or not new:
      raise NonFiniteError(
        f"{what}. Stopped; the checkpoints saved before are good. Lower the learning rate, clip gradients "
        f"(config.optimizer.clip_norm), or allow skips (config.run.max_skips = {self._settings.max_skips})."
      )
    logging.warning("%s", what)

  def _rate(self, step):
    now = time.perf_counter()
    before, then = self._mark
    self._mark = (step, now)
    return (step - before) / max(now - then, 1e-9)

  def say(self, step: int, kind: str, values: Mapping[str, Any], rate: float | None = None) -> None:
    """A line for the person watching: at most one a second of training, every evaluation; from process 0."""
    now = time.perf_counter()
    if not processes.is_main():
      return
    if kind == "train" and now - self._said < 1 and step:
      return
    self._said = now
    if self._bar is not None:
      self._bar.update(self._bar.task_ids[0], completed=step)
    numbers = "  ".join(f"{name} {value:.4g}" for name, value in values.items() if isinstance(value, float))
    tail = ""
    if rate:
      left = (self._settings.total_steps - step) / rate
      tail = f"  | {rate:.4g} steps/s  ETA {int(left // 60)}:{int(left % 60):02d}  {memory_gib():.1f} GiB"
    line = f"{kind:5} {step:>7}/{self._settings.total_steps}  {numbers}{tail}"
    if self._bar is not None and kind == "train":
      self._bar.update(self._bar.task_ids[0], description=numbers)
    elif self._bar is not None:
      self._bar.console.print(line, highlight=False, markup=False)
    else:
      print(line, file=sys.stderr, flush=True)


def _bar(total: int, step: int) -> "Progress | None":
  """Steps, share, time left and the newest training metrics, on a terminal; None elsewhere, where lines are told."""
  if not (processes.is_main() and sys.stderr.isatty()):
    return None
  from rich import console, progress  # here: most runs write to a file

  columns = (
    progress.BarColumn(24),
    progress.MofNCompleteColumn(),
    progress.TimeRemainingColumn(compact=True),
    progress.TextColumn("{task.description}", markup=False),
  )
  bar = progress.Progress(*columns, console=console.Console(stderr=True), transient=True)
  bar.add_task("", total=total, completed=step)
  bar.start()
  return bar


def memory_gib() -> float:
  """Peak device memory in GiB; where the device does not tell (CPU), the process's peak resident set."""
  stats = jax.local_devices()[0].memory_stats() or {}
  used = stats.get("peak_bytes_in_use")
  return (used if used else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024) / 2**30


class _Profiler:
  """A trace of the steps asked for."""

  def __init__(self, span, run):
    # Of several processes the first is traced: on one machine they would write to the same file.
    self._span = span if span and run.writes else (0, 0)
    self._folder, self._on = run.path / "profile", False

  def at(self, step):
    if not self._on and self._span[0] <= step < self._span[1]:
      jax.profiler.start_trace(str(self._folder))
      self._on = True
    elif self._on and step >= self._span[1]:
      self.close()

  def close(self):
    if self._on:
      jax.profiler.stop_trace()
      self._span, self._on = (0, 0), False
