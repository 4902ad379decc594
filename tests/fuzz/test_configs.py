"""Random configs of every experiment are a run, or are refused by field, value and remedy; never a traceback.

A config is built with its experiment, and one update and one evaluation are traced; nothing is trained.  GENERA_FUZZ=N
tries N configs of every file (here 3 of each experiment's DEFAULT); `python -m tests.fuzz` goes on for as long as it is
told and counts kinds of failures.
"""

import importlib
import os
import pathlib

import hypothesis
import pytest

from experiments.command import listing
from research.errors import UserError
from tests import mock_data
from tests.fuzz import configs

BUDGET = int(os.environ.get("GENERA_FUZZ", "0"))
DEFAULTS = [importlib.import_module(f"experiments.{name}").DEFAULT for name in listing.experiments()]
SPECS = configs.specs(lambda name: bool(BUDGET) or f"configs/{name}.py" in DEFAULTS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Mock data, where the configs look for theirs."""
  folder = tmp_path_factory.mktemp("data")
  with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TFDS_DATA_DIR", str(mock_data.write_all(folder)))
    patch.setenv("GENERA_DATA_DIR", str(mock_data.write_raw(folder / "raw")))
    yield folder


@pytest.mark.parametrize("spec", SPECS)
def test_every_config_runs_or_is_refused_in_a_paragraph(spec: str, folder: pathlib.Path):
  @hypothesis.settings(
    max_examples=BUDGET or 3,
    deadline=None,
    database=None,
    derandomize=not BUDGET,
    suppress_health_check=list(hypothesis.HealthCheck),
  )
  @hypothesis.given(configs.overrides(spec))
  def attempt(overrides):
    outcome = configs.outcome(spec, overrides, folder)
    assert outcome.told, f"{overrides}: {outcome.error!r}"

  attempt()


def test_what_is_not_told_is_a_failure_and_what_is_told_is_none():
  assert configs.Outcome(None).told
  assert configs.Outcome(UserError("config.x", 1, "give 2.")).told
  assert not configs.Outcome(UserError("config.x", 1, "")).told
  assert not configs.Outcome(TypeError("add got incompatible shapes")).told


def test_a_failure_of_the_library_is_found(folder: pathlib.Path, monkeypatch):
  def fails(config):
    raise TypeError("shapes")

  monkeypatch.setattr(configs, "build_of", lambda spec: fails)
  assert not configs.outcome("configs/mlp/iris.py:smoke", {}, folder).told
