"""The promises that every experiment keeps (docs/architecture.md), run over the configs' smoke variants.

No test here knows a family: a new config is held to this by existing, in one of two tiers.

- *Every promise*: the DEFAULT config of each experiment, and one config for each further kind of state that its
  configs train (Adam's, EM's, two players', ...), which says so by a line `CONFORMANCE = "every promise"`.  Held: a
  whole run by the command line and its files; purity; 4 devices as 1 (pmap, FSDP); stopped and resumed; key streams;
  seeds; misspelt fields; non-finite numbers; one compilation; lowering for a TPU.
- *What can differ*: every other config.  Held: it builds; one step is finite and changes the state; saved there and
  gone on with, it is what it would have been; it evaluates, to numbers that have definitions; its kind of state is
  held to every promise by another config of its experiment.

`make conformance` holds every config to every promise.
"""

import contextlib
import dataclasses
import functools
import importlib
import io
import json
import pathlib
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.command import cli, listing, session
from research import randomness
from research.errors import UserError
from research.training import loop, parallel, rundir
from research.training.checkpoint import Checkpoints
from research.training.compilation import CompileClock
from research.training.executor import Executor
from research.training.learner import State
from research.training.precision import precision
from research.training.preemption import Preempted
from tests.conformance.conftest import SHORT, WHOLE, params

STOP = 5  # neither a step at which something is saved nor one at which something is measured


@dataclasses.dataclass
class Trained:
  """An undisturbed run by the command line, and one that was stopped at `STOP`: what the tests below start from."""

  name: str
  config: object
  settings: loop.Settings
  folder: pathlib.Path
  stopped: pathlib.Path
  printed: str
  programs: dict
  executor: Executor
  state: object


def load(name, data, **overrides):
  config = cli.load_config(f"configs/{name}.py:smoke")
  with config.unlocked():
    if name.endswith("/own"):
      of_family = data / "raw" / f"own_{name.partition('/')[0]}"
      config.data.path = str(of_family if of_family.exists() else data / "own")
    config.run.num_devices = 1
    config.update_from_flattened_dict(overrides)
  return config


@functools.cache
def experiment_of(name):
  return importlib.import_module(f"experiments.{name.partition('/')[0]}").experiment


def run(executor, settings, folder):
  with contextlib.closing(rundir.RunDirectory(folder)) as directory:
    return loop.train(executor, settings, directory).state


@pytest.fixture(scope="module", params=params(WHOLE))
def trained(request, data, tmp_path_factory):
  """One undisturbed run of a config on one device, from the config to `result.json`."""
  config = load(request.param, data)
  with precision(config.train.precision):
    yield train(request.param, config, tmp_path_factory)


def train(name, config, tmp_path_factory):
  folder, programs, clock, printed = tmp_path_factory.mktemp("whole"), {}, CompileClock(), io.StringIO()
  executors, experiments, make = [], [], loop.executor

  def noted(*args):
    executors.append(make(*args))
    return executors[-1]

  def counted(config):
    experiment = experiment_of(name)(config)
    feed = experiment.train_data.feed

    def counting(step):
      programs.setdefault(step, clock.programs)  # asked for again where the best state is restored
      return feed(step)

    train_data = dataclasses.replace(experiment.train_data, feed=counting)
    experiments.append(dataclasses.replace(experiment, train_data=train_data))
    return experiments[-1]

  with contextlib.redirect_stdout(printed), pytest.MonkeyPatch.context() as patch:
    patch.setattr(loop, "executor", noted)
    code = session.run(counted, name.partition("/")[0], f"configs/{name}.py:smoke", config, str(folder), "train", "")
  assert code == 0
  # Of the run: what it is built from, and its report, may train models of their own.
  executor = next(executor for executor in executors if executor.experiment is experiments[0])
  settings = session.settings_of(config, executor.experiment.train_data)
  stopped = tmp_path_factory.mktemp("stopped")
  with pytest.raises(Preempted):
    run(executor, dataclasses.replace(settings, stop_at=STOP), stopped)
  with contextlib.closing(Checkpoints(folder / "checkpoints")) as checkpoints:
    state = checkpoints.restore(executor.abstract_state())  # what the undisturbed run saved last
  return Trained(name, config, settings, folder, stopped, printed.getvalue(), programs, executor, state)


def go_on(trained, folder, mode="jit", devices=1):
  """The stopped run, relaunched in a copy of its folder; nothing is left of the process that it was stopped in."""
  shutil.copytree(trained.stopped, folder, dirs_exist_ok=True)
  executor = loop.executor(build(trained, devices), trained.settings, parallel.plan(mode, devices))
  return run(executor, trained.settings, folder)


def build(trained, devices=1):
  config = trained.config.copy_and_resolve_references()
  config.run.num_devices = devices
  return experiment_of(trained.name)(config)


