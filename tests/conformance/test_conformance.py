"""The promises that every experiment keeps (docs/architecture.md), run over every config's smoke variant.

No test here knows a family: a new config is held to all of this by existing.
"""

import dataclasses
import functools
import importlib
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import cli, session
from research import randomness
from research.errors import UserError
from research.training import loop, parallel, rundir
from research.training.compilation import CompileClock
from research.training.executor import Executor
from research.training.preemption import Preempted
from tests.conformance.conftest import CONFIGS

STOP = 5  # neither a step at which something is saved nor one at which something is measured


@dataclasses.dataclass
class Trained:
  """An undisturbed run, which the disturbed ones must equal."""

  name: str
  config: object
  settings: loop.Settings
  folder: object
  state: object
  programs: dict


def load(name, data, **overrides):
  config = cli.load_config(f"configs/{name}.py:smoke")
  with config.unlocked():
    if "path" in config.data and name.endswith("/own"):
      config.data.path = str(data / "own")
    config.update_from_flattened_dict(overrides)
  return config


@functools.cache
def experiment_of(name):
  return importlib.import_module(f"experiments.{name.partition('/')[0]}").experiment


def run(experiment, settings, folder, mode="jit", devices=1):
  directory = rundir.RunDirectory(folder)
  try:
    return loop.train(experiment, settings, parallel.plan(mode, devices), directory).state
  finally:
    directory.close()


@pytest.fixture(scope="module", params=CONFIGS)
def trained(request, data, tmp_path_factory):
  """One undisturbed run of each config on one device."""
  config = load(request.param, data)
  experiment = experiment_of(request.param)(config)
  settings = session.settings_of(config, experiment.train_data)
  folder = tmp_path_factory.mktemp("whole")
  programs, clock, feed = {}, CompileClock(), experiment.train_data.feed

  def counting(step):
    programs[step] = clock.programs
    return feed(step)

  counted = dataclasses.replace(experiment, train_data=dataclasses.replace(experiment.train_data, feed=counting))
  state = run(counted, settings, folder)
  return Trained(request.param, config, settings, folder, state, {**programs, "end": clock.programs})


def build(trained):
  return experiment_of(trained.name)(trained.config)


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
  """Largest difference of any number, relative to the size of its array."""
  pairs = [(a, b) for a, b in zip(numbers(one), numbers(other), strict=True) if a.dtype.kind == "f"]
  return max(np.abs(a - b).max() / (np.abs(a).max() + 1e-3) for a, b in pairs if a.size)


def with_settings(trained, **changes):
  return dataclasses.replace(trained.settings, **changes)


def test_nothing_compiles_after_the_first_evaluation_and_save(trained):
  assert trained.programs[STOP + 1] > trained.programs[0], "the clock counts"
  assert trained.programs["end"] == trained.programs[STOP + 1]


def test_update_is_pure(trained):
  experiment = build(trained)
  executor = Executor(experiment, parallel.plan("jit", 1), trained.settings.seed)
  state, data = executor.init_state(), experiment.train_data
  batch = jax.jit(data.assemble)(dict(data.resident), data.feed(0))
  before = numbers((state, batch))
  update = jax.jit(experiment.learner.update)
  first, second = update(state, batch), update(state, batch)
  assert_equal(first, second)
  for a, b in zip(before, numbers((state, batch)), strict=True):
    np.testing.assert_array_equal(a, b)
  assert int(first[0].step) == 1
  assert any((a != b).any() for a, b in zip(numbers(state), numbers(first[0]), strict=True)), "it changes something"


@pytest.mark.parametrize("mode", ["pmap", "fsdp"])
def test_four_devices_are_one(trained, mode, tmp_path):
  short = with_settings(trained, total_steps=2, save_every=0, eval_every=0)
  one = run(build(trained), short, tmp_path / "one")
  four = run(build(trained), short, tmp_path / mode, mode, 4)
  assert distance(one, four) < 2e-3


def test_stopped_and_resumed_is_never_stopped(trained, tmp_path):
  with pytest.raises(Preempted):
    run(build(trained), with_settings(trained, stop_at=STOP), tmp_path)
  assert_equal(run(build(trained), trained.settings, tmp_path), trained.state)
  assert rows(tmp_path) == rows(trained.folder)


def test_resumes_on_other_devices(trained, tmp_path):
  settings = with_settings(trained, total_steps=STOP + 1, eval_every=0)
  whole = run(build(trained), settings, tmp_path / "whole")
  with pytest.raises(Preempted):
    run(build(trained), dataclasses.replace(settings, stop_at=STOP), tmp_path / "parts")
  resumed = run(build(trained), settings, tmp_path / "parts", "pmap", 2)
  assert distance(whole, resumed) < 2e-3


