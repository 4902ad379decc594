"""A user's own data of every kind, damaged at random, are a run, or are refused by field, value and remedy.

GENERA_FUZZ=N tries N damages of the data of every command of docs/data.md (here one of each); `python -m tests.fuzz
--own` goes on for as long as it is told and counts kinds of failures.
"""

import contextlib
import os
import pathlib
import random

import hypothesis
import pytest
from hypothesis import strategies as st

from tests.fuzz import own_data
from tests.mock_data import own

BUDGET = int(os.environ.get("GENERA_FUZZ", "0"))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
  """Every file that docs/data.md names."""
  folder = tmp_path_factory.mktemp("originals")
  own.write(folder)
  return folder


@pytest.mark.parametrize("command", own_data.COMMANDS, ids=lambda command: " ".join(command))
def test_own_data_that_are_damaged_run_or_are_refused_in_a_paragraph(command, originals: pathlib.Path, tmp_path):
  numbers = iter(range(10**6))

  @hypothesis.settings(
    max_examples=BUDGET or 1,
    deadline=None,
    database=None,
    derandomize=not BUDGET,
    suppress_health_check=list(hypothesis.HealthCheck),
  )
  @hypothesis.given(st.integers(0, 2**32))
  def attempt(seed):
    folder = tmp_path / str(next(numbers))
    folder.mkdir()
    changes = own_data.damaged(originals, command, random.Random(seed), folder)
    with contextlib.chdir(folder):
      outcome = own_data.outcome(command)
    assert outcome.told, f"{changes}: {outcome.error!r}"

  attempt()
