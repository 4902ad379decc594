"""Two processes with two devices each compute what one process with four does; what they save, any number restores.

`python -m tests.processes` measures it for more families.
"""

import contextlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from experiments.command import session
from research.training import parallel
from research.training.checkpoint import Checkpoints
from research.training.executor import Executor
from research.training.precision import precision
from research.training.preemption import Preempted
from tests.conformance import test_conformance as conformance
from tests.processes import worker

pytestmark = pytest.mark.xdist_group("processes")  # one job serves them all
ROOT = pathlib.Path(__file__).resolve().parents[2]
JOBS = ["mlp/digits", "mlp/digits:fsdp", "gmm/iris"]
RESUMED = "mlp/iris"  # begun by one process with one device
# Of two orders of the same sums, relative to the norm of each array.
TOLERANCE = 1e-4


def launch(*command, processes=2, devices=2):
  """A job, run to its end: the finished process."""
  flags = ["-m", "launch.local", f"--processes={processes}", f"--devices={devices}"]
  words = [sys.executable, *flags, "--", sys.executable, "-m", *map(str, command)]
  return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
  """The folder in which one job of two processes has trained all of `JOBS`, and gone on with `RESUMED`."""
  base = tmp_path_factory.mktemp("processes")
  with pytest.raises(Preempted):
    worker.train(RESUMED, base, 1, mode="jit", stop_at=5)
  done = launch("tests.processes.worker", base, *JOBS, RESUMED)
  assert done.returncode == 0, done.stderr
  return base


def saved(base, job, index):
  with np.load(worker.folder_of(base, job) / f"state{index}.npz") as archive:
    return [archive[name] for name in archive.files]


def distance(one, other):
  """Largest distance of two arrays, relative to their norm."""
  pairs = zip(one, other, strict=True)
  return max(np.linalg.norm(np.float64(a) - b) / (np.linalg.norm(np.float64(a)) + 1e-3) for a, b in pairs)


@pytest.mark.parametrize("job", [*JOBS, RESUMED])
def test_as_one_process_with_as_many_devices(job, trained, tmp_path):
  numbers = worker.train(job, tmp_path, 4)
  assert distance(numbers, saved(trained, job, 0)) < TOLERANCE
  for a, b in zip(saved(trained, job, 0), saved(trained, job, 1), strict=True):
    np.testing.assert_array_equal(a, b, "every process has the same state")
  one, two = (rows(worker.folder_of(base, job)) for base in (tmp_path, trained))
  assert one == two, "each row is written once, by one process"


def rows(folder):
  """Step, kind and names of every row."""
  found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
  return [(row["step"], row["kind"], sorted(row)) for row in found]


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize(("mode", "devices"), [("jit", 1), ("pmap", 2), ("fsdp", 4)])
def test_any_number_of_devices_restores_what_two_processes_saved(job, mode, devices, trained):
  name = job.partition(":")[0]
  config = conformance.load(name, trained)
  with precision(config.train.precision):
    experiment = conformance.experiment_of(name)(config)
    seed = session.settings_of(config, experiment.train_data).seed
    abstract = Executor(experiment, parallel.plan(mode, devices), seed).abstract_state()
    with contextlib.closing(Checkpoints(worker.folder_of(trained, job) / "checkpoints")) as checkpoints:
      state = checkpoints.restore(abstract)
    for a, b in zip(conformance.numbers(state), saved(trained, job, 0), strict=True):
      np.testing.assert_array_equal(a, b)
