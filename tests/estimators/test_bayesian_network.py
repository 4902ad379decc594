"""Bayesian networks by scikit-learn's interface against enumeration and counting by hand."""

import pickle

import numpy as np
import pandas
import pytest
from sklearn.base import clone

from research.errors import UserError
from research.estimators.bayesian_network import DiscreteBayesianNetwork

EDGES = [(0, 1), (0, 2), (1, 3), (2, 3)]  # a diamond
RNG = np.random.default_rng(0)


def rows(count: int, seed: int = 0) -> np.ndarray:
  """Of the diamond, with three, two, two and two categories, as words."""
  rng = np.random.default_rng(seed)
  first = rng.integers(0, 3, count)
  second = (rng.random(count) < np.array([0.2, 0.5, 0.9])[first]).astype(int)
  third = (rng.random(count) < np.array([0.7, 0.4, 0.1])[first]).astype(int)
  fourth = (rng.random(count) < np.array([[0.1, 0.6], [0.8, 0.3]])[second, third]).astype(int)
  names = (np.array(["high", "low", "mid"])[first], *(np.array(["no", "yes"])[x] for x in (second, third, fourth)))
  return np.stack(names, axis=1).astype(object)


X = rows(500)
FITTED = DiscreteBayesianNetwork(EDGES, alpha=1.0).fit(X)


def joint(network) -> np.ndarray:
  """p(x) of all states, by the product of the tables."""
  first, second, third, fourth = network.tables
  return np.einsum("a,ab,ac,bcd->abcd", first, second, third, fourth)


def test_tables_are_counts_with_their_pseudo_counts():
  for states in [(s, t) for s in range(2) for t in range(2)]:
    here = (X[:, 1] == ("no", "yes")[states[0]]) & (X[:, 2] == ("no", "yes")[states[1]])
    expected = (1 + (X[here, 3] == "yes").sum()) / (2 + here.sum())
    assert FITTED.network_.tables[3][(*states, 1)] == pytest.approx(expected, rel=1e-9)


def test_marginals_likelihoods_and_what_is_filled_in_are_those_of_enumeration():
  p = joint(FITTED.network_)
  holes = np.array([["low", None, None, "yes"], [None, "no", None, float("nan")]], dtype=object)
  likelihood = FITTED.score_samples(holes)
  assert likelihood[0] == pytest.approx(np.log(p[1, :, :, 1].sum()), rel=1e-9)
  assert likelihood[1] == pytest.approx(np.log(p[:, 0].sum()), rel=1e-9)
  probabilities = FITTED.predict_proba(holes)
  given = p[1, :, :, 1] / p[1, :, :, 1].sum()
  np.testing.assert_allclose(probabilities[1][0], given.sum(1), rtol=1e-9)
  np.testing.assert_allclose(probabilities[0][0], [0, 1, 0], atol=1e-12)
  filled = FITTED.predict(holes)
  assert filled[0].tolist() == [
    "low",
    ["no", "yes"][given.sum(1).argmax()],
    ["no", "yes"][given.sum(0).argmax()],
    "yes",
  ]
  asked = FITTED.query({3: "yes", 0: "low"})
  assert asked[1]["yes"] == pytest.approx(given.sum(1)[1])
  assert set(asked) == {1, 2}


def test_missing_cells_are_fitted_by_em_to_a_higher_likelihood_than_rows_without_them():
  holes = np.where(RNG.random(X.shape) < 0.3, None, X)
  complete = holes[[all(cell is not None for cell in row) for row in holes]]
  by_em = DiscreteBayesianNetwork(EDGES, alpha=0.0, random_state=0, tol=1e-9, max_iter=500).fit(holes)
  by_rows = DiscreteBayesianNetwork(EDGES, alpha=0.0).fit(complete)
  assert by_em.score(holes) > by_rows.score(holes) + 1e-3
  # A fixed point: expected counts, by enumeration of what each row leaves open, give the same table.
  marginals = by_em.predict_proba(holes)[0]
  np.testing.assert_allclose(by_em.network_.tables[0], marginals.mean(0), atol=1e-4)


def test_the_tree_of_a_chain_is_the_chain_and_samples_have_its_distribution():
  rng = np.random.default_rng(1)
  first = rng.integers(0, 2, 2000)
  second = np.where(rng.random(2000) < 0.9, first, 1 - first)
  third = np.where(rng.random(2000) < 0.9, second, 1 - second)
  chain = np.stack([third, first, second], 1)
  model = DiscreteBayesianNetwork().fit(chain)
  assert {frozenset(edge) for edge in model.edges_} == {frozenset((1, 2)), frozenset((2, 0))}
  drawn = model.sample(20000, random_state=0)
  for pair in ((0, 1), (1, 2), (0, 2)):
    share, truth = ((part[:, pair[0]] == part[:, pair[1]]).mean() for part in (drawn, chain))
    assert share == pytest.approx(truth, abs=0.015)
  assert pickle.loads(pickle.dumps(model)).score(chain) == model.score(chain)
  assert clone(model).get_params() == model.get_params()


def test_columns_have_names_where_there_are_some():
  table = pandas.DataFrame(X, columns=["a", "b", "c", "d"])
  model = DiscreteBayesianNetwork([("a", "b"), ("a", "c"), ("b", "d"), ("c", "d")]).fit(table)
  assert model.query({"d": "yes", "a": "low"})["b"]["yes"] == pytest.approx(
    FITTED.query({3: "yes", 0: "low"})[1]["yes"]
  )


def test_bad_input_is_refused_in_a_sentence():
  with pytest.raises(UserError, match="circle"):
    DiscreteBayesianNetwork([(0, 1), (1, 0)]).fit(X)
  with pytest.raises(UserError, match="not there when fitted"):
    FITTED.score(np.array([["low", "no", "no", "maybe"]], dtype=object))
  with pytest.raises(UserError, match="no such variable"):
    DiscreteBayesianNetwork([("a", "b")]).fit(X)
  with pytest.raises(UserError, match="all its cells are missing"):
    DiscreteBayesianNetwork().fit(np.array([["a", None], ["b", None]], dtype=object))
  with pytest.raises(UserError, match="chow_liu"):
    DiscreteBayesianNetwork("tree").fit(X)
