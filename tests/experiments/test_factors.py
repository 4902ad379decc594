"""Factors as a person meets them: own ratings, cold users, fields that contradict one another."""

import numpy as np
import pytest

from experiments import factors, rbm
from experiments.command import cli
from experiments.parts import factor_ratings
from experiments.reports import factors as report
from research.data import ratings
from research.errors import UserError


def config_of(name, **fields):
  config = cli.load_config(f"configs/{name}:smoke")
  with config.unlocked():
    config.update_from_flattened_dict(fields)
  return config


def test_own_ratings_as_movielens_writes_them(tmp_path):
  table, dat = tmp_path / "ratings.csv", tmp_path / "ratings.dat"
  table.write_text("userId,movieId,rating,timestamp\n1,10,4.5,7\n2,10,3,8\n1,11,1,9\n")
  dat.write_text("1::10::4.5::7\n2::10::3::8\n1::11::1::9\n")
  for data in (ratings.load("own", str(table)), ratings.load("own", str(dat))):
    assert data.rating.tolist() == [4.5, 3, 1]
    assert data.user.tolist() == [0, 1, 0]
    assert data.time.tolist() == [7, 8, 9]
  table.write_text("user,item,rating\n1,10,good\n")
  with pytest.raises(UserError, match=r"line 2, column rating.*give a number"):
    ratings.load("own", str(table))
  parts = ratings.folds(data, 3)
  assert sorted(parts.tolist()) == [0, 1, 2]
  with pytest.raises(UserError, match="folds"):
    ratings.folds(data, 4)


def test_a_cold_user_is_told_and_predicted_by_the_item_s_bias(tmp_path):
  """Vectors by hand: user ann at (1, bias 0.5), item x at (2, bias -0.25); cy and z nobody has seen."""
  data = ratings.numbered("test", ["ann", "bob"], ["x", "y"], [0, 0], [4.0, 2.0])
  held = factor_ratings.Held(np.array([0]), np.array([], int), np.array([1]), factor_ratings.Scale(2, 2, 3.0, 1.0, 5.0))
  vectors = (np.array([[[1.0, 0.5], [9.0, 9.0]]]), np.array([[[0.5, -0.25], [9.0, 9.0]]]), 1)
  file = tmp_path / "pairs.csv"
  file.write_text("user,item\nann,x\ncy,x\nann,z\ncy,z\nbob,x\n")
  found = report.predict_ratings(vectors, config_of("factors/movielens.py"), data, held, str(file))
  assert found["fallback"].tolist() == ["", "item", "user", "mean", "item"]
  np.testing.assert_allclose(found["prediction"], [3 + 0.5 + 0.5 - 0.25, 2.75, 3.5, 3, 2.75])


@pytest.mark.parametrize(
  ("module", "name", "fields", "words"),
  [
    (factors, "factors/digits.py", {"data.missing": 0.1}, "solver=em"),
    (factors, "factors/digits.py", {"data.test_split": "test"}, "test_split to all"),
    (factors, "factors/digits.py", {"model.latents": 64}, "1 to 63"),
    (factors, "factors/digits.py", {"model.ppca.solver": "svd"}, "closed, em or subspace"),
    (factors, "factors/digits.py", {"task": "words"}, "vectors or ratings"),
    (rbm, "rbm/digits.py", {"model.visible": "poisson"}, "bernoulli or gaussian"),
    (rbm, "rbm/digits.py", {"model.hidden": ()}, "number of hidden units"),
    (rbm, "rbm/digits.py", {"model.pcd.sweeps": 0}, "one sweep"),
  ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_computed(module, name, fields, words):
  with pytest.raises(UserError, match=words):
    module.experiment(config_of(name, **fields))
