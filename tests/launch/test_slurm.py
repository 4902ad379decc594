"""The batch script as text; what it does on a cluster is in `test_slurm_cluster`."""

import subprocess

import pytest

from launch.slurm import __main__ as slurm

CONFIG = "--config=configs/mlp/digits.py"


def rendered(capsys, *argv) -> str:
  assert slurm.main([CONFIG, "--time=1:00:00", "--dry-run", *argv]) == 0
  return capsys.readouterr().out


def test_options(capsys, tmp_path):
  flags = ["--nodes=2", "--gpus-per-node=8", "--grace=90", "--sbatch=--partition=long --comment='two words'"]
  script = rendered(capsys, f"--workdir={tmp_path}/run", *flags)
  options = [line.removeprefix("#SBATCH ") for line in script.splitlines() if line.startswith("#SBATCH")]
  wanted = ["--nodes=2", "--ntasks-per-node=8", "--gpus-per-node=8", "--signal=TERM@90", "--requeue"]
  assert set(wanted) <= set(options)
  assert f"--output={tmp_path}/run/slurm-%j.out" in options
  assert '"--comment=two words"' in options
  assert not any(option.startswith("--array") for option in options)
  assert not (tmp_path / "run").exists(), "a dry run leaves nothing"


def test_array_has_every_run_and_a_table(capsys, tmp_path):
  script = rendered(capsys, f"--workdir={tmp_path}", "--seeds=0-2", "--array=0-2%2")
  assert "#SBATCH --array=0-2%2\n" in script
  assert all(f"  {i}) run=(" in script and f"--config.seed={i})" in script for i in range(3))
  assert "--dependency=afterany:JOB" in script
  assert "launch.table" in script


def test_is_a_shell_script(capsys):
  for argv in ([], ["--seeds=0-1", "--config.data.path=a b'c"]):
    script = rendered(capsys, *argv).partition("# And when")[0]
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize(
  ("flag", "said"),
  [
    ("--nodes=0", "1 or more"),
    ("--array=0-3", "one run"),
    ("--config.train.bach_size=1", "batch_size"),
    ("--signal=1", "no such flag"),
  ],
)
def test_bad_input_is_one_line(flag, said, capsys):
  assert slurm.main([CONFIG, "--time=1", "--dry-run", flag]) == 2
  assert said in capsys.readouterr().err


def test_no_slurm_is_said(tmp_path, capsys, monkeypatch):
  monkeypatch.setenv("PATH", str(tmp_path))
  assert slurm.main([CONFIG, "--time=1", f"--workdir={tmp_path}"]) == 2
  assert "--dry-run" in capsys.readouterr().err
