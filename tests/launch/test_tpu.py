"""The life of a run on TPU slices, with a gcloud that is none: made, run, preempted, made anew, resumed, deleted."""

import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from launch.tpu import __main__ as tpu
from launch.tpu import gcloud, slices, supervisor
from research.errors import UserError
from research.training.rundir import read_rows
from tests.experiments import tiny
from tests.launch import fake_gcloud
from tests.launch.runs import SLOWLY, alone, numbers, two_devices

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLICE = ["--name=genera", "--zone=here"]
WORKERS = 2
CAPTURED = {"cwd": ROOT, "capture_output": True, "text": True, "check": True}


@pytest.fixture
def config(tmp_path):
  path = tmp_path / "tiny.py"
  path.write_text(tiny.CONFIG)
  return f"--config={path}"


@pytest.fixture
def cloud(tmp_path, monkeypatch):
  """Of two workers, without a process for every gcloud."""
  made = fake_gcloud.Cloud(tmp_path / "cloud", WORKERS)
  made.folder.mkdir()
  monkeypatch.setattr(gcloud, "run", made.call)
  monkeypatch.setattr(gcloud, "stream", lambda words: print((found := made.call(words)).text) or found.code)
  yield made
  if made.state():
    made.preempt()


def train_words(config, workdir, *more) -> list[str]:
  run = [config, "--experiment=tests.experiments.tiny", f"--workdir={workdir}", "--topology=v5e:4x4", "--spot"]
  return ["train", *SLICE, *run, "--install=true", "--poll=0.1", *more]


def stand_in(tmp_path, text) -> str:
  """The flag for a program in an interpreter's place, and so in the experiment's."""
  path = tmp_path / "stand_in"
  path.write_text(f"#!/bin/bash\n{text}\n")
  path.chmod(0o755)
  return f"--python={path}"


def doings(calls):
  """The calls that change something, whatever folder the archive was in; looks come as often as they come."""
  looks = ("describe", supervisor.worker("state"))
  kept = [words for words in calls if not any(look in words or f"--command={look}" in words for look in looks)]
  return [[word.rpartition("/")[2] if word.endswith("genera.tar.gz") else word for word in words] for words in kept]


