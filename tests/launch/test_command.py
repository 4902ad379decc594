"""Flags become runs: one command for every launcher, checked before anything waits in a queue."""

import shlex

import pytest

from experiments.command import cli
from launch import command
from research.errors import UserError

CONFIG = "--config=configs/mlp/digits.py"


def runs(*argv):
  return command.runs_of(*command.parse(command.parser("launcher", ""), [CONFIG, *argv]))


def test_one_run_is_the_experiments_own_command():
  (run,) = runs("--config.train.batch_size=64", "--workdir=here", "--config.seed", "3")
  flags, overrides = cli.parse(run.argv()[3:], "")
  assert run.argv()[:3] == ["python", "-m", "experiments.mlp"]
  assert flags["config"] == "configs/mlp/digits.py"
  assert flags["workdir"] == "here"
  assert overrides == {"train.batch_size": "64", "seed": "3"}
  assert shlex.split(run.shell()) == run.argv()
  assert run.name == "mlp-digits"


def test_workdir_is_the_one_that_the_experiment_would_derive():
  (run,) = runs("--config.train.batch_size=64", "--config.seed=3")
  assert run.workdir == cli.default_workdir("mlp", "configs/mlp/digits.py", {"train.batch_size": "64"}, 3)


def test_seeds_times_sweep(tmp_path):
  sweep = tmp_path / "sweep.txt"
  sweep.write_text("# rates\n--config.optimizer.learning_rate=1e-2\n\n--config.optimizer.name='lion'  # another\n")
  made = runs("--seeds=0-1,5", f"--sweep={sweep}", f"--workdir={tmp_path}", "--config.train.batch_size=64")
  assert len(made) == len({run.workdir for run in made}) == 6
  assert all(run.workdir.startswith(str(tmp_path)) for run in made)
  assert made[0].overrides == {"train.batch_size": "64", "optimizer.learning_rate": "1e-2", "seed": "0"}
  assert made[5].overrides == {"train.batch_size": "64", "optimizer.name": "lion", "seed": "5"}


@pytest.mark.parametrize(
  ("argv", "field", "remedy"),
  [
    (["--config.train.bach_size=3"], "config.train.bach_size", "batch_size"),
    (["--sweeep=x"], "flag", "--sweep"),
    (["--seeds=a"], "--seeds", "0-4"),
    (["--sweep=nowhere.txt"], "--sweep", "read"),
    (["--experiment=mlpp"], "--experiment", "mlp"),
    (["--seeds=1,1"], "--workdir", "share"),
  ],
)
def test_bad_input(argv, field, remedy):
  with pytest.raises(UserError, match=remedy) as error:
    runs(*argv)
  assert error.value.field == field


@pytest.mark.parametrize("line", ["batch_size=3", "--workdir=x", "# nothing"])
def test_bad_sweep(line, tmp_path):
  (tmp_path / "sweep.txt").write_text(line)
  with pytest.raises(UserError, match="--sweep"):
    runs(f"--sweep={tmp_path / 'sweep.txt'}")


def test_config_of_ones_own_needs_its_experiment(tmp_path):
  path = tmp_path / "mine.py"
  path.write_text((cli.ROOT / "configs/mlp/digits.py").read_text())
  flags = [f"--config={path}", "--workdir=here"]
  with pytest.raises(UserError, match="--experiment"):
    runs(*flags)
  assert runs(*flags, "--experiment=mlp")[0].module == "experiments.mlp"
