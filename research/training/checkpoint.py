"""Checkpoints: the state and nothing else, by Orbax, asynchronous and atomic.

Batches and keys are functions of the step, so the state is the whole checkpoint.  Beside it lies its structure (path,
shape and dtype of every leaf), which tells a checkpoint of another architecture (the user's error: stop) from a damaged
one (fall back to the one before).  TensorStore reads a changed byte of a large array without a word, so a checksum of
every file is written with it, in the background, and held against the files before they are read.

Several processes write their parts of one checkpoint, and what is done once (checksums, the rename, moving a damaged
one aside) is done by process 0.  What one of them cannot read, all fall back from.
"""

import contextlib
import difflib
import itertools
import json
import logging
import math
import pathlib
import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep_policy

from research.errors import UserError
from research.training import processes
from research.training.disk import disk_errors

CHECKSUMS = "crc32.json"  # in the folder of a checkpoint: {file: crc32} of all that a restore reads
METRICS = "metrics.json"  # there too: of the evaluation of this state, empty if there was none
DAMAGED = "damaged"  # folder beside the checkpoints: what could not be read is set aside, never deleted


def structure(state) -> dict[str, str]:
  """`{'params/dense/kernel': 'float32[784,512]', ...}` of a state, abstract or not."""
  return {name: f"{leaf.dtype}{list(leaf.shape)}".replace(" ", "") for name, leaf in named_leaves(state).items()}


def named_leaves(state) -> dict[str, Any]:
  """The leaves of a state by their paths, in the order of the tree."""
  leaves = jax.tree_util.tree_flatten_with_path(state)[0]
  name = lambda path: "/".join(str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))) for key in path)
  return {name(path): leaf for path, leaf in leaves}


