"""Checkpoints: the state and nothing else, by Orbax, asynchronous and atomic.

Batches and keys are functions of the step, so the state is the whole checkpoint.  Beside it lies its structure (path,
shape and dtype of every leaf), which tells a checkpoint of another architecture (the user's error: stop) from a damaged
one (fall back to the one before).
"""

import difflib
import logging
import pathlib
from collections.abc import Mapping

import jax
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import preservation_policy as keep_policy

from research.errors import UserError

DAMAGED = "damaged"  # folder beside the checkpoints: what could not be read is set aside, never deleted


def structure(state) -> dict[str, str]:
  """`{'params/dense/kernel': 'float32[784,512]', ...}` of a state, abstract or not."""
  leaves = jax.tree_util.tree_flatten_with_path(state)[0]
  name = lambda path: "/".join(str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", key)))) for key in path)
  return {name(path): f"{leaf.dtype}{list(leaf.shape)}".replace(" ", "") for path, leaf in leaves}


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
  ):
    self.directory = directory.absolute()
    policies = [keep_policy.LatestN(keep)]
    if keep_every:
      policies.append(keep_policy.EveryNSteps(keep_every))
    if best_metric:
      # Orbax keeps the largest last; metrics are absent on the saves that no evaluation precedes.
      policies.append(
        keep_policy.BestN(
          get_metric_fn=lambda metrics: metrics[best_metric],
          reverse=best_mode == "min",
          n=1,
          keep_checkpoints_without_metrics=False,
        )
      )
    self._best_metric, self._best_mode = best_metric, best_mode
    self._options = ocp.CheckpointManagerOptions(
      preservation_policy=keep_policy.AnyPreservationPolicy(policies),
      enable_async_checkpointing=True,
      cleanup_tmp_directories=True,
    )
    self._open()

  def _open(self):
    handlers = {"state": ocp.StandardCheckpointHandler(), "structure": ocp.JsonCheckpointHandler()}
    self._manager = ocp.CheckpointManager(self.directory, options=self._options, item_handlers=handlers)

  def steps(self) -> list[int]:
    """Steps that are saved, in order."""
    return sorted(self._manager.all_steps())

  def best_step(self) -> int | None:
    """The saved step whose evaluation was best; None where no checkpoint was evaluated."""
    sign = 1 if self._best_mode == "max" else -1
    scored = [(sign * m[self._best_metric], step) for step in self.steps() if (m := self._manager.metrics(step))]
    return max(scored)[1] if scored else None

  def save(self, step: int, state, metrics: Mapping[str, float] | None = None) -> None:
    """Begins a save in the background, once per step.  Errors of the save before (a full disk) are raised here."""
    if step in self._manager.all_steps():
      return
    args = ocp.args.Composite(state=ocp.args.StandardSave(state), structure=ocp.args.JsonSave(structure(state)))
    with _disk_errors(self.directory):
      self._manager.save(step, args=args, metrics=dict(metrics) if metrics else None, force=True)

  def wait(self) -> None:
    """Until what was begun is on disk."""
    with _disk_errors(self.directory):
      self._manager.wait_until_finished()

  def close(self) -> None:
    with _disk_errors(self.directory):
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
    steps = self.steps()
    if step is not None:
      if step not in steps:
        raise UserError("step", step, f"saved under {self.directory} are {steps}: choose one of these.")
      return self._read(step, abstract_state)
    for candidate in reversed(steps):
      try:
        return self._read(candidate, abstract_state)
      except UserError:
        raise
      except Exception as error:  # Orbax and TensorStore raise many kinds for a damaged file
        self._set_aside(candidate, error)
    if steps:
      remedy = f"none of the checkpoints {steps} can be read (they were moved to {DAMAGED}/): start in a new workdir."
      raise UserError("workdir", str(self.directory.parent), remedy)
    return None

  def _read(self, step, abstract_state):
    saved = self._manager.restore(step, args=ocp.args.Composite(structure=ocp.args.JsonRestore()))["structure"]
    _check_structure(saved, structure(abstract_state), step, self.directory)
    args = ocp.args.Composite(state=ocp.args.StandardRestore(abstract_state))
    return self._manager.restore(step, args=args)["state"]

  def _set_aside(self, step, error):
    target = self.directory.parent / DAMAGED
    target.mkdir(exist_ok=True)
    number = sum(1 for _ in target.glob(f"{step}*"))
    self._manager.close()
    (self.directory / str(step)).rename(target / f"{step}.{number}")
    logging.warning("checkpoint %d cannot be read (%s): moved to %s, falling back", step, _brief(error), target)
    self._open()


def _brief(error):
  return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"


def _check_structure(saved: Mapping[str, str], wanted: Mapping[str, str], step: int, directory) -> None:
  if saved == wanted:
    return
  different = [name for name in sorted({*saved, *wanted}) if saved.get(name) != wanted.get(name)]
  name = different[0]
  near = difflib.get_close_matches(name, saved, 1)
  in_checkpoint = saved.get(name) or (f"nothing of that name (nearest: {near[0]})" if near else "nothing of that name")
  raise UserError(
    "workdir",
    str(directory.parent),
    f"its checkpoint {step} is of another architecture: {name} is {wanted.get(name, 'absent')} in this config and "
    f"{in_checkpoint} in the checkpoint ({len(different)} leaves differ). Use the config that wrote it, or another workdir.",
  )


class _disk_errors:
  """Turns what a full or read-only disk raises into an error that says what is safe."""

  def __init__(self, directory):
    self._directory = directory

  def __enter__(self):
    return self

  def __exit__(self, kind, error, trace):
    text = f"{error} {getattr(error, '__cause__', '')}".lower()
    if kind is not None and any(
      s in text for s in ("no space left", "resource_exhausted", "disk quota", "file too large")
    ):
      remedy = (
        "the disk is full: free space and relaunch. Checkpoints saved before are intact; the run resumes from them."
      )
      raise UserError("workdir", str(self._directory.parent), remedy) from error
    return False
