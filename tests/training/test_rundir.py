"""The run directory: one process at a time, one config, rows that stand there once."""

import json
import os
import signal
import subprocess
import sys

import pytest

from research.errors import UserError
from research.training import rundir
from research.training.rundir import MetricsWriter, RunDirectory, read_rows

HOLD = """
import sys, time
from research.training.rundir import RunDirectory
run = RunDirectory(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
  """Another process, alive, in the directory."""
  process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
  assert process.stdout is not None
  assert process.stdout.readline() == "held\n"
  yield process
  process.kill()
  process.wait()


def test_one_process_at_a_time(tmp_path, holder):
  with pytest.raises(UserError, match=f"process {holder.pid}.*another workdir") as error:
    RunDirectory(tmp_path)
  assert error.value.field == "--workdir"
  assert error.value.value == str(tmp_path)
  os.kill(holder.pid, signal.SIGKILL)
  holder.wait()
  run = RunDirectory(tmp_path)
  assert (tmp_path / "lock").read_text() == str(os.getpid())
  with pytest.raises(UserError, match=str(os.getpid())):
    RunDirectory(tmp_path)  # nor twice in one process
  run.close()
  RunDirectory(tmp_path).close()


def test_below_a_file(tmp_path):
  (tmp_path / "file").write_text("")
  with pytest.raises(UserError, match=r"cannot be written \(Not a directory\)"):
    RunDirectory(tmp_path / "file" / "run")
  with pytest.raises(UserError, match="cannot be written"):
    RunDirectory(tmp_path / "file")


def test_read_only(tmp_path):
  """A read-only mount refuses root too."""
  made = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", tmp_path], capture_output=True, check=False)
  if made.returncode:
    pytest.skip("may not mount here")
  try:
    with pytest.raises(UserError, match="Read-only file system"):
      RunDirectory(tmp_path / "run")
    with pytest.raises(UserError, match="Read-only file system"):
      RunDirectory(tmp_path)
  finally:
    subprocess.run(["umount", "-l", tmp_path], check=True)


CONFIG = {
  "seed": 0,
  "train": {"batch_size": 8, "area": (0.1, 1.0)},
  "run": {"num_devices": 1},
  "published": {},
  "bars": {"accuracy": {"min": 0.9}},
}


def test_a_workdir_belongs_to_one_config(tmp_path):
  run = RunDirectory(tmp_path)
  run.claim(CONFIG)
  run.claim(CONFIG)
  run.claim({**CONFIG, "run": {"num_devices": 4}, "bars": {}, "published": {"accuracy": {"value": 1}}})
  assert json.loads((tmp_path / "config.json").read_text())["run"] == {"num_devices": 4}
  with pytest.raises(UserError, match=r"train.batch_size was 8, now 16.*another workdir"):
    run.claim({**CONFIG, "train": {"batch_size": 16, "area": (0.1, 1.0)}})
  with pytest.raises(UserError, match=r"seed was 0, now 1"):
    run.claim({**CONFIG, "seed": 1})
  with pytest.raises(UserError, match=r"model was None, now 'mlp'"):
    run.claim({**CONFIG, "model": "mlp"})
  assert json.loads((tmp_path / "config.json").read_text())["train"]["batch_size"] == 8
  run.close()


def test_a_damaged_file_is_named(tmp_path):
  run = RunDirectory(tmp_path)
  run.claim(CONFIG)
  (tmp_path / "config.json").write_text('{"seed": ')
  with pytest.raises(UserError, match=r"config.json.*damaged.*delete it"):
    run.claim(CONFIG)
  (tmp_path / "config.json").unlink()
  run.claim(CONFIG)
  run.close()


def written(folder, resume, rows):
  run = RunDirectory(folder)
  writer = MetricsWriter(run, resume)
  for step, kind, values in rows:
    writer.write(step, kind, values)
  writer.close()
  run.close()
  return read_rows(folder / "metrics.jsonl")


def test_rows_after_the_checkpoint_are_dropped(tmp_path):
  written(tmp_path, 0, [(s, "train", {"loss": float(s)}) for s in range(6)] + [(5, "eval", {"loss": 9.0})])
  rows = written(tmp_path, 4, [(4, "train", {"loss": 40.0}), (5, "train", {"loss": 50.0})])
  assert [row["loss"] for row in rows] == [0, 1, 2, 3, 40, 50]
  assert written(tmp_path, 0, []) == []


def test_what_is_no_number_is_left_out(tmp_path):
  rows = written(tmp_path, 0, [(0, "train", {"loss": None, "histogram": [1, 2], "accuracy": 0.5, "count": 3})])
  assert rows == [{"step": 0, "kind": "train", "accuracy": 0.5, "count": 3}]


def test_a_line_cut_short_is_left_out(tmp_path):
  written(tmp_path, 0, [(s, "train", {"loss": 0.5}) for s in range(3)])
  path = tmp_path / "metrics.jsonl"
  path.write_text(path.read_text()[:-9])
  assert [row["step"] for row in read_rows(path)] == [0, 1]
  rows = written(tmp_path, 3, [(3, "train", {"loss": 0.25})])
  assert [row["step"] for row in rows] == [0, 1, 3]
  assert all(json.loads(line) for line in path.read_text().splitlines())


def test_events_are_tensorboards(tmp_path):
  from tensorboard.backend.event_processing import event_accumulator

  written(tmp_path, 0, [(s, "train", {"loss": 10.0 + s}) for s in range(8)] + [(4, "eval", {"loss": 1.0})])
  written(tmp_path, 5, [(s, "train", {"loss": 20.0 + s}) for s in range(5, 10)])
  events = event_accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
  found = {tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
  assert found["train/loss"] == [(s, 10.0 + s) for s in range(5)] + [(s, 20.0 + s) for s in range(5, 10)]
  assert found["eval/loss"] == [(4, 1.0)]
  assert "tensorflow" not in sys.modules
  written(tmp_path, 0, [(0, "train", {"loss": 30.0})])  # killed before its first checkpoint, begun anew
  events = event_accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
  assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(0, 30.0)]


def test_flushed_events_survive_kill(tmp_path):
  """What `flush` has seen is there after kill -9; the loop calls it with every checkpoint."""
  code = f"""
import os, signal
from research.training.rundir import MetricsWriter, RunDirectory
writer = MetricsWriter(RunDirectory({str(tmp_path)!r}), 0)
writer.write(0, "train", {{"loss": 1.5}})
writer.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""
  done = subprocess.run([sys.executable, "-c", code], check=False)
  assert done.returncode == -signal.SIGKILL
  from tensorboard.backend.event_processing import event_accumulator

  events = event_accumulator.EventAccumulator(str(tmp_path / "events")).Reload()
  assert [(e.step, e.value) for e in events.Scalars("train/loss")] == [(0, 1.5)]


def test_environment_says_where(tmp_path):
  found = rundir.environment()
  assert found["versions"]["jax"]
  assert found["device"].endswith("CPU")
  assert json.dumps(found)


def test_a_copy_without_git_is_told_its_commit(tmp_path, monkeypatch):
  monkeypatch.setattr(rundir, "__file__", str(tmp_path / "rundir.py"))
  assert rundir.commit() == ""
  monkeypatch.setenv(rundir.COMMIT, "0123456789")
  assert rundir.commit() == "0123456789"
