"""Configs drawn at random, and what becomes of them: a run, or a paragraph that says what is wrong."""

import contextlib
import dataclasses
import functools
import importlib
import pathlib
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import ml_collections
from hypothesis import strategies as st

from experiments.command import cli, ranges, session
from research.data import remembered
from research.errors import UserError
from research.training.durations import _DURATION
from research.training.precision import precision

PATIENCE = 60  # seconds that building and tracing may take
WORDS = ("", "nonsense", "None", "0", "../nowhere", "é")
WRONG_TYPES = ("None", "'a'", "(1,)", "{}", "1.5", "True", "[")
DURATIONS = ("0", "1", "7 steps", "1 epochs", "0.5 epochs", "3 examples", "5 tokens", "9 frames", "5 %", "200 %")
DURATIONS += ("-1 steps", "nan", "1e9 steps", "epochs", "0.5 steps")
INTEGERS = (1, 2, 3, 0, 5, 8, 17, -1, 2**31)
FLOATS = ("nan", "inf", "-1.0", "-0.5", "0.0", "1e-12", "0.5", "1.0", "1.5", "1e30", "1e999", "-1e999", "1", "3")
TUPLES = (
  "()",
  "(0,)",
  "(-1,)",
  "(1,)",
  "(3, 5)",
  "(2, 2, 2)",
  "(0.5,)",
  "('a',)",
  "((2, 2),)",
  "(None,)",
  "(1.0, 0.5)",
)


class Hangs(Exception):
  """Building or tracing took longer than `PATIENCE`."""


@dataclasses.dataclass(frozen=True)
class Outcome:
  """What became of a config: `error` is None where it would have run."""

  error: Exception | None

  @property
  def told(self) -> bool:
    """It would run, or the user is told field, value and remedy."""
    if not isinstance(self.error, UserError):
      return self.error is None
    return bool(str(self.error.field) and self.error.remedy)


@functools.cache
def fields(spec: str) -> Mapping[str, object]:
  """The fields of a config that can be set, with their defaults."""
  flat = cli.flattened(cli.load_config(spec))
  return {name: value for name, value in flat.items() if not name.startswith(("published.", "bars."))}


@functools.cache
def commented() -> Mapping[str, tuple[str, ...]]:
  """Words that the comments of the configs' fields list, by the field's last name: mostly what can be chosen."""
  words: dict[str, set[str]] = {}
  for file in (cli.ROOT / "configs").rglob("*.py"):
    for name, comment in re.findall(r'(\w+)"?(?:: | = ).*?# (.*)', file.read_text()):
      words.setdefault(name, set()).update(re.findall(r"[a-zA-Z_][\w-]*", comment))
  for spec in cli.config_files(cli.ROOT):
    for field, value in cli.flattened(cli.load_config(str(spec))).items():
      if isinstance(value, str):
        words.setdefault(field.rpartition(".")[2], set()).add(value)
  return {name: tuple(sorted(found)) for name, found in words.items()}


