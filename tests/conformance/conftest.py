"""What every experiment is held against: its smoke config, on mock data written as the real sets are.

Which config is in which tier is read from the files, and names no family: see test_conformance.py.
"""

import os
import pathlib
import re

import pytest

from experiments.command import cli
from tests import mock_data

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
EVERYTHING = os.environ.get("GENERA_CONFORMANCE") == "all"  # `make conformance`


def name_of(path: pathlib.Path) -> str:
  """`cnn/mnist`."""
  return f"{path.parent.name}/{path.stem}"


def tiers() -> tuple[list[str], list[str]]:
  """Names of the configs that are held to every promise, and of the others.

  The first are each experiment's DEFAULT and those whose file sets `CONFORMANCE = "every promise"`; for `make
  conformance` all.
  """
  paths = cli.config_files(ROOT)
  experiments = "".join(path.read_text() for path in (ROOT / "experiments").glob("*.py"))
  defaults = set(re.findall(r'^DEFAULT = "configs/(.*)\.py"', experiments, re.MULTILINE))
  marked = lambda path: re.search(r'^CONFORMANCE = "every promise"', path.read_text(), re.MULTILINE)
  chosen = [path for path in paths if EVERYTHING or name_of(path) in defaults or marked(path)]
  return [name_of(path) for path in chosen], [name_of(path) for path in paths if path not in chosen]


WHOLE, SHORT = tiers()


def params(names: list[str]) -> list:
  """Where tests run in several processes (-n), those of one config share its run, and so their process."""
  return [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in names]


@pytest.fixture(scope="session", autouse=True)
def data(tmp_path_factory):
  """Prepared sets of a few random images under every TFDS name that a config asks for; a user's own archive."""
  folder = tmp_path_factory.mktemp("data")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TFDS_DATA_DIR", str(mock_data.write_all(folder)))
    patch.setenv("GENERA_DATA_DIR", str(mock_data.write_raw(folder / "raw")))
    yield folder
