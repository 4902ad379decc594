"""Tables of numbers: what is read of a CSV file, and what is refused, by its place."""

import numpy as np
import pytest

from research.data import mixtures, table
from research.errors import UserError


def written(folder, text):
  (folder / "rows.csv").write_text(text)
  return folder / "rows.csv"


def test_reads_numbers_with_names_or_without(tmp_path):
  found = table.read(written(tmp_path, "height, width\n1.5,2\n\n-3e2,0.25\n"))
  assert found.columns == ("height", "width")
  np.testing.assert_array_equal(found.values, [[1.5, 2], [-300, 0.25]])
  plain = table.read(written(tmp_path, "1,2\n3,4\n"))
  assert plain.columns == ("1", "2")
  assert len(plain.values) == 2


@pytest.mark.parametrize(
  ("text", "field", "remedy"),
  [
    ("a,b\n1,2\n3,x\n", "line 3, column b", "no finite number"),
    ("1,2\n3,nan\n", "line 2, column 2", "no finite number"),
    ("a,b\n1,2\n3\n", "line 3", "2 cells"),
    ("a,b\n", "path", "no rows"),
    ("", "path", "no rows"),
  ],
)
def test_refuses_what_is_no_table_of_numbers(tmp_path, text, field, remedy):
  with pytest.raises(UserError, match=remedy) as refused:
    table.read(written(tmp_path, text))
  assert field in refused.value.field


def test_refuses_files_and_names_that_there_are_not(tmp_path):
  with pytest.raises(UserError, match="cannot be read"):
    table.read(tmp_path / "none.csv")
  with pytest.raises(UserError, match="wine"):
    table.embedded("iris")
  with pytest.raises(UserError, match="five"):
    table.load(table.Table(np.zeros((4, 2)), ("a", "b")), "t", "train")


def test_splits_are_disjoint_and_whole():
  rows = table.embedded("wine")
  parts = [table.load(rows, "wine", split) for split in ("train", "test")]
  assert [len(part) for part in parts] == [143, 35]
  together = np.concatenate([part.inputs for part in parts])
  order = lambda values: values[np.lexsort(values.T)]
  np.testing.assert_array_equal(order(together), order(np.float32(rows.values)))


@pytest.mark.parametrize("name", ["moons", "spirals"])
def test_curves_of_points_have_a_density_that_integrates_to_one(name):
  mixture = mixtures.MIXTURES[name]()
  axis = np.linspace(-4, 4, 400)
  places = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
  np.testing.assert_allclose(np.exp(mixture.log_density(places)).sum() * (axis[1] - axis[0]) ** 2, 1, atol=1e-3)
  points, _ = mixture.draw(5000, 0)
  assert 0.5 < points.std() < 1.5
