"""Times training steps and classical fits: `python -m experiments.benchmark [workload...]`, one JSON line a workload.

A step is everything from a batch in memory to updated parameters: the `update` of the learner that the experiments
train, compiled with its state donated.  Its value is the median wall time after warm-up; on a shared machine `min_ms`
and `cpu_ms` (CPU time per step, all threads) are less disturbed.  Each workload runs in a process of its own, with the
allocator set as training sets it.  MNIST and CIFAR-10 are read from `TFDS_DATA_DIR`; without it steps are timed on
random images of their shape, and `detail.data` says so.
"""

import argparse
import fnmatch
import importlib
import json
import subprocess
import sys

from research.training import host

# The file of each, beside this one, has `WORKLOADS`: name -> function of the whole name that returns its JSON line.
GROUPS = ("vision", "generative", "sequence", "loop", "classical", "rl", "graph", "graphical", "inference", "factors")


def workloads(group: str) -> dict:
  """`{"vision/mlp_step": function}`, of one group."""
  module = importlib.import_module(f"experiments.benchmark.{group}")
  return {f"{group}/{name}": function for name, function in module.WORKLOADS.items()}


def _apart(name: str) -> dict:
  """The workload's line, from a process of its own."""
  command = [sys.executable, "-m", "experiments.benchmark", "--here", name]
  done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
  try:
    return json.loads(done.stdout.splitlines()[-1])
  except (IndexError, ValueError):
    return {"workload": name, "error": f"exit status {done.returncode}"}


def main() -> int:
  """Runs the workloads that match; 1 if one of them failed."""
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("patterns", nargs="*", default=["*"], help="names, or patterns such as 'vision/*'")
  parser.add_argument("--list", action="store_true", help="list the workloads")
  parser.add_argument("--here", action="store_true", help="run one workload in this process")
  arguments = parser.parse_args()
  if arguments.here:
    (name,) = arguments.patterns
    host.tune_cpu()  # before anything is computed
    print(json.dumps(workloads(name.partition("/")[0])[name](name)), flush=True)
    return 0
  known = [name for group in GROUPS for name in workloads(group)]
  chosen = [name for name in known if any(fnmatch.fnmatch(name, p) for p in arguments.patterns)]
  if not chosen:
    parser.error(f"no workload matches {arguments.patterns}; there are {', '.join(known)}")
  if arguments.list:
    print("\n".join(chosen))
    return 0
  failed = False
  for name in chosen:
    line = _apart(name)
    failed |= "error" in line
    print(json.dumps(line), flush=True)
  return int(failed)


if __name__ == "__main__":
  sys.exit(main())
