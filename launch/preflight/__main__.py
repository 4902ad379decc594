"""Compiles the real update of an experiment for hardware that is not there, and says whether and how it fits.

  python -m launch.preflight --config=configs/cnn/mnist.py[:smoke] --topology=v5e:2x4 [--slices=2] [--config.x=y]
                             [--workdir=DIR] [--experiment=NAME] [--largest-batch=no] [--json=FILE]

Topologies: v4:2x2x1, v5p:2x2x2, v5e:2x4, v6e:4x4, ... (TPU chips by dimension, of one host or of many), h100:8 and
h100:2x8 (GPUs of a node, nodes x GPUs), host:8 (fake CPU devices).  --config.run.parallelism=fsdp shards the state.

Exit codes: 0 it fits; 2 bad input; 4 it does not fit; 5 the compiler refuses the program.
"""

import argparse
import dataclasses
import difflib
import importlib
import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.command import cli, listing
from launch.preflight import topology as topology_lib
from research.errors import UserError
from research.training import host

EXIT_DOES_NOT_FIT, EXIT_REFUSED = 4, 5


@dataclasses.dataclass(frozen=True)
class Request:
  """What the command line asks for."""

  experiment: str
  config: str
  overrides: Mapping[str, str]
  workdir: str
  topology: topology_lib.Topology
  largest_batch: bool = True
  json: str = ""


def parse(argv: Sequence[str]) -> Request:
  """The request of a command line.

  Raises:
    UserError: a flag, topology or experiment that there is not, or one that is missing.
  """
  parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
  for flag in ("topology", "experiment", "json"):
    parser.add_argument(f"--{flag}", default="")
  parser.add_argument("--slices", default="1")
  parser.add_argument("--largest-batch", default="yes")
  own, rest = parser.parse_known_args(argv)
  flags, overrides = cli.parse(rest, "")
  if not flags["config"]:
    raise UserError("--config", "", "name a config file: `python -m experiments` lists them.")
  if not own.topology:
    raise UserError("--topology", "", "name the hardware, as in v5e:2x4, h100:8, host:8.")
  if not own.slices.isdigit():
    raise UserError("--slices", own.slices, "give a number.")
  if own.largest_batch not in ("yes", "no"):
    raise UserError("--largest-batch", own.largest_batch, "yes compiles a second batch size; no leaves it out.")
  name = own.experiment or pathlib.Path(flags["config"].partition(":")[0]).parent.name
  known = listing.experiments()
  if name not in known:
    near = difflib.get_close_matches(name, known, 1)
    hint = f"the nearest is {near[0]}" if near else f"there are {', '.join(known)}"
    raise UserError("--experiment", name, f"it is the config's folder unless given, and there is no such one: {hint}.")
  topology = topology_lib.parse(own.topology, int(own.slices))
  return Request(name, flags["config"], overrides, flags["workdir"], topology, own.largest_batch == "yes", own.json)


def experiment_of(name: str) -> Callable[..., Any]:
  """The function of an experiment's file that builds it."""
  return importlib.import_module(f"experiments.{name}").experiment


def main(argv: Sequence[str] | None = None) -> int:
  """Preflights; the exit code."""
  words = list(sys.argv[1:] if argv is None else argv)
  if any(word in ("-h", "--help") for word in words):
    print((__doc__ or "").strip())
    return 0
  try:
    request = parse(words)
    config = cli.load_config(request.config, request.overrides)
    if request.topology.kind == "host":
      host.tune_cpu()  # as a run would
    topology_lib.prepare(request.topology)
    from launch.preflight import flight  # this imports jax

    report = flight.preflight(experiment_of(request.experiment), config, request)
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.EXIT_USER_ERROR
  print(report.text())
  if request.json:
    pathlib.Path(request.json).write_text(json.dumps(report.to_dict(), indent=1) + "\n")
  if report.refused:
    return EXIT_REFUSED
  return 0 if report.fits else EXIT_DOES_NOT_FIT


if __name__ == "__main__":
  sys.exit(main())
