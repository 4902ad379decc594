"""What every experiment is held against: its smoke config, on mock data written as the real sets are."""

import pathlib

import pytest

from experiments.command import cli
from tests import mock_data

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
NAMES = [f"{path.parent.name}/{path.stem}" for path in cli.config_files(ROOT)]
# Where tests run in several processes (-n), those of one config share its run, and so their process.
CONFIGS = [pytest.param(name, marks=pytest.mark.xdist_group(name)) for name in NAMES]


@pytest.fixture(scope="session", autouse=True)
def data(tmp_path_factory):
  """Prepared sets of a few random images under every TFDS name that a config asks for; a user's own archive."""
  folder = tmp_path_factory.mktemp("data")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TFDS_DATA_DIR", str(mock_data.write_all(folder)))
    patch.setenv("GENERA_DATA_DIR", str(mock_data.write_raw(folder / "raw")))
    yield folder
