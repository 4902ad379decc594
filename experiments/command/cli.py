"""The command line that every experiment shares.

python -m experiments.cnn [--config=configs/cnn/mnist.py[:smoke]] [--workdir=...] [--config.x=y]
                          [--mode=train|evaluate|predict|sample|export] [--input=PATH]

Of a run that there is, --workdir alone will do: its folder holds its config.
"""

import ast
import difflib
import importlib.machinery
import inspect
import logging
import os
import pathlib
import sys
import traceback
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections

from research import renamed
from research.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]
MODES = ("train", "evaluate", "predict", "sample", "export")
DEBUG = "GENERA_DEBUG"  # variable that has failures shown with their tracebacks
EXIT_ERROR = 1
EXIT_USER_ERROR = 2


def main(experiment: Callable, default_config: str, argv: Sequence[str] | None = None) -> None:
  """Runs an experiment from the command line; exits with the documented code.

  Exit codes: 0 finished; 2 bad input; 3 training stopped by non-finite numbers; 75 preempted, saved: run it again.
  One of several processes ends with 1 on any other error, at once, so that the others do not wait for it.
  """
  from experiments.command import runs
  from research.training import processes  # imports jax, as what is run does

  logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s")
  name, overrides, config = pathlib.Path(inspect.getfile(experiment)).stem, {}, ml_collections.ConfigDict()
  try:
    flags, overrides = parse(sys.argv[1:] if argv is None else argv, "")
    if not flags["config"] and runs.holds_one(flags["workdir"]):
      flags["config"], config = runs.load(flags["workdir"], name, default_config, overrides)
    else:
      flags["config"] = flags["config"] or default_config
      config = load_config(flags["config"], overrides)
    workdir = flags["workdir"] or default_workdir(name, flags["config"], overrides, config.seed)
    processes.join()
    if not processes.is_main():  # process 0 has the same warnings
      logging.getLogger().setLevel(logging.ERROR)
    code = run(experiment, name, flags["config"], config, workdir, flags["mode"], flags["input"], overrides)
  except UserError as error:
    if not isinstance(error, processes.ToldError):
      told = UserError(full_name(error.field, error.value, config), error.value, error.remedy)
      print(f"error: {told}", file=sys.stderr)
    code = EXIT_USER_ERROR
  except Exception as error:
    if processes.count() == 1 and not os.environ.get(DEBUG):
      print(f"error: {_told(error, overrides)}", file=sys.stderr)
      processes.leave(EXIT_USER_ERROR if overrides else EXIT_ERROR)
    if processes.count() == 1:
      raise
    traceback.print_exc()
    code = EXIT_ERROR
  processes.leave(code)


def _told(error: Exception, overrides: Mapping[str, str]) -> str:
  """A failure that nothing has foreseen, in a paragraph: what failed, what was asked for, how to see more."""
  lines = [line.strip() for line in str(error).splitlines() if line.strip()]
  what = f"{type(error).__name__}: {lines[0][:300] if lines else ''}"
  if "RESOURCE_EXHAUSTED" in str(error) or isinstance(error, MemoryError):
    what += " (the device has not the memory: lower config.train.batch_size and config.data.eval_batch_size)"
  given = ", ".join(f"config.{field} = {value!r}" for field, value in overrides.items())
  cause = f"look first at what was set: {given}" if given else "no field was set, so the fault may be this program's"
  return f"{what}. Nothing has foreseen this; {cause}. {DEBUG}=1 shows the traceback."


def run(experiment, name, config_name, config, workdir, mode="train", source="", overrides=None) -> int:
  """One run in this process; the exit code."""
  from experiments.command import session  # after the flags are known to be good: this imports jax

  return session.run(experiment, name, config_name, config, workdir, mode, source, overrides)


def parse(argv: Sequence[str], default_config: str) -> tuple[dict[str, str], dict[str, str]]:
  """`({config, workdir, mode, input}, {'train.batch_size': '64'})`.

  Raises:
    UserError: an unknown flag, with the nearest known, or one without a value.
  """
  flags = {"config": default_config, "workdir": "", "mode": "train", "input": ""}
  overrides = {}
  words = list(argv)
  while words:
    word = words.pop(0)
    if word in ("-h", "--help"):
      print(__doc__.strip())
      sys.exit(0)
    name, equals, value = word.removeprefix("--").partition("=")
    known = name in flags or name.startswith("config.")
    if not word.startswith("--") or not known:
      near = difflib.get_close_matches(name, flags, 1)
      hint = (
        f"the nearest is --{near[0]}=..." if near else f"there are {', '.join(f'--{f}' for f in flags)}, --config.x"
      )
      raise UserError("flag", word, f"no such flag: {hint}.")
    if not equals:
      if not words:
        raise UserError("flag", word, f"it needs a value: {word}=...")
      value = words.pop(0)
    if name in flags:
      flags[name] = value
    else:
      overrides[name.removeprefix("config.")] = value
  if flags["mode"] not in MODES:
    raise UserError("--mode", flags["mode"], f"choose one of {', '.join(MODES)}.")
  return flags, overrides


