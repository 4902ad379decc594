"""How far two processes with two devices each come from one process with four: a table, measured.

python -m tests.processes [NAME[:MODE] ...]        smoke variants of configs/NAME.py; MODE is pmap (default) or fsdp
"""

import pathlib
import sys
import tempfile

import tests.conftest  # noqa: F401  fake devices, before jax is imported

# isort: split
from tests.processes import worker
from tests.processes.test_processes import TOLERANCE, distance, launch, saved

# A gradient on vectors, on images, of a bound, two players, denoising, expectation-maximisation, counts, Baum-Welch.
JOBS = (
  "mlp/digits",
  "mlp/digits:fsdp",
  "cnn/digits",
  "cnn/digits:fsdp",
  "resnet/digits",
  "vae/digits",
  "gan/gaussians",
  "diffusion/points",
  "gmm/iris",
  "naive_bayes/digits",
  "hmm/weather",
)


def main(jobs) -> int:
  base = pathlib.Path(tempfile.mkdtemp(prefix="processes-"))
  done = launch("tests.processes.worker", base, *jobs)
  if done.returncode:
    print(done.stderr, file=sys.stderr)
    return 1
  print("| config (smoke) | mode | largest distance of an array, relative to its norm |\n|---|---|---|")
  worst = 0.0
  for job in jobs:
    name, _, mode = job.partition(":")
    far = distance(worker.one_process(job, 4), saved(base, job, 0))
    worst = max(worst, far)
    print(f"| {name} | {mode or 'pmap'} | {far:.1e} |", flush=True)
  return int(worst > TOLERANCE)


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:] or JOBS))