@pytest.mark.slow
def test_preempted_made_anew_resumed_exact(config, tmp_path, monkeypatch):
  cloud = fake_gcloud.Cloud(tmp_path / "cloud", workers=1)
  monkeypatch.setenv("PATH", cloud.install())
  monkeypatch.setenv("XLA_FLAGS", two_devices())
  work = tmp_path / "storage" / "run"
  run = [f"{config}:short", *SLOWLY]
  words = train_words(run[0], work, *SLOWLY, f"--python={sys.executable}", "--poll=1")
  process = subprocess.Popen([sys.executable, "-m", "launch.tpu", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True)
  try:
    deadline = time.time() + 240
    while sum(row["kind"] == "train" for row in read_rows(work / "metrics.jsonl")) < 6:
      assert process.poll() is None
      assert time.time() < deadline
      time.sleep(0.05)
    cloud.preempt()
    printed, _ = process.communicate(timeout=240)
  finally:
    process.kill()
    if cloud.state():
      cloud.preempt()
  assert process.returncode == 0, printed
  assert cloud.state() == "", "the slice is paid for as long as it is there"

  alone(1, f"--workdir={tmp_path / 'whole'}", *run)
  assert numbers(work) == numbers(tmp_path / "whole")

  rehearsed = subprocess.run([sys.executable, "-m", "launch.tpu", *words, "--dry-run"], **CAPTURED).stdout
  commands = [shlex.split(line) for line in rehearsed.splitlines() if not line.startswith("#")]
  assert doings(commands) == doings(cloud.calls()), "a dry run prints what is run, preemption and all"


def test_saved_and_stopped_goes_on_on_the_same_slice(cloud, config, tmp_path):
  again = f"if [ -e {tmp_path}/saved ]; then exit 0; fi; touch {tmp_path}/saved; exit 75"
  assert tpu.main(train_words(config, tmp_path / "run", stand_in(tmp_path, again))) == 0
  verbs = [words[4] for words in cloud.calls()]
  assert verbs.count("create") == verbs.count("delete") == 1


@pytest.mark.parametrize("code", [2, 3])
def test_what_would_fail_again_is_not_run_again(cloud, config, tmp_path, code):
  assert tpu.main(train_words(config, tmp_path / "run", stand_in(tmp_path, f"exit {code}"))) == code
  assert cloud.state() == ""


def test_a_crash_is_run_again_but_not_for_ever(cloud, config, tmp_path, capsys):
  words = train_words(config, tmp_path / "run", stand_in(tmp_path, "exit 1"), "--max-restarts=1")
  assert tpu.main(words) == 2
  assert "--max-restarts" in capsys.readouterr().err
  assert sum("worker.sh start" in " ".join(words) for words in cloud.calls()) == 2


def test_a_slice_that_comes_and_goes_is_asked_for_again_one_that_fails_is_not(cloud, config, tmp_path, capsys):
  states = ["WAITING_FOR_RESOURCES", "SUSPENDING", "SUSPENDED"]
  describe, words = cloud._describe, train_words(config, tmp_path / "run", stand_in(tmp_path, "exit 0"), "--poll=0")
  cloud._describe = lambda *args: gcloud.Output(0, states.pop(0)) if cloud.state() and states else describe(*args)
  assert tpu.main(words) == 0
  assert [words[4] for words in cloud.calls()].count("create") == 2
  states.append("FAILED")
  assert tpu.main(words) == 2
  assert "did not come up" in capsys.readouterr().err


def test_interrupted_says_what_goes_on(cloud, config, tmp_path, capsys, monkeypatch):
  def interrupted(*_):
    raise KeyboardInterrupt

  monkeypatch.setattr(supervisor, "_attempt", interrupted)
  assert tpu.main(train_words(config, tmp_path / "run")) == 130
  assert cloud.state() == "READY"
  assert "go on" in capsys.readouterr().out


def test_install_that_fails_is_said(cloud, config, tmp_path, capsys):
  assert tpu.main(train_words(config, tmp_path / "run", "--install=false")) == 2
  assert "slice is kept" in capsys.readouterr().err


def test_stop_saves_and_delete_deletes(cloud, capsys):
  """`stop` while `train` is not there to start it again; a second start stops the first too."""
  saves = "trap 'echo saved; exit 75' TERM; echo begun; for i in $(seq 600); do sleep 0.1; done"
  commands = gcloud.Commands("genera", "here", slice=slices.parse("v5e:4x4"))
  cloud.call(commands.create())
  logs = [home / "genera-run" / "log" for home in cloud.homes()]
  for home in cloud.homes():
    (home / "genera").symlink_to(ROOT)
  for launch in (1, 2):
    start = f"{supervisor.worker('start')} bash -c {shlex.quote(saves)}"
    assert cloud.call(commands.ssh(start)).code == 0
    while not all(log.exists() and log.read_text().count("begun") == launch for log in logs):
      time.sleep(0.05)
  assert all(log.read_text().count("saved") == 1 for log in logs)
  assert tpu.main(["stop", *SLICE]) == 0
  assert all(log.read_text().count("saved") == 2 for log in logs)
  capsys.readouterr()
  assert tpu.main(["status", *SLICE]) == 0
  assert capsys.readouterr().out.split() == ["75"] * WORKERS
  assert tpu.main(["delete", *SLICE]) == 0
  assert cloud.state() == ""


def test_dry_run_needs_no_gcloud(config, tmp_path, monkeypatch, capsys):
  (tmp_path / "git").symlink_to(shutil.which("git") or "/usr/bin/git")
  monkeypatch.setenv("PATH", str(tmp_path))
  for more in ([], ["--queued"], ["--slices=2"]):
    assert tpu.main(train_words(config, tmp_path / "run", "--setup=mount", "--dry-run", *more)) == 0
    lines = capsys.readouterr().out.splitlines()
    verbs = [line.split()[4] for line in lines if line.startswith("gcloud")]
    assert verbs.count("create") == verbs.count("delete") == 2
    group = "queued-resources" if more else "tpu-vm"
    assert all(line.startswith((f"gcloud compute tpus {group} ", "#")) for line in lines)
  assert "--node-count=2" in " ".join(lines)
  assert tpu.main(train_words(config, tmp_path / "run")) == 2
  assert "Cloud SDK" in capsys.readouterr().err


@pytest.mark.parametrize(
  ("words", "said"),
  [
    (["tarin"], "train"),
    (["train", *SLICE, "--config=configs/mlp/digits.py", "--topology=v5e:4x4", "--dry-run"], "--workdir"),
    (["train", *SLICE, "--config=configs/mlp/digits.py", "--topology=v9:4x4", "--workdir=x", "--dry-run"], "v5e"),
    (["train", *SLICE, "--config=configs/mlp/digits.py", "--topology=v5e:4x4", "--workdir=x", "--seeds=0-1"], "--name"),
  ],
)
def test_bad_input(words, said, capsys):
  assert tpu.main(words) == 2
  assert said in capsys.readouterr().err


@pytest.mark.parametrize(
  ("text", "chips", "kind"),
  [("v5e:4x4", 16, "v5litepod-16"), ("v4:2x2x2", 8, "v4-16"), ("v5p:2x2x1", 4, "v5p-8"), ("v6e:2x4", 8, "v6e-8")],
)
def test_names_of_slices(text, chips, kind):
  made = slices.parse(text)
  assert (made.chips, made.accelerator_type) == (chips, kind)


@pytest.mark.parametrize("text", ["v5e", "v5e:4", "v5p:2x2", "v5e:0x4", "h100:8"])
def test_no_such_slice(text):
  with pytest.raises(UserError, match="topology"):
    slices.parse(text)


@pytest.mark.parametrize(
  ("text", "code"),
  [("0\n0\n", 0), ("running\n0\n", None), ("", None), ("75\n75", 75), ("1\n2\n", 2), ("none\n134\n", 137)],
)
def test_the_code_of_all_workers(text, code):
  assert supervisor._joint(text) == code


def test_archive_has_what_is_tracked_as_it_is_now(tmp_path):
  import tarfile

  git = lambda *words: subprocess.run(["git", "-C", tmp_path, *words], check=True, capture_output=True)
  git("init")
  (tmp_path / "kept.py").write_text("old")
  git("add", "kept.py")
  (tmp_path / "kept.py").write_text("new")
  (tmp_path / "other.py").write_text("not mine to copy")
  tpu.pack(tmp_path, tmp_path / "code.tar.gz")
  with tarfile.open(tmp_path / "code.tar.gz") as tar:
    assert tar.getnames() == ["kept.py"]
    assert tar.extractfile("kept.py").read() == b"new"
  with pytest.raises(UserError, match="git"):
    tpu.pack(pathlib.Path(os.devnull).parent, tmp_path / "code.tar.gz")
