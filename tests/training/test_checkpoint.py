"""Checkpoints: what is saved comes back, on any number of devices, whatever happens to the files."""

import contextlib
import dataclasses
import json
import logging
import pathlib
import shutil
import subprocess

import jax
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.training import loop, parallel, rundir
from research.training.checkpoint import CHECKSUMS, METRICS, Checkpoints
from research.training.executor import Executor
from research.training.preemption import Preempted
from research.training.steps import GradientState
from tests.training import sketches
from tests.training.test_loop import assert_same, numbers, train


def a_state(step=0, width=64, ema=None, devices=1):
  """A state with everything in it that states have; `width` of 64 is large enough for FSDP to shard."""
  rng = np.random.default_rng(step)
  params = {"dense": {"kernel": rng.normal(size=(width, 64)).astype(np.float32), "bias": np.zeros(64, np.float32)}}
  state = GradientState.create(
    jax.random.key(7), params=params, mutable={"batch_stats": {"mean": np.ones(3, np.float32)}}, opt_state=(), ema=ema
  )
  state = state.replace(step=np.int32(step), opt_state=optax.adam(1e-3).init(params))
  sharding = parallel.plan("pmap", devices).state_shardings(state)
  return jax.device_put(state, sharding)


def abstract(state):
  return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), state)


@contextlib.contextmanager
def opened(folder, **options):
  with contextlib.closing(Checkpoints(folder / "checkpoints", **options)) as checkpoints:
    yield checkpoints


def saved(folder, *steps, **options):
  """Checkpoints of `a_state` at steps, on disk."""
  with opened(folder, **options) as checkpoints:
    for step in steps:
      checkpoints.save(step, a_state(step))


@pytest.mark.parametrize("ema", [None, {"params": {"w": np.ones((2, 3), np.float32)}, "mutable": {}}])
def test_round_trip(tmp_path, ema):
  state = a_state(3, ema=ema)
  with opened(tmp_path) as checkpoints:
    assert checkpoints.restore(abstract(state)) is None
    checkpoints.save(3, state)
    checkpoints.wait()
    back = checkpoints.restore(abstract(state))
  assert_same(state, back)
  assert jax.tree.structure(state) == jax.tree.structure(back)
  assert jax.random.key_impl(back.key) == jax.random.key_impl(state.key)
  np.testing.assert_array_equal(jax.random.normal(back.key, (3,)), jax.random.normal(state.key, (3,)))


def test_on_another_device_count(tmp_path):
  """jit -> pmap over 4 -> FSDP over 2 -> jit: trained on each, nothing lost on the way."""
  settings = loop.Settings(total_steps=12, save_every=3)
  whole = train(sketches.classifier(), tmp_path / "whole", settings=settings).state
  layouts = [("jit", 1, 3), ("pmap", 4, 6), ("fsdp", 2, 9), ("jit", 1, 0)]
  for mode, devices, stop in layouts[:-1]:
    part = dataclasses.replace(settings, stop_at=stop)
    with pytest.raises(loop.Preempted):
      train(sketches.classifier(), tmp_path / "parts", mode, part, devices)
  parts = train(sketches.classifier(), tmp_path / "parts", settings=settings).state
  for a, b in zip(numbers(whole), numbers(parts), strict=True):
    np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-6)


def test_fsdp_state_is_sharded_and_comes_back_whole(tmp_path):
  state = a_state(1)
  plan = parallel.plan("fsdp", 4)
  targets = jax.tree.map(
    lambda leaf, sharding: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
    abstract(state),
    plan.state_shardings(abstract(state)),
  )
  with opened(tmp_path) as checkpoints:
    checkpoints.save(1, state)
    checkpoints.wait()
    sharded = checkpoints.restore(targets)
    assert sharded.params["dense"]["kernel"].addressable_shards[0].data.shape != (64, 64)
    assert_same(state, sharded)
    checkpoints.save(2, sharded)
    checkpoints.wait()
    assert_same(state, checkpoints.restore(abstract(state)))


def test_kept(tmp_path):
  with opened(tmp_path, keep=2, keep_every=4) as checkpoints:
    for step in range(1, 11):
      checkpoints.save(step, a_state(step))
    checkpoints.wait()
    assert checkpoints.steps() == [4, 8, 9, 10]
    checkpoints.save(10, a_state(10))  # once per step
    assert checkpoints.steps() == [4, 8, 9, 10]


