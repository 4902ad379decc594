"""What the loop itself costs: host time, guards, the start of a process."""

import statistics
import subprocess
import sys
import tempfile
import time

from experiments.benchmark import guards as guards_lib
from experiments.benchmark import overhead
from experiments.benchmark.timing import result
from research.training.job import EXIT_PREEMPTED


def host_overhead(name: str) -> dict:
  """Microseconds of host time per step: see `overhead.py`."""
  measured = overhead.measure()
  assert measured["workload"] == name
  return measured


def guards(name: str) -> dict:
  """Per cent of a ten-millisecond step that polling, finite checks and metrics take: see `guards.py`."""
  measured = guards_lib.measure(name.rpartition("_")[2])
  assert measured["workload"] == name
  return measured


def start(name: str) -> dict:
  """Seconds of a whole process that imports `experiments.mlp`, trains one step of a cached config, saves and exits."""
  seconds = []
  for _ in range(4):
    with tempfile.TemporaryDirectory() as folder:
      begin = time.perf_counter()
      command = [sys.executable, "-m", "experiments.mlp", f"--workdir={folder}/run", "--config.run.stop_at=1"]
      done = subprocess.run(command, capture_output=True, check=False)
      seconds.append(time.perf_counter() - begin)
      assert done.returncode == EXIT_PREEMPTED, done.stderr.decode()
  return result(name, "process_time", statistics.median(seconds[1:]), "s", first_s=seconds[0], runs=len(seconds) - 1)


WORKLOADS = {"host_overhead": host_overhead, "guards_mlp": guards, "guards_lenet": guards, "start": start}