class Checkpoints:
  """The checkpoints of one run.

  Kept: the `keep` newest, every one at a multiple of `keep_every` steps, and the best by `best_metric`.
  """

  def __init__(
    self,
    directory: pathlib.Path,
    *,
    keep: int = 2,
    keep_every: int = 0,
    best_metric: str = "",
    best_mode: str = "max",
    read_only: bool = False,
  ):
    self.directory = directory.absolute()
    self._best_metric, self._sign = best_metric, {"max": 1, "min": -1}[best_mode]
    policies = [keep_policy.LatestN(keep)]
    if keep_every:
      policies.append(keep_policy.EveryNSteps(keep_every))
    if best_metric:
      policies.append(_Best(self))
    self._read_only = read_only
    self._options = ocp.CheckpointManagerOptions(
      preservation_policy=keep_policy.AnyPreservationPolicy(policies),
      enable_async_checkpointing=True,
      async_options=ocp.AsyncOptions(post_finalization_callback=self._finish),
      cleanup_tmp_directories=not read_only,  # a live run's are not ours
    )
    with disk_errors(self.directory.parent):
      self._open()

  def _open(self):
    handlers = {"state": ocp.StandardCheckpointHandler(), "structure": ocp.JsonCheckpointHandler()}
    self._manager = ocp.CheckpointManager(self.directory, options=self._options, item_handlers=handlers)

    # Orbax writes metrics only where it is to choose by them itself, and refuses to open a folder where one is damaged.
    self._metrics = {step: _read_metrics(self.directory / str(step)) for step in self.steps()}

  def _finish(self):
    """Called by Orbax, in process 0's thread, when all is written and before the rename that makes it a checkpoint."""
    for folder in self.directory.glob("*.orbax-checkpoint-tmp*"):
      _write_json(folder / CHECKSUMS, _checksums(folder))
      _write_json(folder / METRICS, self._metrics.get(int(folder.name.partition(".")[0]), {}))

  def steps(self) -> list[int]:
    """Steps that are saved, in order."""
    return sorted(self._manager.all_steps())

  def best_step(self, among: Sequence[int] | None = None) -> int | None:
    """The saved step whose evaluation was best, the later of two equal ones; None where no checkpoint was evaluated."""
    scored = []
    for step in self.steps() if among is None else among:
      metrics = self._metrics.get(step, {})
      if self._best_metric in metrics:
        value = metrics[self._best_metric]  # None or NaN is worse than any number
        scored.append((-math.inf if value is None or math.isnan(value) else self._sign * value, step))
    return max(scored)[1] if scored else None

  def improves(self, metrics: Mapping[str, float | None]) -> bool:
    """Whether an evaluation is better, by `best_metric`, than that of every checkpoint there is."""
    value = metrics.get(self._best_metric)
    if value is None or math.isnan(value):
      return False
    best = self.best_step()
    before = None if best is None else self._metrics[best][self._best_metric]
    return before is None or math.isnan(before) or self._sign * value > self._sign * before

  def check_best(self, metrics: Collection[str]) -> None:
    """Raises UserError if `best_metric` is none of these, all that is evaluated."""
    if self._best_metric and self._best_metric not in metrics:
      near = difflib.get_close_matches(self._best_metric, metrics, 1)
      remedy = f"no such metric in the evaluation; there are {', '.join(sorted(metrics))}"
      raise UserError("config.run.best_metric", self._best_metric, f"{remedy}{f': use {near[0]}?' if near else '.'}")

  def save(self, step: int, state, metrics: Mapping[str, float] | None = None) -> None:
    """Begins a save in the background, once per step.  Errors of the save before (a full disk) are raised here.

    Args:
      step: its label.
      state: what is saved; it may be donated as soon as this returns.
      metrics: of the evaluation of this state, if one was made: what `best_metric` is looked up in.
    """
    with disk_errors(self.directory.parent):
      if step not in self._manager.all_steps():
        self._metrics[step] = dict(metrics or {})
        saved = jax.tree.map(_one_copy, state)
        args = ocp.args.Composite(state=ocp.args.StandardSave(saved), structure=ocp.args.JsonSave(structure(state)))
        self._manager.save(step, args=args, force=True)
      elif metrics and not self._metrics.get(step):
        # It was saved when the run was stopped before or within this evaluation.
        self._manager.wait_until_finished()
        self._metrics[step] = dict(metrics)
        if processes.is_main():
          _write_json(self.directory / str(step) / METRICS, self._metrics[step])

  def wait(self) -> None:
    """Until what was begun is on disk."""
    with disk_errors(self.directory.parent):
      self._manager.wait_until_finished()

  def close(self) -> None:
    with disk_errors(self.directory.parent):
      self._manager.close()

  def restore(self, abstract_state, step: int | None = None):
    """The newest readable state (or that of `step`), laid out like `abstract_state`; None where nothing is saved.

    Args:
      abstract_state: `jax.ShapeDtypeStruct`s with shardings: any number of devices, whatever number saved it.
      step: one step to restore, with no falling back.

    Raises:
      UserError: the checkpoint is of another architecture, or `step` is not there, or nothing saved can be read.
    """
    # Restore precedence:
    # 1. the step asked for, if one was;
    # 2. the newest checkpoint of the workdir that can be read; what cannot be read is moved aside with a warning;
    # 3. nothing saved yet: None, the caller initialises.
    steps = processes.from_main(self.steps())
    if step is not None:
      if step not in steps:
        raise UserError("step", step, f"saved under {self.directory} are {steps}: choose one of these.")
      try:
        return self._read(step, abstract_state)
      except UserError:
        raise
      except Exception as error:
        rest = [s for s in steps if s != step]
        remedy = f"this checkpoint under {self.directory} is damaged ({_brief(error)}); the others are {rest}."
        raise UserError("step", step, remedy) from error
    for candidate in reversed(steps):
      try:
        return self._read(candidate, abstract_state)
      except UserError:
        raise
      except Exception as error:  # Orbax and TensorStore raise many kinds for a damaged file
        if self._read_only:
          logging.warning("checkpoint %d cannot be read (%s): falling back", candidate, _brief(error))
        else:
          self._set_aside(candidate, error)
    if steps:
      remedy = f"none of the checkpoints {steps} can be read (they were moved to {DAMAGED}/): start in a new workdir."
      raise UserError("workdir", str(self.directory.parent), remedy)
    return None

  def raw(self) -> tuple[int, dict[str, Any]]:
    """The newest checkpoint, whatever it is of: its step, and its arrays by path, on the host.

    Raises:
      UserError: there is none.
    """
    if not self.steps():
      raise UserError("run", str(self.directory.parent), "it holds no checkpoint.")
    step = self.steps()[-1]
    _verify(self.directory / str(step))
    meta = self._manager.item_metadata(step)["state"]
    as_array = lambda leaf: ocp.RestoreArgs(restore_type=np.ndarray) if hasattr(leaf, "shape") else ocp.RestoreArgs()
    handler = ocp.PyTreeCheckpointHandler()
    with contextlib.closing(ocp.Checkpointer(handler)) as reader:
      arguments = jax.tree.map(as_array, meta.tree if hasattr(meta, "tree") else meta)
      tree = reader.restore(self.directory / str(step) / "state", args=ocp.args.PyTreeRestore(restore_args=arguments))
    return step, {name: leaf for name, leaf in named_leaves(tree).items() if hasattr(leaf, "shape")}

  def _read(self, step, abstract_state):
    with processes.together():
      if processes.is_main():
        _verify(self.directory / str(step))
    with processes.together():
      saved = self._manager.restore(step, args=ocp.args.Composite(structure=ocp.args.JsonRestore()))["structure"]
      _check_structure(saved, structure(abstract_state), step, self.directory)
    with processes.together():
      args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract_state))
      return self._manager.restore(step, args=args)["state"]

  def _set_aside(self, step, error):
    self._manager.close()
    with processes.together():
      if processes.is_main():
        folder = self.directory.parent / DAMAGED
        folder.mkdir(exist_ok=True)
        target = next(path for i in itertools.count() if not (path := folder / f"{step}.{i}").exists())
        (self.directory / str(step)).rename(target)
        logging.warning("checkpoint %d cannot be read (%s): moved to %s, falling back", step, _brief(error), target)
    self._open()