def load_config(spec: str, overrides: Mapping[str, str] | None = None) -> ml_collections.ConfigDict:
  """The config of `path.py[:variant]`, with overrides, locked.

  Raises:
    UserError: no such file, no such field (with the nearest), or a value of another type.
  """
  path, _, variant = spec.partition(":")
  file = next((p for p in (pathlib.Path(path), ROOT / path) if p.is_file()), None)
  if file is None:
    known = [p.relative_to(ROOT).as_posix() for p in config_files(ROOT)]
    near = difflib.get_close_matches(path, known, 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UserError("--config", spec, f"there is no such file: {hint}`python -m experiments` lists them.")
  try:
    config = _load(file).get_config(variant)
  except (AttributeError, ImportError, SyntaxError, ValueError) as error:  # configs know no class of ours
    raise UserError("--config", spec, f"{error}.") from error
  config.lock()
  override_all(config, overrides or {})
  return config


def config_files(root: pathlib.Path) -> list[pathlib.Path]:
  """The configs of every family; what begins with an underscore is for configs to share."""
  return [path for path in sorted((root / "configs").glob("*/*.py")) if not path.stem.startswith("_")]


def _load(file: pathlib.Path) -> types.ModuleType:
  """The module in a file, wherever it lies."""
  loader = importlib.machinery.SourceFileLoader(f"config_{file.stem}", str(file))
  module = types.ModuleType(loader.name)
  module.__file__ = str(file)
  loader.exec_module(module)
  return module


def override_all(config: ml_collections.ConfigDict, overrides: Mapping[str, str]) -> None:
  """`override` of every one.

  A name first: where it chooses a part of the config, the other fields may be those of that part.
  """
  for field, text in sorted(overrides.items(), key=lambda item: not item[0].endswith((".name", ".network"))):
    override(config, field, text)


def override(config: ml_collections.ConfigDict, field: str, text: str) -> None:
  """Sets a dotted field from text, with the type that it has."""
  flat = flattened(config)
  field = renamed.now(field, flat)
  if field not in flat:
    near = difflib.get_close_matches(field, flat, 1, cutoff=0.5)
    here = [name for name in flat if name.rpartition(".")[0] == field.rpartition(".")[0]]
    hint = f"the nearest is config.{near[0]}" if near else f"there are {', '.join(f'config.{n}' for n in here or flat)}"
    raise UserError(f"config.{field}", text, f"no such field: {hint}.")
  old = flat[field]
  if field == "task" and text != old:
    remedy = (
      f"this config's fields are those of {old}: begin with a config of that task (`python -m experiments` lists)."
    )
    raise UserError("config.task", text, remedy)
  try:
    value = text if isinstance(old, str) else ast.literal_eval(text)
    # A ConfigDict takes None for any type.
    if isinstance(old, bool) != isinstance(value, bool) or (value is None and old is not None):
      raise TypeError
    if isinstance(old, tuple) and not _alike(value, old):
      raise TypeError
    config.update_from_flattened_dict({field: value})
  except (TypeError, ValueError, SyntaxError) as error:
    if isinstance(old, str):  # a name that the config does not have (`configs._choice.Choice`)
      raise UserError(f"config.{field}", text, f"{error}.") from error
    kind = type(old).__name__
    raise UserError(f"config.{field}", text, f"it must be of type {kind}, as the default {old!r} is.") from error


def _alike(value: Any, default: tuple) -> bool:
  """Whether the entries of a tuple are of types that its default's have; of an empty one nothing is known."""
  if not isinstance(value, tuple | list) or not default:
    return isinstance(value, tuple | list)
  inner = tuple(entry for one in default if isinstance(one, tuple) for entry in one)
  kinds = {type(one) for one in default}
  kinds |= {int} if float in kinds else set()
  return all(_alike(one, inner) if isinstance(one, tuple) and inner else type(one) in kinds for one in value)


def flattened(tree, prefix="") -> dict[str, Any]:
  """The fields of a nested config by their full names, `optimizer.learning_rate`."""
  flat = {}
  for name, value in tree.items():
    if isinstance(value, Mapping | ml_collections.ConfigDict):
      flat |= flattened(value, f"{prefix}{name}.")
    else:
      flat[f"{prefix}{name}"] = value
  return flat


def full_name(field: str, value: Any, config: ml_collections.ConfigDict) -> str:
  """`config.data.image_size` of the `image_size` that a part of the library speaks of.

  Where several fields of the config end so, it is the one that has the value, if only one has; else `field`.
  """
  values = {name: own for name, own in flattened(config).items() if name.rpartition(".")[2] == field}
  if len(values) > 1:
    values = {name: own for name, own in values.items() if own == value}
  return f"config.{next(iter(values))}" if len(values) == 1 else field


def default_workdir(experiment: str, spec: str, overrides: Mapping[str, str], seed: int) -> str:
  """A folder derived from the config, never from the clock, so that a relaunched job finds itself."""
  path, _, variant = spec.partition(":")
  parts = [pathlib.Path(path).stem, *([variant] if variant else [])]
  changed = {k: v for k, v in overrides.items() if k != "seed" and not k.startswith("run.")}
  parts += [f"{k.rpartition('.')[2]}={str(v).replace('/', '_').replace(' ', '')}" for k, v in sorted(changed.items())]
  return str(pathlib.Path("runs") / experiment / ",".join(parts) / f"seed{seed}")
