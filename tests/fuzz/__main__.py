"""Random configs of every experiment, and which of them end in a failure that nothing has foreseen.

python -m tests.fuzz [--minutes=10] [--only=cnn,vae/vq] [--fields=model.,data.] [--reports] [--seed=0]
python -m tests.fuzz --own [--minutes=10] [--only=cnn] [--seed=0]      damages a user's own data in place of configs

Each kind of failure is printed once, with what led to it.  Exit code 0 where there was none, else 1.
"""

import argparse
import collections
import contextlib
import dataclasses
import logging
import os
import pathlib
import random
import sys
import tempfile
import time
import traceback
from collections.abc import Callable

os.environ.update(JAX_PLATFORMS="cpu")

import hypothesis

from experiments.command import cli
from tests import mock_data
from tests.fuzz import configs, own_data
from tests.mock_data import own

EACH = 12  # configs drawn of a file before it is the next one's turn


@dataclasses.dataclass
class Tally:
  """What became of the configs tried so far.

  Attributes:
    counts: how many would have run, were told, and were not.
    failures: error and place of each failure that nothing has foreseen.
  """

  counts: collections.Counter = dataclasses.field(default_factory=collections.Counter)
  failures: set[str] = dataclasses.field(default_factory=set)

  def note(self, outcome: configs.Outcome, spec: str, overrides: object) -> None:
    """Counts an outcome, and prints the first of each kind of failure."""
    self.counts["run" if outcome.error is None else "told" if outcome.told else "not told"] += 1
    if outcome.told:
      return
    kind = f"{type(outcome.error).__name__} at {place(outcome.error)}"
    if kind not in self.failures:
      self.failures.add(kind)
      print(f"{kind}\n  {spec} {overrides}\n  {str(outcome.error).strip()[:300]}", flush=True)


def place(error: Exception) -> str:
  """The innermost line of this repository that an error went through."""
  frames = [f for f in traceback.extract_tb(error.__traceback__) if str(cli.ROOT / "") in f.filename + "/"]
  frames = [f for f in frames if "/tests/" not in f.filename and "/site-packages/" not in f.filename]
  return f"{pathlib.Path(frames[-1].filename).relative_to(cli.ROOT)}:{frames[-1].lineno}" if frames else "no line"


def try_some(spec: str, beginnings: tuple[str, ...], seed: int, attempt: Callable[[str, dict[str, str]], None]) -> None:
  """`attempt(spec, overrides)` for `EACH` random configs."""
  settings = hypothesis.settings(
    max_examples=EACH,
    deadline=None,
    database=None,
    phases=[hypothesis.Phase.generate],
    suppress_health_check=list(hypothesis.HealthCheck),
  )
  hypothesis.seed(seed)(
    settings(hypothesis.given(configs.overrides(spec, beginnings))(lambda overrides: attempt(spec, overrides)))
  )()


def damage(folder: pathlib.Path, only: set[str], dice: random.Random, end: float, tally: Tally) -> None:
  """Damages own data of commands of docs/data.md, until time is up."""
  originals = folder / "originals"
  originals.mkdir()
  own.write(originals)
  commands = own_data.commands(only)
  while time.monotonic() < end:
    command, seed = dice.choice(commands), dice.getrandbits(32)
    with tempfile.TemporaryDirectory(dir=folder) as place, contextlib.chdir(place):
      changes = own_data.damaged(originals, command, random.Random(seed), pathlib.Path(place))
      tally.note(own_data.outcome(command), " ".join(command), changes)


def main() -> int:
  """Draws until time is up."""
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("--minutes", type=float, default=10)
  parser.add_argument("--only", default="")
  parser.add_argument("--fields", default="")
  parser.add_argument("--reports", action="store_true", help="have untrained states reported too, slowly")
  parser.add_argument("--own", action="store_true", help="damage own data")
  parser.add_argument("--seed", type=int, default=0)
  arguments = parser.parse_args()
  logging.getLogger().setLevel(logging.ERROR)
  folder = pathlib.Path(tempfile.mkdtemp(prefix="genera-fuzz-"))
  os.environ["TFDS_DATA_DIR"] = str(mock_data.write_all(folder))
  os.environ["GENERA_DATA_DIR"] = str(mock_data.write_raw(folder / "raw"))
  os.environ["GENERA_CACHE"] = str(folder / "cache")
  only = set(filter(None, arguments.only.split(",")))
  end, tally, dice = time.monotonic() + 60 * arguments.minutes, Tally(), random.Random(arguments.seed)
  if arguments.own:
    damage(folder, only, dice, end, tally)
  else:
    draw(arguments, only, folder, dice, end, tally)
  print(dict(tally.counts), f"{len(tally.failures)} kinds of failure")
  return int(bool(tally.failures))


def draw(arguments: argparse.Namespace, only: set[str], folder: pathlib.Path, dice, end: float, tally: Tally) -> None:
  """Draws configs, until time is up."""
  beginnings = configs.REPORTED if arguments.reports else tuple(filter(None, arguments.fields.split(",")))
  specs = configs.specs(lambda name: not only or {name, name.partition("/")[0]} & only)
  specs = [
    spec for spec in specs if not beginnings or any(map(lambda f: f.startswith(beginnings), configs.fields(spec)))
  ]
  attempted = configs.report if arguments.reports else configs.outcome

  def attempt(spec: str, overrides: dict[str, str]) -> None:
    if time.monotonic() < end:
      tally.note(attempted(spec, overrides, folder), spec, overrides)

  while time.monotonic() < end:
    try_some(dice.choice(specs), beginnings, dice.getrandbits(32), attempt)


if __name__ == "__main__":
  sys.exit(main())
