"""docs/uses.md: its commands are ones, and what they leave has these names."""

import importlib
import pathlib
import re

import pytest

from experiments.command import cli

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ROWS = re.findall(
  r"\| `python -m experiments\.(\w+)([^`]*)` \| (.*) \|$", (ROOT / "docs" / "uses.md").read_text(), re.MULTILINE
)


@pytest.mark.parametrize(("experiment", "flags", "leaves"), ROWS)
def test_every_use_is_a_command_that_draws_what_it_says(experiment, flags, leaves):
  module = importlib.import_module(f"experiments.{experiment}")
  fields = dict(re.findall(r"--config\.([\w.]+)=(\S+)", flags))
  found = re.search(r"--config=(\S+)", flags)
  cli.load_config(found[1] if found else module.DEFAULT, fields)
  code = "".join(path.read_text() for path in (ROOT / "experiments").rglob("*.py"))
  names = [name for name in leaves.split(", ") if re.fullmatch(r"\w+", name)]
  missing = [name for name in names if f'"{name}"' not in code and f"{name}=" not in code]
  assert not missing


def test_no_row_is_overlooked():
  assert len(ROWS) == (ROOT / "docs" / "uses.md").read_text().count("`python -m experiments.")