def values(name: str, default: object) -> st.SearchStrategy[str]:
  """Texts for a field, as the command line gives them: nine in ten of its type, and half of these within its range."""
  if isinstance(default, bool):
    texts = ("True", "False")
  elif isinstance(default, int):
    texts = tuple(map(str, (*INTEGERS, default - 1, default + 1, 2 * default, default // 2)))
  elif isinstance(default, float):
    texts = (*FLOATS, str(default / 2), str(2 * default))
  elif isinstance(default, tuple):
    texts = (*TUPLES, str(default + default), str(default[:-1]), str(default[:1]), str(default[::-1]))
  elif isinstance(default, str) and default and _DURATION.fullmatch(default):
    return st.sampled_from(DURATIONS)
  else:
    return st.sampled_from((*commented().get(name.rpartition(".")[2], ()), *WORDS))
  within = tuple(text for text in texts if in_range(name, text, default))
  kinds = (within or texts, texts, WRONG_TYPES)
  return st.sampled_from((0, 0, 0, 0, 0, 1, 1, 1, 1, 2)).flatmap(lambda kind: st.sampled_from(kinds[kind]))


def in_range(name: str, text: str, default: object) -> bool:
  """Whether a text is a value of the default's type, within the range of its field."""
  config = ml_collections.ConfigDict({name.replace(".", "_"): default})
  try:
    cli.override(config, name.replace(".", "_"), text)
    ranges.check({name: config[name.replace(".", "_")]})
  except UserError:
    return False
  return True


@st.composite
def overrides(draw: st.DrawFn, spec: str, only: tuple[str, ...] = ()) -> dict[str, str]:
  """One to three fields of a config, set to anything; `only` those that begin so."""
  there = [name for name in fields(spec) if not only or name.startswith(only)]
  names = draw(st.lists(st.sampled_from(there), min_size=1, max_size=3, unique=True))
  return {name: draw(values(name, fields(spec)[name])) for name in names}


def specs(chosen: Callable[[str], bool] = lambda name: True) -> list[str]:
  """The smoke variants of all configs whose names, such as `cnn/mnist`, are asked for."""
  names = [f"{file.parent.name}/{file.stem}" for file in cli.config_files(cli.ROOT)]
  return [f"configs/{name}.py:smoke" for name in names if chosen(name)]


def build_of(spec: str):
  """The function that makes an experiment of a config of this family."""
  return importlib.import_module(f"experiments.{pathlib.Path(spec.partition(':')[0]).parent.name}").experiment


@contextlib.contextmanager
def patience(seconds: int) -> Iterator[None]:
  """`Hangs` in the main thread, once the seconds are over."""

  def ring(*_):
    raise Hangs(f"{seconds} s")

  before = signal.signal(signal.SIGALRM, ring)
  signal.alarm(seconds)
  try:
    yield
  finally:
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def loaded(spec: str, overrides: Mapping[str, str], folder: pathlib.Path) -> ml_collections.ConfigDict:
  """The config; one of a user's own data has those of `folder`."""
  config = cli.load_config(spec, overrides)
  family, _, name = spec.partition(":")[0].removeprefix("configs/").removesuffix(".py").partition("/")
  if name == "own" and not config.data.path:
    of_family = folder / "raw" / f"own_{family}"
    with config.unlocked():
      config.data.path = str(of_family if of_family.exists() else folder / "own")
  return config


class TooLate(Exception):
  """What a report refuses could have been refused before training."""


REPORTED = ("report.", "sampler.", "measure.")  # sections that nothing but the report reads
_STATES: dict[str, Any] = {}


def report(spec: str, overrides: Mapping[str, str], folder: pathlib.Path) -> Outcome:
  """Builds a config with changes in `REPORTED`, and has it report of an untrained state: no error may be left for then.

  Args: as of `outcome`.
  """
  try:
    with patience(5 * PATIENCE):
      config = loaded(spec, overrides, folder)
      with config.unlocked():
        config.run.num_devices = 1
      with precision(config.train.precision):
        ready = session.prepared(build_of(spec), config, remembered.Memory(str(folder / "none")), "train")
        if spec not in _STATES:
          _STATES[spec] = ready.executor.plan.local(ready.executor.init_state())
        try:
          ready.experiment.report(_STATES[spec])
        except UserError as error:
          raise TooLate(str(error)) from error
  except Exception as error:
    return Outcome(error)
  return Outcome(None)


def outcome(spec: str, overrides: Mapping[str, str], folder: pathlib.Path) -> Outcome:
  """Builds a config and its experiment and traces one update and one evaluation, without computing either.

  Args:
    spec: the config.
    overrides: texts of its fields.
    folder: of mock data, among which a user's own.
  """
  try:
    with patience(PATIENCE):
      config = loaded(spec, overrides, folder)
      with precision(config.train.precision):
        trace(session.prepared(build_of(spec), config, remembered.Memory(str(folder / "none")), "train"))
  except Exception as error:
    return Outcome(error)
  return Outcome(None)


def trace(ready: session.Prepared) -> None:
  """Shapes of a state, of one update and of one evaluation."""
  executor, experiment = ready.executor, ready.experiment
  state = executor.abstract_state()
  data = experiment.train_data
  update = lambda state, resident, feed: experiment.learner.update(state, data.assemble(resident, feed))
  jax.eval_shape(update, state, dict(data.resident), data.feed(0))
  if experiment.test_data is not None and experiment.learner.carry is None:
    test = experiment.test_data
    evaluate = lambda state, resident, feed: experiment.learner.evaluate(state, test.assemble(resident, feed))
    jax.eval_shape(evaluate, state, dict(test.resident), test.feed(0))