@pytest.mark.parametrize(("mode", "best"), [("max", 2), ("min", 5)])
def test_best_survives(tmp_path, mode, best):
  scores = {1: 0.5, 2: 0.9, 3: None, 4: 0.3, 5: 0.1, 6: 0.4, 7: 0.4, 8: float("nan")}
  with opened(tmp_path, keep=1, best_metric="accuracy", best_mode=mode) as checkpoints:
    assert checkpoints.best_step() is None
    for step, score in scores.items():
      checkpoints.save(step, a_state(step), {"accuracy": score, "other": 1.0})
    checkpoints.save(9, a_state(9))  # no evaluation before this one
    checkpoints.wait()
    assert checkpoints.steps() == [best, 9]
    assert checkpoints.best_step() == best
  with opened(tmp_path, keep=1, best_metric="accuracy", best_mode=mode) as checkpoints:
    assert checkpoints.best_step() == best
    assert int(checkpoints.restore(abstract(a_state()), best).step) == best


def test_evaluated_after_it_was_saved(tmp_path):
  """Stopped within an evaluation, the state is saved without scores; the relaunch evaluates and adds them."""
  with opened(tmp_path, keep=1, best_metric="loss", best_mode="min") as checkpoints:
    checkpoints.save(1, a_state(1))
  with opened(tmp_path, keep=1, best_metric="loss", best_mode="min") as checkpoints:
    assert checkpoints.best_step() is None
    checkpoints.save(1, a_state(1), {"loss": 0.1})
    checkpoints.save(2, a_state(2), {"loss": 0.2})
    checkpoints.save(3, a_state(3), {"loss": 0.3})
    checkpoints.wait()
    assert checkpoints.best_step() == 1
    assert checkpoints.steps() == [1, 3]


def test_unknown_best_metric(tmp_path):
  with opened(tmp_path, best_metric="acuracy") as checkpoints, pytest.raises(UserError, match="use accuracy"):
    checkpoints.check_best(["accuracy", "loss"])


def test_what_improves(tmp_path):
  with opened(tmp_path, best_metric="loss", best_mode="min") as checkpoints:
    assert not checkpoints.improves({})
    assert not checkpoints.improves({"loss": None})
    assert checkpoints.improves({"loss": 3.0})
    checkpoints.save(1, a_state(1), {"loss": 2.0})
    checkpoints.save(2, a_state(2), {"other": 0.0})
    assert [checkpoints.improves({"loss": value}) for value in (1.9, 2.0, 2.1)] == [True, False, False]