class _Best(keep_policy.PreservationPolicy):
  """Keeps the best by evaluation."""

  def __init__(self, checkpoints: Checkpoints):
    self._checkpoints = checkpoints

  def should_preserve(self, checkpoints, *, context) -> list[bool]:
    steps = [info.step for info in checkpoints]
    best = self._checkpoints.best_step(steps)
    return [step == best for step in steps]


def _one_copy(array: jax.Array) -> jax.Array:
  """An array that every device of this process holds whole, from one of them.

  Orbax would have each device give its slice, and compiles a program for every shape to cut it: worth its while where
  there are many processes to write, not in one.
  """
  in_one_process = array.is_fully_addressable and array.is_fully_replicated
  return array.addressable_data(0) if in_one_process else array


def _write_json(path: pathlib.Path, content) -> None:
  """Whole or not at all."""
  partial = path.with_suffix(".partial")
  partial.write_text(json.dumps(content))
  partial.replace(path)


def _read_metrics(folder: pathlib.Path) -> dict[str, float | None]:
  try:
    return json.loads((folder / METRICS).read_text())
  except (OSError, ValueError):
    return {}


def _checksums(folder: pathlib.Path) -> dict[str, int]:
  """Of what a restore reads; Orbax adds marks of its own (`commit_success.txt`) after this is taken."""
  files = [p for item in ("state", "structure") for p in (folder / item).rglob("*") if p.is_file()]
  return {str(p.relative_to(folder)): _crc32(p) for p in sorted(files) if p.name != "commit_success.txt"}


def _crc32(path: pathlib.Path) -> int:
  value = 0
  with open(path, "rb") as file:
    while block := file.read(2**24):
      value = zlib.crc32(block, value)
  return value


def _verify(folder: pathlib.Path) -> None:
  """Raises ValueError if a file is missing, or is not what was written."""
  if not (folder / CHECKSUMS).exists():
    return  # what can be told without it, Orbax tells
  written, present = json.loads((folder / CHECKSUMS).read_text()), _checksums(folder)
  wrong = [name for name, checksum in written.items() if present.get(name) != checksum]
  if wrong:
    raise ValueError(f"{len(wrong)} of {len(written)} files are missing or damaged, the first is {wrong[0]}")


def _brief(error):
  return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"


def _check_structure(saved: Mapping[str, str], expected: Mapping[str, str], step: int, directory) -> None:
  if saved == expected:
    return
  different = [name for name in sorted({*saved, *expected}) if saved.get(name) != expected.get(name)]
  name = different[0]
  near = difflib.get_close_matches(name, saved, 1)
  in_checkpoint = saved.get(name) or (f"nothing of that name (nearest: {near[0]})" if near else "nothing of that name")
  raise UserError(
    "workdir",
    str(directory.parent),
    f"its checkpoint {step} is of another architecture: {name} is {expected.get(name, 'absent')} in this config and "
    f"{in_checkpoint} in the checkpoint ({len(different)} leaves differ). Use the config that wrote it, or another "
    "workdir.",
  )
