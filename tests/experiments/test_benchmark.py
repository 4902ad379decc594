"""The benchmark knows all its groups, and what a group measures is one JSON line."""

import json
import pathlib

import experiments.benchmark
from experiments.benchmark import __main__ as command
from experiments.benchmark import classical


def test_no_group_is_left_out():
  folder = pathlib.Path(experiments.benchmark.__file__).parent
  files = {path.stem for path in folder.glob("*.py") if "\nWORKLOADS = " in path.read_text()}
  assert files == set(command.GROUPS)
  for group in command.GROUPS:
    assert all(name.startswith(f"{group}/") for name in command.workloads(group))


def test_a_workload_is_a_line():
  line = json.loads(json.dumps(classical.WORKLOADS["nb_gaussian_digits"]("classical/nb_gaussian_digits")))
  assert {"workload", "metric", "value", "unit", "detail"} <= set(line)
  assert line["value"] > 0
  assert line["detail"]["test_accuracy"] > 0.8