def first_update(executor):
  ((_, _, feed, count),) = executor.feeds(executor.experiment.train_data, [(0, 1)], executor.steps_per_dispatch)
  return executor.update(executor.init_state(), feed, count)


def numbers(state):
  plain = lambda x: jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x
  return [np.asarray(plain(leaf)) for leaf in jax.tree.leaves(state)]


def rows(folder):
  found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
  return sorted(json.dumps(row, sort_keys=True) for row in found if row["kind"] != "timing")


def assert_equal(one, other):
  for a, b in zip(numbers(one), numbers(other), strict=True):
    np.testing.assert_array_equal(a, b)


def distance(one, other):
  """Largest distance of any two arrays, relative to their norm.

  Of arrays, not of numbers: where a gradient is nearly zero its sign is rounding, and Adam makes a full step of it.
  """
  pairs = [(a, b) for a, b in zip(numbers(one), numbers(other), strict=True) if a.dtype.kind == "f"]
  return max(np.linalg.norm(a - b) / (np.linalg.norm(a) + 1e-3) for a, b in pairs)


def test_nothing_compiles_after_the_first_evaluation_and_save(trained):
  *_, before_last, last = sorted(trained.programs)
  assert trained.programs[last] > trained.programs[0], "the clock counts"
  assert trained.programs[last] == trained.programs[before_last] == trained.programs[STOP + 1]


def test_update_is_pure(trained):
  """Twice the same from the same, whatever was computed in between; what it is given stays as it was."""
  executor, data = trained.executor, trained.executor.experiment.train_data
  given = [array.copy() for array in numbers((dict(data.resident), data.feed(0)))]
  results = [first_update(executor) for _ in range(2)]
  assert_equal(*results)
  for a, b in zip(given, numbers((dict(data.resident), data.feed(0))), strict=True):
    np.testing.assert_array_equal(a, b)
  state, start = results[0][0], executor.init_state()
  assert int(state.step) == 1
  assert any((a != b).any() for a, b in zip(numbers(start), numbers(state), strict=True)), "it changes something"


@pytest.mark.parametrize("mode", ["pmap", "fsdp"])
def test_goes_on_with_four_devices_as_with_one(trained, mode, tmp_path):
  """A checkpoint of one device is restored on four, which then compute what one would have."""
  assert distance(trained.state, go_on(trained, tmp_path, mode, 4)) < 5e-3


def test_stopped_and_resumed_is_never_stopped(trained, tmp_path):
  assert_equal(go_on(trained, tmp_path), trained.state)
  assert rows(tmp_path) == rows(trained.folder)


def test_key_streams_are_distinct(trained, monkeypatch):
  """Every stream that the family draws has a key of its own, and another one at every step."""
  drawn, original = [], randomness.stream_key

  def noting(key, stream, step=None):
    drawn.append(stream)
    return original(key, stream, step)

  monkeypatch.setattr(randomness, "stream_key", noting)
  experiment = build(trained)
  state, data = trained.executor.abstract_state(), experiment.train_data
  batch = jax.eval_shape(data.assemble, dict(data.resident), data.feed(0))
  jax.eval_shape(experiment.learner.update, state, batch)
  base = jax.random.key(0)
  keys = [original(base, name, step) for name in set(drawn) for step in (None, 0, 1, 2)]
  unique = {tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}
  assert drawn
  assert len(unique) == len(keys)


def test_another_seed_is_another_run(trained, data):
  experiment = experiment_of(trained.name)(load(trained.name, data, seed=1))
  other = loop.executor(experiment, dataclasses.replace(trained.settings, seed=1), parallel.plan("jit", 1))
  executors = (trained.executor, other)
  # Of several steps: two examples are in the same order by chance.
  feeds = [jax.tree.leaves([executor.experiment.train_data.feed(s) for s in range(8)]) for executor in executors]
  states = [numbers(first_update(executor)[0]) for executor in executors]  # what is counted starts from 0
  assert any((a != b).any() for a, b in zip(*states, strict=True) if a.dtype.kind == "f")
  if other.experiment.train_data.num_examples:  # a clock has no order that the seed could decide
    assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(*feeds, strict=True)), "the seed reaches the data"


def test_every_misspelt_field_is_refused(trained):
  for field in cli.flattened(trained.config):
    misspelt = field[:-1] + "qz"
    with pytest.raises(UserError, match=r"no such field"):
      cli.override(trained.config, misspelt, "1")


