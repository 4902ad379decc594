"""Many disturbed runs of random families, devices and disturbances; prints a table.

python -m tests.chaos [--runs=40] [--disturbances=3] [--seed=0] [--folder=FOLDER] [--hours=H]

Exit code 0 where every run ended like its undisturbed twin, else 1.  --hours: no new run is begun after that.
"""

import argparse
import logging
import os
import pathlib
import random
import sys
import tempfile
import time

# One device is enough to compare what others computed; the runs have their own.
os.environ.update(JAX_PLATFORMS="cpu")
os.environ.setdefault("JAX_ENABLE_X64", "1")  # some states are float64

from tests.chaos import chaos

CONFIGS = (
  "mlp/digits",
  "cnn/digits",
  "resnet/digits",
  "vae/digits",
  "gan/gaussians",
  "diffusion/points",
  "gmm/digits",
  "hmm/weather",
  "naive_bayes/digits",
)
# Long enough to be hit amid its steps, and saving so often that many a save is hit too.
OVERRIDES = (
  "train.duration=40 steps",
  "run.save_every=6 steps",
  "run.eval_every=20 steps",
  "run.log_every=1 steps",
  "run.steps_per_dispatch=1",
)


def subject(name: str) -> chaos.Subject:
  return chaos.Subject(f"experiments.{name.partition('/')[0]}", f"configs/{name}.py:smoke", OVERRIDES)


def main() -> int:
  parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=(__doc__ or "").partition("\n")[0])
  parser.add_argument("--runs", type=int, default=40)
  parser.add_argument("--disturbances", type=int, default=3, help="of each run")
  parser.add_argument("--seed", type=int, default=0, help="of the choices")
  parser.add_argument("--folder", type=pathlib.Path, help="of the runs; default: a new one")
  parser.add_argument("--hours", type=float, default=1000.0)
  flags = parser.parse_args()
  folder = flags.folder or pathlib.Path(tempfile.mkdtemp(prefix="chaos-"))
  os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(folder / "xla"))
  del os.environ["JAX_ENABLE_X64"]  # not for the runs
  logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax misses a file that only whole folders of its own have
  print(f"runs in {folder}\n\n{chaos.HEADER}", flush=True)
  outcomes, until = [], time.monotonic() + 3600 * flags.hours
  for number in range(flags.runs):
    if time.monotonic() > until:
      break
    outcomes.append(one(number, flags, folder))
    print(outcomes[-1].row(number), flush=True)
  disturbances = sum(len(outcome.disturbances) for outcome in outcomes)
  differences = sum(bool(outcome.difference) for outcome in outcomes)
  stops = sorted(seconds for outcome in outcomes for seconds in outcome.stops) or [float("nan")]
  print(f"\n{len(outcomes)} runs, {disturbances} disturbances, {differences} differences")
  print(f"SIGTERM amid the steps to the last exit: median {stops[len(stops) // 2]:.1f} s, at most {stops[-1]:.1f} s")
  return min(differences, 1)


def one(number: int, flags, folder: pathlib.Path) -> chaos.Outcome:
  """One disturbed run; what happens to it is a function of its number and the seed."""
  chance = random.Random(f"{flags.seed}/{number}")
  name, layout = CONFIGS[number % len(CONFIGS)], chance.choice(chaos.LAYOUTS)
  kinds = chance.choices((*chaos.KINDS, chaos.OTHER_DEVICES), k=flags.disturbances)
  twin = folder / f"twin-{name.replace('/', '-')}-{str(layout).replace(' ', '-')}"
  chaos.undisturbed(subject(name), layout, twin)
  workdir = folder / f"run{number}-{name.replace('/', '-')}"
  return chaos.disturbed(subject(name), layout, kinds, twin, workdir, chance)


if __name__ == "__main__":
  sys.exit(main())
