"""Warm starts: a run that begins with the parameters of another, all of them or some."""

import contextlib
import pathlib
from typing import Any

import jax

from research.errors import UserError
from research.training.checkpoint import Checkpoints, named_leaves

# What belongs to a run and not to what it has learned.
_OWN = {"step", "key", "skipped", "opt_state", "critic_opt_state", "generator_opt_state", "carry", "replay", "memory"}


def checkpoints_of(folder: str) -> pathlib.Path:
  """Where the checkpoints of a run lie.

  Raises:
    UserError: there are none.
  """
  place = pathlib.Path(folder).expanduser() / "checkpoints"
  if not any(place.glob("[0-9]*")):
    raise UserError("config.init_from", folder, "it is no folder of a run with a checkpoint.")
  return place


def begin(state: Any, folder: str, paths: str = "") -> tuple[Any, dict[str, Any]]:
  """A state at step 0 with the parameters, averages and statistics of another run's newest checkpoint.

  Args:
    state: of the run that begins; the optimizer, the keys and the count of steps stay its own.
    folder: of the other run.
    paths: beginnings of the paths of what is taken, such as `params/Conv_0,params/Conv_1`; empty takes all.

  Returns:
    The state, and for `run.json` where it comes from.

  Raises:
    UserError: no checkpoint there, no such path, or shapes that differ; all of these are named.
  """
  place = checkpoints_of(folder)
  with contextlib.closing(Checkpoints(place, read_only=True)) as checkpoints:
    step, given = checkpoints.raw()
  leaves = named_leaves(state)
  prefixes = [prefix.strip() for prefix in paths.split(",") if prefix.strip()]
  chosen = [name for name in leaves if not _OWN & set(name.split("/")) and _within(name, prefixes)]
  for prefix in prefixes:
    if not any(_within(name, [prefix]) for name in chosen):
      raise UserError("config.init_paths", prefix, f"no such path; there are {', '.join(_own_free(leaves)[:20])}.")
  taken: dict[str, Any] = {}
  wrong = []
  for name in chosen:
    value = given.get(name, given.get(name.removeprefix("ema/")))
    if value is None or value.shape != leaves[name].shape:
      there = "absent" if value is None else list(value.shape)
      wrong.append(f"{name} is {list(leaves[name].shape)} here, {there} there")
    else:
      taken[name] = value
  if wrong:
    remedy = (
      f"{len(wrong)} of {len(chosen)} arrays differ ({'; '.join(wrong[:8])}): name those to take by config.init_paths."
    )
    raise UserError("config.init_from", folder, remedy)
  put = lambda name, leaf: jax.device_put(taken[name].astype(leaf.dtype), leaf.sharding) if name in taken else leaf
  flat, tree = jax.tree.flatten(state)
  new = [put(name, leaf) for name, leaf in zip(leaves, flat, strict=True)]
  return jax.tree.unflatten(tree, new), {"run": str(place.parent), "step": step, "arrays": len(taken), "paths": paths}


def _within(name: str, prefixes: list[str]) -> bool:
  """Whether a path begins with one of these; that of a moving average does where that of its parameters does."""
  name = name.removeprefix("ema/")
  return not prefixes or any(name == prefix or name.startswith(f"{prefix.rstrip('/')}/") for prefix in prefixes)


def _own_free(leaves) -> list[str]:
  return [name for name in leaves if not _OWN & set(name.split("/"))]
