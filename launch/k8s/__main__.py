"""Runs an experiment on Kubernetes, as a JobSet.

  python -m launch.k8s --config=configs/resnet/imagenet.py --image=$IMAGE \\
    --tpu=v5e:4x4 --claim=genera [--slices=2] [--spot] [--config.FIELD=VALUE]
  python -m launch.k8s --config=... --image=$IMAGE --gpu=nvidia-h100-80gb:8 --nodes=2 --bucket=my-bucket
  ... --dry-run        prints the manifest and submits nothing

The cluster needs the JobSet controller, node pools of that kind, and a volume that all pods can mount.  Several runs
(--seeds, --sweep) are a JobSet each.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence

import yaml

from launch import command
from launch.k8s import jobset
from launch.tpu import slices
from research.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code, 2 for bad input."""
  try:
    flags, overrides = command.parse(_parser(), argv)
    runs = command.runs_of(flags, overrides, root=jobset.MOUNT)
    resources = _resources(flags)
    name = flags.name or runs[0].name
    names = [name] if len(runs) == 1 else [f"{name}-{i}" for i in range(len(runs))]
    manifests = [jobset.render(run, resources, flags.image, name) for run, name in zip(runs, names)]
    text = yaml.safe_dump_all(manifests, sort_keys=False)
    if flags.dry_run:
      print(text, end="")
      return 0
    return _apply(text)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return command.EXIT_USER_ERROR


def _parser() -> argparse.ArgumentParser:
  flags = command.parser("python -m launch.k8s", (__doc__ or "").partition("\n")[0])
  flags.add_argument("--image", required=True, help="built from launch/docker")
  flags.add_argument("--name", default="", help="of the JobSet; default: experiment and config")
  flags.add_argument("--tpu", default="", help="a slice's generation and shape, v5e:4x4")
  flags.add_argument("--slices", type=int, default=1, help="TPU slices of one run")
  flags.add_argument("--chips-per-host", type=int, default=4, help="of the TPU node pool's machine type")
  flags.add_argument("--gpu", default="", help="kind and number on each node, nvidia-h100-80gb:8")
  flags.add_argument("--nodes", type=int, default=1, help="of GPUs or CPUs")
  flags.add_argument("--claim", default="", help="persistent volume claim that holds the workdir")
  flags.add_argument("--bucket", default="", help="Cloud Storage bucket that holds it instead")
  flags.add_argument("--spot", action="store_true", help="spot nodes")
  flags.add_argument("--grace", type=int, default=120, help="seconds from SIGTERM to SIGKILL")
  flags.add_argument("--max-restarts", type=int, default=100, help="preemptions count")
  flags.add_argument("--service-account", default="", help="of Kubernetes; a bucket needs one")
  flags.add_argument("--limits", default="", help="of a pod: cpu=8,memory=64Gi")
  return flags


def _resources(flags: argparse.Namespace) -> jobset.Resources:
  for field in ("slices", "chips_per_host", "nodes", "grace"):
    if getattr(flags, field) < 1:
      raise UserError(f"--{field.replace('_', '-')}", getattr(flags, field), "give 1 or more.")
  if flags.tpu and flags.gpu:
    raise UserError("--gpu", flags.gpu, "a run is on TPUs or on GPUs.")
  if flags.tpu and flags.nodes > 1:
    raise UserError("--nodes", flags.nodes, "a slice's shape says how many machines it has; --slices asks for more.")
  if flags.slices > 1 and not flags.tpu:
    raise UserError("--slices", flags.slices, "only TPUs come in slices: use --nodes.")
  gpu, _, gpus = flags.gpu.partition(":")
  if gpu and not (gpus.isdecimal() and int(gpus)):
    raise UserError("--gpu", flags.gpu, "give kind and number, as in nvidia-h100-80gb:8.")
  pairs = [pair.partition("=") for pair in flags.limits.split(",") if pair]
  if not all(key and value for key, _, value in pairs):
    raise UserError("--limits", flags.limits, "give names and amounts, as in cpu=8,memory=64Gi.")
  shared = ("slices", "chips_per_host", "nodes", "claim", "bucket", "spot", "grace", "max_restarts", "service_account")
  return jobset.Resources(
    tpu=slices.parse(flags.tpu) if flags.tpu else None,
    gpu=gpu,
    gpus=int(gpus or 0),
    limits={key: value for key, _, value in pairs},
    **{field: getattr(flags, field) for field in shared},
  )


def _apply(text: str) -> int:
  try:
    return subprocess.run(["kubectl", "apply", "-f", "-"], input=text, text=True, check=False).returncode
  except FileNotFoundError as error:
    raise UserError(
      "kubectl", "", "it is not installed here: use --dry-run, and apply the manifest elsewhere."
    ) from error


if __name__ == "__main__":
  sys.exit(main())
