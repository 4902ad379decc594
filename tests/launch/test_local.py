"""The launcher of several processes, with commands that need no jax: codes, messages, signals, output."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from launch import local
from research.errors import UserError
from research.training.job import ADDRESS, COUNT, INDEX

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Process 1 does something, process 0 would wait for it for long.
ONE = "import os, signal, sys, time\nif os.environ['JAX_PROCESS_ID'] == '1':\n  {}\ntime.sleep(60)"


def launch(code, *flags):
  words = [sys.executable, "-m", "launch.local", *flags, "--", sys.executable, "-c", code]
  return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
  ("action", "code", "said"),
  [
    ("os.kill(os.getpid(), signal.SIGKILL)", 137, "process 1 of 2 was killed by SIGKILL; the other 1 cannot go on"),
    ("sys.exit('bad thing')", 1, "process 1 of 2 failed with exit code 1"),
    ("sys.exit(2)", 2, ""),
    ("sys.exit(75)", 75, ""),
    ("os.kill(os.getpid(), signal.SIGTERM)", 75, "process 1 was asked to stop while it started"),
  ],
)
def test_a_process_that_ends_badly_ends_the_job(action, code, said):
  start = time.monotonic()
  job = launch(ONE.format(action))
  _, errors = job.communicate(timeout=50)
  assert job.returncode == code
  assert said in errors
  assert ("[1] bad thing" in errors) == ("bad thing" in action), "what the others print is passed on"
  assert time.monotonic() - start < 30, "the others are not waited for"


def test_output():
  code = "import os; i = os.environ['JAX_PROCESS_ID']; print('from', i, os.environ['XLA_FLAGS'])"
  out, errors = launch(code, "--processes=3", "--devices=2").communicate(timeout=50)
  flag = "--xla_force_host_platform_device_count=2"
  assert out.startswith("from 0")
  assert flag in out
  assert out.count("from") == 1
  assert "[1] from 1" in errors
  assert "[2] from 2" in errors


def test_a_signal_is_passed_on_once_and_a_second_kills():
  code = "import signal, time; signal.signal(15, lambda *_: print('asked', flush=True)); print('up', flush=True)\n"
  job = launch(code + "for _ in range(600): time.sleep(0.1)")
  assert job.stdout.readline() == "up\n"
  time.sleep(0.5)  # process 1 too
  job.send_signal(signal.SIGINT)
  assert job.stdout.readline() == "asked\n"
  job.send_signal(signal.SIGTERM)
  out, _ = job.communicate(timeout=50)
  assert "asked" not in out
  assert job.returncode == 137


def test_no_orphans():
  job = launch("import os, time; print(os.getpid(), flush=True); time.sleep(60)")
  pid = int(job.stdout.readline())
  job.kill()
  job.wait()
  deadline = time.monotonic() + 20
  while pathlib.Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
    time.sleep(0.02)
  assert not pathlib.Path(f"/proc/{pid}").exists()


def test_restarts(tmp_path):
  file = tmp_path / "launches"
  code = f"import os, sys; open({str(file)!r}, 'a').write('x'); sys.exit(len(open({str(file)!r}).read()) < 3)"
  job = launch(code, "--processes=1", "--restarts=5")
  _, errors = job.communicate(timeout=50)
  assert job.returncode == 0
  assert file.read_text() == "xxx"
  assert errors.count("started again") == 2


def test_environment(monkeypatch):
  monkeypatch.setenv("XLA_FLAGS", "--other --xla_force_host_platform_device_count=8")
  found = local.environment(1, 2, 4, 1234)
  assert found["XLA_FLAGS"].split() == ["--other", "--xla_force_host_platform_device_count=4"]
  assert [found[name] for name in (ADDRESS, COUNT, INDEX)] == ["localhost:1234", "2", "1"]
  assert int(found["NPROC"]) >= 16, "XLA's pool is larger than the devices, or collectives dead-lock"
  assert local.environment(0, 2, 0, 1)["XLA_FLAGS"] == os.environ["XLA_FLAGS"]


@pytest.mark.parametrize(
  ("words", "parts"),
  [
    (["--processes=0", "--", "x"], ("--processes", "from 1 on")),
    (["--devices=two", "--", "x"], ("--devices", "two")),
    (["--proceses=2", "--", "x"], ("--proceses=2", "there are --processes=N")),
    (["--processes=2"], ("command", "behind `--`")),
  ],
)
def test_bad_flags(words, parts):
  with pytest.raises(UserError) as error:
    local.parse(words)
  for part in parts:
    assert part in str(error.value)


def test_no_such_program(capsys):
  assert local.main(["--", "no-such-program"]) == 2
  assert "no-such-program" in capsys.readouterr().err