def test_key_streams_are_distinct(trained, monkeypatch):
  """Every stream that the family draws has a key of its own, and another one at every step."""
  drawn, original = [], randomness.stream_key

  def noting(key, stream, step=None):
    drawn.append(stream)
    return original(key, stream, step)

  monkeypatch.setattr(randomness, "stream_key", noting)
  experiment = build(trained)
  executor = Executor(experiment, parallel.plan("jit", 1), 0)
  state, data = executor.abstract_state(), experiment.train_data
  batch = jax.eval_shape(data.assemble, dict(data.resident), data.feed(0))
  jax.eval_shape(experiment.learner.update, state, batch)
  base = jax.random.key(0)
  keys = [original(base, name, step) for name in set(drawn) for step in (None, 0, 1, 2)]
  unique = {tuple(np.asarray(jax.random.key_data(key)).tolist()) for key in keys}
  assert drawn
  assert len(unique) == len(keys)


def test_another_seed_is_another_run(trained, data):
  executors = []
  for seed in (0, 1):
    config = load(trained.name, data, seed=seed)
    experiment = experiment_of(trained.name)(config)
    executors.append(Executor(experiment, parallel.plan("jit", 1), seed))
  states = [numbers(executor.init_state()) for executor in executors]
  assert any((a != b).any() for a, b in zip(*states, strict=True) if a.dtype.kind == "f")
  feeds = [jax.tree.leaves(executor.experiment.train_data.feed(0)) for executor in executors]
  assert any((np.asarray(a) != np.asarray(b)).any() for a, b in zip(*feeds, strict=True)), "the seed reaches the data"


def test_every_misspelt_field_is_refused(trained):
  for field in cli._flatten(trained.config):
    misspelt = field[:-1] + "qz"
    with pytest.raises(UserError, match=r"no such field"):
      cli.override(trained.config, misspelt, "1")


def test_non_finite_training_stops_and_leaves_the_last_good_checkpoint(trained, tmp_path):
  with pytest.raises(Preempted):
    run(build(trained), with_settings(trained, stop_at=STOP), tmp_path)
  experiment = build(trained)
  assemble = experiment.train_data.assemble

  def poisoned(resident, fed):
    batch = assemble(resident, fed)
    spoil = lambda name, x: x * jnp.nan if name != "mask" and jnp.issubdtype(x.dtype, jnp.floating) else x
    return {name: spoil(name, x) for name, x in batch.items()}

  bad = dataclasses.replace(experiment, train_data=dataclasses.replace(experiment.train_data, assemble=poisoned))
  with pytest.raises(loop.NonFiniteError, match=f"step {STOP}"):
    run(bad, trained.settings, tmp_path)
  assert_equal(run(build(trained), trained.settings, tmp_path), trained.state)


def test_a_run_leaves_complete_files(trained, tmp_path, capsys):
  name = trained.name.partition("/")[0]
  spec = f"configs/{trained.name}.py:smoke"
  code = cli.run(experiment_of(trained.name), name, spec, trained.config, str(tmp_path))
  assert code == 0
  result = json.loads((tmp_path / "result.json").read_text())
  assert {"experiment", "config", "seed", "step", "wall_seconds", "compile_seconds", "device", "commit"} <= set(result)
  assert result["finished"]
  assert result["step"] == trained.settings.total_steps
  for metric, entry in result["metrics"].items():
    assert entry["definition"], metric
    assert np.isfinite(entry["value"]), metric
  for file in ("config.json", "run.json", "metrics.jsonl", "events", "checkpoints", "figures"):
    assert (tmp_path / file).exists(), file
  printed = capsys.readouterr().out
  figures = list((tmp_path / "figures").glob("*.png"))
  assert figures
  assert all(str(figure) in printed for figure in figures)


def test_lowers_for_a_tpu(trained):
  """The real update, lowered for a TPU from here; compiling it takes libtpu (`launch.preflight`)."""
  experiment = build(trained)
  executor = Executor(experiment, parallel.plan("jit", 1), 0)
  dispatch = parallel.training_dispatch(
    experiment.learner, experiment.train_data.assemble, trained.settings.steps_per_dispatch
  )
  data = experiment.train_data
  feed = jax.tree.map(lambda x: np.stack([x] * trained.settings.steps_per_dispatch), data.feed(0))
  traced = jax.jit(dispatch).trace(executor.abstract_state(), dict(data.resident), np.int32(1), feed)
  text = traced.lower(lowering_platforms=("tpu",)).as_text()
  assert "stablehlo" in text
