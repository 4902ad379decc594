"""Every command of docs/data.md, on a small file of its own: the experiment is built, and has a batch to learn from."""

import contextlib
import importlib
import pathlib
import re
import shlex

import numpy as np
import pytest

from experiments.command import cli, session
from research.data import raw, regressions, remembered, table
from research.errors import UserError
from research.training.precision import precision
from tests.mock_data import own

DOCUMENT = (pathlib.Path(__file__).parents[2] / "docs" / "data.md").read_text()
COMMANDS = re.findall(r"`python -m experiments\.(\w+)([^`]*)`", DOCUMENT)
# Of the smoke variants, too long for small files.
SMALL = {"lda": {"data.least": "2"}, "flow": {"data.validation": "0.1"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Every file that docs/data.md names."""
  folder = tmp_path_factory.mktemp("own")
  own.write(folder)
  with contextlib.chdir(folder):
    yield folder


def built(experiment: str, flags: str, **also: str):
  """What a documented command builds, of the smoke variant of its config."""
  parsed, overrides = cli.parse(shlex.split(flags), importlib.import_module(f"experiments.{experiment}").DEFAULT)
  spec = parsed["config"] + ("" if ":" in parsed["config"] else ":smoke")
  config = cli.load_config(spec, {**SMALL.get(experiment, {}), **overrides, **also})
  with precision(config.train.precision):
    build = importlib.import_module(f"experiments.{experiment}").experiment
    return session.built(build, config, remembered.Memory(), "train")


@pytest.mark.parametrize(("experiment", "flags"), COMMANDS, ids=[f"{e}{f}" for e, f in COMMANDS])
def test_a_documented_command_learns_of_what_it_names(folder, experiment, flags):
  train = built(experiment, flags).train_data
  assert train.num_examples > 0 or experiment == "inference"  # whose chains go by a clock, beside their data
  assert all(len(np.asarray(part)) for part in train.feed(0).values())


def test_every_file_is_named_and_every_name_is_written():
  named = {part for _, flags in COMMANDS for part in re.search(r"data\.path=(\S+)", flags)[1].split(",")}
  assert named == set(own.WRITERS)


@pytest.mark.parametrize(("experiment", "flags"), COMMANDS, ids=[f"{e}{f}" for e, f in COMMANDS])
@pytest.mark.parametrize("path", ["nowhere", "letter.pdf"])
def test_another_kind_is_answered_with_those_that_are_read(folder, experiment, flags, path):
  (folder / "letter.pdf").write_bytes(b"%PDF-1.4")
  with pytest.raises(UserError, match=r"(?i)this experiment reads [a\"]") as refused:
    built(experiment, flags, **{"data.path": path})
  assert "path" in refused.value.field


def test_own_data_need_no_name_and_known_files_are_no_own_data(folder, tmp_path):
  (tmp_path / "u.data").write_text("1\t1\t1\t1\n")
  assert not raw.is_own("movielens", str(tmp_path), "u.data")
  assert not raw.is_own("movielens", str(tmp_path / "u.data"), "u.data")
  assert not raw.is_own("movielens", "", "u.data")
  assert raw.is_own("movielens", str(folder / "ratings.csv"), "u.data")
  assert raw.is_own("sst2", str(tmp_path / "u.data"), "u.data", "v.data")
  assert raw.is_own("pydoc", str(tmp_path))


def test_the_column_that_is_named_is_explained_and_rows_are_read_by_name(folder):
  last, named = regressions.load("", "measures.csv"), regressions.load("", "measures.csv", "a")
  assert (last.columns, named.columns) == (("a", "b"), ("b", "c"))
  rows = table.read("measures.csv")
  outcome = np.sort(np.concatenate([named.train.outcome, named.test.outcome]))
  np.testing.assert_array_equal(outcome, np.sort(rows.values[:, 0]))
  np.testing.assert_array_equal(rows.of(("c", "a"), "x"), rows.values[:, [2, 0]])
  with pytest.raises(UserError, match="give the 2 columns a, z"):
    rows.of(("a", "z"), "x")
  with pytest.raises(UserError, match="no such column: choose one of a, b, c"):
    regressions.load("", "measures.csv", "z")