def test_non_finite_training_stops_and_leaves_the_last_good_checkpoint(trained, tmp_path):
  """The newest checkpoint is made to hold NaN; the run that goes on from it stops, and the one before is as it was."""
  shutil.copytree(trained.stopped, tmp_path, dirs_exist_ok=True)
  abstract = trained.executor.abstract_state()

  def opened():
    return contextlib.closing(Checkpoints(tmp_path / "checkpoints"))

  with opened() as checkpoints:
    good = checkpoints.restore(abstract)
    spoil = lambda x: jnp.full_like(x, jnp.nan) if jnp.issubdtype(x.dtype, jnp.floating) else x
    spoilt = jax.jit(lambda state: jax.tree.map(spoil, state).replace(step=state.step + 1))
    checkpoints.save(STOP + 1, spoilt(good))
    checkpoints.wait()
  with pytest.raises(loop.NonFiniteError, match=f"step ({STOP + 1}|{STOP + 2})"):  # which ends a dispatch
    run(trained.executor, trained.settings, tmp_path)
  with opened() as checkpoints:
    assert checkpoints.steps()[-1] == STOP + 1, "nothing was saved after it"
    assert_equal(checkpoints.restore(abstract, STOP), good)


def test_a_run_leaves_complete_files(trained):
  result = json.loads((trained.folder / "result.json").read_text())
  assert {"experiment", "config", "seed", "step", "wall_seconds", "compile_seconds", "device", "commit"} <= set(result)
  assert result["finished"]
  assert result["step"] == trained.settings.total_steps
  for metric, entry in result["metrics"].items():
    assert entry["definition"], metric
    assert np.isfinite(entry["value"]), metric
  for file in ("config.json", "run.json", "metrics.jsonl", "events", "checkpoints", "figures"):
    assert (trained.folder / file).exists(), file
  figures = list((trained.folder / "figures").glob("*.png"))
  assert figures
  assert all(str(figure) in trained.printed for figure in figures)


def test_lowers_for_a_tpu(trained):
  """The real update, lowered for a TPU from here; compiling it takes libtpu (`launch.preflight`)."""
  update, arguments = trained.executor.abstract_update()
  text = update.trace(*arguments).lower(lowering_platforms=("tpu",)).as_text()
  assert "stablehlo" in text


@functools.cache
def kind_of(name, data):
  """The classes of all states in a config's state, without computing one."""
  experiment = experiment_of(name)(load(name, data))
  batches = experiment.train_data
  batch = jax.eval_shape(batches.assemble, dict(batches.resident), batches.feed(0))
  state = jax.eval_shape(experiment.learner.init, jax.random.key(0), batch)
  return frozenset(states_in(state))


def states_in(tree):
  """Classes of the states that a tree holds, itself included."""
  found = set()

  def note(leaf):
    if isinstance(leaf, State):
      found.add(type(leaf).__name__)
      for field in dataclasses.fields(leaf):
        found.update(states_in(getattr(leaf, field.name)))
    return isinstance(leaf, State)

  jax.tree.leaves(tree, is_leaf=note)
  return found


def test_every_experiment_has_a_config_that_is_held_to_everything():
  assert set(listing.experiments()) <= {name.partition("/")[0] for name in WHOLE}


@pytest.mark.parametrize("name", params(SHORT))
def test_what_can_differ(name, data, tmp_path):
  """The short tier, in one test so that a config compiles once."""
  config = load(name, data)
  with precision(config.train.precision):
    experiment = experiment_of(name)(config)
    settings = dataclasses.replace(
      session.settings_of(config, experiment.train_data), total_steps=2, eval_every=0, measure_every=0
    )
    executor = loop.executor(experiment, settings, parallel.plan("jit", 1))
    start = numbers(executor.init_state().replace(step=jnp.zeros(()) + 2))  # the count of steps is no change
    with pytest.raises(Preempted):
      run(executor, dataclasses.replace(settings, stop_at=1), tmp_path)
    resumed = run(loop.executor(experiment, settings, parallel.plan("jit", 1)), settings, tmp_path)
    state, each = executor.init_state(), executor.steps_per_dispatch
    for _, _, feed, count in executor.feeds(experiment.train_data, [(0, 1), (1, 1)], each):
      state, _ = executor.update(state, feed, count)
    assert any((a != b).any() for a, b in zip(start, numbers(state), strict=True)), "it changes something"
    assert all(np.isfinite(x).all() for x in numbers(state) if x.dtype.kind == "f")
    assert_equal(resumed, state)
    values = executor.evaluate(
      state, experiment.test_data
    )  # of two steps: a class may be unseen, no episode at its end
    assert not values.keys() - {name for name, text in experiment.definitions.items() if text}
    family = name.partition("/")[0]
    alike = (kind_of(other, data) for other in WHOLE if other.startswith(f"{family}/"))
    # A state that another wraps (one that keeps the best, an ensemble) is held to everything with it.
    assert any(kind_of(name, data) <= kind for kind in alike), 'say CONFORMANCE = "every promise" in this config'
