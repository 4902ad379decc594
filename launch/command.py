"""The command that an experiment runs, wherever it runs: every launcher turns its flags into runs here.

A launch is one run, or one for each seed and each line of a sweep.  A sweep is a text file; a line holds the overrides
of one run as they stand on a command line, `#` begins a comment:

  --config.optimizer.learning_rate=1e-3
  --config.optimizer.learning_rate=3e-3 --config.train.batch_size=256
"""

import argparse
import dataclasses
import difflib
import pathlib
import re
import shlex
import sys
from collections.abc import Mapping, Sequence

from experiments.command import cli
from research.errors import UserError

EXIT_USER_ERROR = cli.EXIT_USER_ERROR


@dataclasses.dataclass(frozen=True)
class Run:
  """One run of an experiment.

  Attributes:
    module: what `python -m` starts, `experiments.cnn`.
    config: path and variant of the config, `configs/cnn/mnist.py:smoke`.
    overrides: dotted field -> text, the seed among them.
    workdir: where the run lives, the same after every restart.
  """

  module: str
  config: str
  overrides: Mapping[str, str]
  workdir: str

  @property
  def name(self) -> str:
    """`cnn-mnist`: of the experiment and its config, in small letters, digits and dashes."""
    path, _, variant = self.config.partition(":")
    words = [self.module.rpartition(".")[2], pathlib.Path(path).stem, variant]
    return re.sub(r"[^a-z0-9]+", "-", "-".join(words).lower()).strip("-")

  def argv(self, python: str = "python") -> list[str]:
    """The command's words."""
    overrides = [f"--config.{field}={value}" for field, value in self.overrides.items()]
    return [python, "-m", self.module, f"--config={self.config}", f"--workdir={self.workdir}", *overrides]

  def shell(self, python: str = "python") -> str:
    """The command for a POSIX shell."""
    return shlex.join(self.argv(python))


def parser(prog: str, description: str) -> argparse.ArgumentParser:
  """A parser with the flags that launchers share; `parse` reads a command line with it."""
  flags = argparse.ArgumentParser(
    prog=prog, description=description, allow_abbrev=False, formatter_class=argparse.ArgumentDefaultsHelpFormatter
  )
  flags.add_argument("--config", required=True, help="the config, FILE.py[:variant]; fields by --config.FIELD=VALUE")
  flags.add_argument("--experiment", default="", help="its experiment, where the config's folder does not name it")
  flags.add_argument("--workdir", default="", help="the run's folder; of several runs, the one that theirs lie in")
  flags.add_argument("--seeds", default="", help="a run for each: 0-4, or 0,3,7")
  flags.add_argument("--sweep", default="", help="a run for each line of this file of overrides")
  flags.add_argument("--dry-run", action="store_true", help="print what would be submitted, and submit nothing")
  return flags


def parse(
  known_flags: argparse.ArgumentParser, argv: Sequence[str] | None = None
) -> tuple[argparse.Namespace, dict[str, str]]:
  """Flags, and the overrides `--config.FIELD=VALUE`.

  Raises:
    UserError: an unknown flag, with the nearest known.
  """
  flags, rest = known_flags.parse_known_args(sys.argv[1:] if argv is None else list(argv))
  for word in rest:
    if word.startswith("-") and not word.startswith("--config."):
      known = [option for action in known_flags._actions for option in action.option_strings]
      near = difflib.get_close_matches(word.partition("=")[0], known, 1)
      raise UserError("flag", word, f"no such flag{f': the nearest is {near[0]}' if near else ''}; --help lists them.")
  return flags, cli.parse(rest, flags.config)[1]


def runs_of(flags: argparse.Namespace, overrides: Mapping[str, str], root: str = "runs") -> list[Run]:
  """The runs that flags ask for, each config checked, so that nothing misspelt waits in a queue for hours.

  Args:
    flags: with those of `parser`.
    overrides: of every run.
    root: folder of derived workdirs.

  Raises:
    UserError: no such config, experiment or field; a sweep or seeds that cannot be read; two runs with one workdir.
  """
  module = module_of(flags.config, flags.experiment)
  runs = []
  for line in read_sweep(flags.sweep, flags.config) if flags.sweep else [{}]:
    for seed in parse_seeds(flags.seeds) if flags.seeds else [None]:
      all_overrides = {**overrides, **line, **({} if seed is None else {"seed": str(seed)})}
      config = cli.load_config(flags.config, all_overrides)
      derived = cli.default_workdir(module.rpartition(".")[2], flags.config, all_overrides, config.seed)
      within = pathlib.PurePath(*pathlib.PurePath(derived).parts[1:])  # without the leading `runs`
      several = bool(flags.sweep or flags.seeds)
      if flags.workdir:
        workdir = pathlib.PurePath(flags.workdir, *within.parts[1:]) if several else pathlib.PurePath(flags.workdir)
      else:
        workdir = root / within
      runs.append(Run(module, flags.config, all_overrides, str(workdir)))
  twice = [run.workdir for i, run in enumerate(runs) if run.workdir in {other.workdir for other in runs[:i]}]
  if twice:
    remedy = "two runs would share it: their overrides are the same, or differ only in how they run (config.run)."
    raise UserError("--workdir", twice[0], remedy)
  return runs


def module_of(config: str, experiment: str = "") -> str:
  """`experiments.cnn` of `configs/cnn/mnist.py`: configs lie in a folder named like their experiment.

  Raises:
    UserError: there is no such experiment.
  """
  if "." in experiment:
    return experiment
  name = experiment or pathlib.Path(config.partition(":")[0]).resolve().parent.name
  known = sorted(path.stem for path in (cli.ROOT / "experiments").glob("*.py") if not path.stem.startswith("_"))
  if name not in known:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else "name it by --experiment; `python -m experiments` lists them."
    raise UserError("--experiment", name, f"there is no such experiment: {hint}")
  return f"experiments.{name}"


def parse_seeds(text: str) -> list[int]:
  """`0-2,7` -> [0, 1, 2, 7].

  Raises:
    UserError: text of another form.
  """
  seeds = []
  for part in text.split(","):
    match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
    if not match:
      raise UserError("--seeds", text, "give numbers and ranges, as in 0-4 or 0,3,7.")
    seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
  return seeds


def read_sweep(path: str, config: str) -> list[dict[str, str]]:
  """The overrides of every line of a sweep file.

  Raises:
    UserError: no such file, nothing in it, or a line that holds anything else.
  """
  try:
    text = pathlib.Path(path).read_text()
  except OSError as error:
    raise UserError("--sweep", path, f"it cannot be read ({error.strerror}).") from error
  lines = []
  for number, line in enumerate(text.splitlines(), 1):
    words = shlex.split(line, comments=True)
    if any(not word.startswith("--config.") for word in words):
      raise UserError("--sweep", f"{path}:{number}", "a line holds --config.FIELD=VALUE and nothing else.")
    if words:
      lines.append(cli.parse(words, config)[1])
  if not lines:
    raise UserError("--sweep", path, "it holds no run: write the overrides of one run on each line.")
  return lines