def files(folder):
  return sorted((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def flip(folder):
  biggest = files(folder / "state")[-1]
  content = bytearray(biggest.read_bytes())
  content[len(content) // 2] ^= 1
  biggest.write_bytes(content)


def truncate(folder):
  for path in files(folder):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def delete_biggest(folder):
  files(folder)[-1].unlink()


def delete_structure(folder):
  shutil.rmtree(folder / "structure")


def another_structure(folder):
  path = next(p for p in files(folder / "structure") if p.name == "metadata")
  path.write_text(path.read_text().replace("[64,64]", "[64,65]"))


def empty(folder):
  shutil.rmtree(folder)
  folder.mkdir()


def garble_metrics(folder):
  (folder / METRICS).write_text("{")


DAMAGES = (flip, truncate, delete_biggest, delete_structure, another_structure, empty)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_newest_falls_back(tmp_path, damage, caplog):
  saved(tmp_path, 1, 2, 3, keep=3)
  damage(tmp_path / "checkpoints" / "3")
  left = {p.relative_to(tmp_path / "checkpoints/3") for p in files(tmp_path / "checkpoints" / "3")}
  with caplog.at_level(logging.WARNING), opened(tmp_path, keep=3) as checkpoints:
    back = checkpoints.restore(abstract(a_state()))
    assert_same(back, a_state(2))
    assert checkpoints.steps() == [1, 2]
    assert "checkpoint 3 cannot be read" in caplog.text
    assert "damaged" in caplog.text
    aside = tmp_path / "damaged" / "3.0"
    assert {p.relative_to(aside) for p in files(aside)} == left
    checkpoints.save(3, a_state(3))  # the step comes round again
    checkpoints.wait()
    assert_same(checkpoints.restore(abstract(a_state())), a_state(3))
  damage(tmp_path / "checkpoints" / "3")  # and breaks again
  with opened(tmp_path, keep=3) as checkpoints:
    assert int(checkpoints.restore(abstract(a_state())).step) == 2
  assert (tmp_path / "damaged" / "3.1").exists()


def test_damaged_metrics_lose_nothing_else(tmp_path):
  with opened(tmp_path, best_metric="accuracy") as checkpoints:
    for step in (1, 2):
      checkpoints.save(step, a_state(step), {"accuracy": 1 / step})
  garble_metrics(tmp_path / "checkpoints" / "1")
  with opened(tmp_path, best_metric="accuracy") as checkpoints:
    assert checkpoints.best_step() == 2
    assert int(checkpoints.restore(abstract(a_state())).step) == 2


def test_training_saves_the_step_again(tmp_path):
  settings = loop.Settings(total_steps=8, save_every=4, eval_every=4)
  whole = train(sketches.classifier(), tmp_path, settings=settings).state
  rows = (tmp_path / "metrics.jsonl").read_text()
  flip(tmp_path / "checkpoints" / "8")
  again = train(sketches.classifier(), tmp_path, settings=settings).state
  assert_same(whole, again)
  strip = lambda text: [line for line in text.splitlines() if '"timing"' not in line]
  assert strip((tmp_path / "metrics.jsonl").read_text()) == strip(rows)
  with opened(tmp_path) as checkpoints:
    assert checkpoints.steps() == [4, 8]


def test_the_step_asked_for(tmp_path):
  saved(tmp_path, 1, 2)
  flip(tmp_path / "checkpoints" / "2")
  with opened(tmp_path) as checkpoints:
    with pytest.raises(UserError, match=r"\[1, 2\]"):
      checkpoints.restore(abstract(a_state()), 5)
    with pytest.raises(UserError, match=r"damaged.*the others are"):
      checkpoints.restore(abstract(a_state()), 2)
    assert int(checkpoints.restore(abstract(a_state()), 1).step) == 1
    assert checkpoints.steps() == [1, 2]


def test_all_damaged(tmp_path):
  saved(tmp_path, 1, 2)
  for step in (1, 2):
    truncate(tmp_path / "checkpoints" / str(step))
  with (
    opened(tmp_path) as checkpoints,
    pytest.raises(UserError, match=r"none of the checkpoints \[1, 2\].*new workdir"),
  ):
    checkpoints.restore(abstract(a_state()))
  assert len(list((tmp_path / "damaged").iterdir())) == 2


def test_half_written_is_ignored(tmp_path):
  saved(tmp_path, 1, 2)
  folder = tmp_path / "checkpoints"
  shutil.copytree(folder / "2", folder / "3.orbax-checkpoint-tmp")
  with opened(tmp_path) as checkpoints:
    assert checkpoints.steps() == [1, 2]
    assert int(checkpoints.restore(abstract(a_state())).step) == 2
    checkpoints.save(3, a_state(3))
    checkpoints.wait()
    assert int(checkpoints.restore(abstract(a_state())).step) == 3


def test_another_architecture(tmp_path):
  saved(tmp_path, 1, 2)
  before = files(tmp_path)
  with opened(tmp_path) as checkpoints:
    with pytest.raises(UserError) as wrong:
      checkpoints.restore(abstract(a_state(width=32)))
    for part in ("kernel", "float32[32,64]", "float32[64,64]", "another workdir"):
      assert part in str(wrong.value)
    with pytest.raises(UserError, match="leaves differ"):
      checkpoints.restore(abstract(a_state(ema={"params": {}, "mutable": {"m": np.ones(2, np.float32)}})))
    assert checkpoints.steps() == [1, 2]
  assert files(tmp_path) == before


def test_checksums_cover_what_is_read(tmp_path):
  """And leave out what Orbax adds after they are taken."""
  saved(tmp_path, 1)
  named = json.loads((tmp_path / "checkpoints" / "1" / CHECKSUMS).read_text())
  assert any("/d/" in name for name in named)
  assert not any("commit_success" in name for name in named)


@pytest.fixture
def small_disk(tmp_path):
  """A file system of 2 MiB."""
  folder = tmp_path / "small"
  folder.mkdir()
  done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False)
  if done.returncode:
    pytest.skip("may not mount a small file system here")
  yield folder
  subprocess.run(["umount", "-l", folder], check=True)


def big_state(step):
  rng = np.random.default_rng(step)
  state = a_state(step)
  return state.replace(params=jax.device_put(rng.normal(size=(300, 300)).astype(np.float32)), opt_state=())


def test_full_disk(small_disk):
  """About 340 KB a checkpoint that does not compress: some fit, one does not."""

  def fill():
    with opened(small_disk, keep=20) as checkpoints:
      for step in range(1, 20):
        checkpoints.save(step, big_state(step))
      checkpoints.wait()

  with pytest.raises(UserError, match=r"disk is full: free space.*intact") as full:
    fill()
  assert str(small_disk) in str(full.value)
  with opened(small_disk, keep=20) as checkpoints:
    kept = checkpoints.steps()
    assert len(kept) >= 2
    assert kept == list(range(1, kept[-1] + 1))
    assert_same(checkpoints.restore(abstract(big_state(0))), big_state(kept[-1]))
    # Space freed, as the remedy says, the run goes on.
    shutil.rmtree(small_disk / "checkpoints" / "1")
    shutil.rmtree(small_disk / "checkpoints" / "2")
  with opened(small_disk, keep=20) as checkpoints:
    checkpoints.save(kept[-1] + 1, big_state(kept[-1] + 1))
    checkpoints.wait()
    assert_same(checkpoints.restore(abstract(big_state(0))), big_state(kept[-1] + 1))


def test_full_disk_stops_training_with_the_remedy(small_disk):
  """Whatever is written when the disk fills up: rows, events or a checkpoint."""
  settings = loop.Settings(total_steps=50, save_every=5, log_every=1)
  with pytest.raises(loop.Preempted):
    train(sketches.classifier(), small_disk / "run", settings=dataclasses.replace(settings, stop_at=10))
  filler = small_disk / "filler"
  with contextlib.suppress(OSError), open(filler, "wb", buffering=0) as file:
    while True:
      file.write(bytes(4096))
  with pytest.raises(UserError, match="disk is full"):
    train(sketches.classifier(), small_disk / "run", settings=settings)
  filler.unlink()
  resumed = train(sketches.classifier(), small_disk / "run", settings=settings).state
  assert int(resumed.step) == 50


def test_errors_of_the_background_save_surface(tmp_path, monkeypatch):
  with opened(tmp_path) as checkpoints:
    checkpoints.save(1, a_state(1))
    checkpoints.wait()

    def fail(*_):
      raise RuntimeError("the thread fails")

    monkeypatch.setattr(pathlib.Path, "write_text", fail)
    checkpoints.save(2, a_state(2))
    with pytest.raises(Exception, match="the thread fails"):
      checkpoints.wait()
    monkeypatch.undo()
  with opened(tmp_path) as checkpoints:
    assert checkpoints.steps() == [1]


@pytest.mark.parametrize(("mode", "devices"), [("jit", 1), ("pmap", 4), ("fsdp", 4)])
def test_saved_state_may_be_donated_at_once(tmp_path, mode, devices):
  """Also where one device's copy of it was saved for all."""
  experiment = sketches.classifier()
  executor = Executor(experiment, parallel.plan(mode, devices), seed=0)
  state = executor.init_state()
  before = [x.copy() for x in numbers(state)]
  run = rundir.RunDirectory(tmp_path)
  with opened(tmp_path) as checkpoints:
    checkpoints.save(0, state)
    for step, count, feed, device_count in executor.feeds(experiment.train_data, [(s, 1) for s in range(20)], 1):
      del step, count
      state, _ = executor.update(state, feed, device_count)
    checkpoints.wait()
    for a, b in zip(numbers(checkpoints.restore(executor.abstract_state())), before, strict=True):
      np.testing.assert_array_equal(a, b)
  run.close()


def test_a_signal_during_a_restore_is_no_damage(tmp_path, monkeypatch):
  saved(tmp_path, 1, 2)
  with opened(tmp_path) as checkpoints:

    def interrupted(*_, **__):
      raise Preempted(2)

    monkeypatch.setattr(checkpoints._manager, "restore", interrupted)
    with pytest.raises(Preempted):
      checkpoints.restore(abstract(a_state()))
    assert checkpoints.steps() == [1, 2]
  assert not (tmp_path / "damaged").exists()
