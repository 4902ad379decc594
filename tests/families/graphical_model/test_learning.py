"""Counts, EM and trees from data, against loops over rows, enumeration, networkx and scikit-learn."""

import itertools

import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest
from sklearn.metrics import mutual_info_score

from research.data import classic_networks
from research.errors import UserError
from research.families.graphical_model import elimination, learning, structure
from research.training import statistics
from research.training.precision import precision
from tests.families.graphical_model import models

ASIA = classic_networks.load("asia")
ROWS = ASIA.sample(400, seed=1)


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


def batch_of(rows, padding=3):
  """With padding that must not count."""
  states = np.concatenate([rows, np.zeros((padding, rows.shape[1]), rows.dtype)])
  return {"states": states, "mask": np.concatenate([np.ones(len(rows)), np.zeros(padding)])}


def learner_of(family):
  learner = statistics.statistics_learner(
    init=family.init, expect=family.expect, maximise=family.maximise, evaluate=family.evaluate
  )
  return learner._replace(init=jax.jit(learner.init), update=jax.jit(learner.update))


def counted(rows, cards, parents):
  """Shares by a loop over rows."""
  tables = [np.zeros([cards[v] for v in (*each, node)]) for node, each in enumerate(parents)]
  for row in rows:
    for node, each in enumerate(parents):
      tables[node][tuple(row[v] for v in (*each, node))] += 1
  return [table / table.sum(-1, keepdims=True) for table in tables]


@pytest.mark.parametrize("complete", [True, False])
def test_where_nothing_is_hidden_one_step_counts(complete):
  """Whether cells are looked up or summed over all states; and the likelihood is that of the counts."""
  family = learning.bayesian_network(ASIA.cards, ASIA.parents, complete=complete)
  batch = batch_of(ROWS)
  learner = learner_of(family)
  state, _ = learner.update(learner.init(jax.random.key(0), batch), batch)
  expected = counted(ROWS, ASIA.cards, ASIA.parents)
  for ours, theirs in zip(state.params, expected, strict=True):
    seen = np.isfinite(theirs)
    np.testing.assert_allclose(np.exp(ours)[seen], theirs[seen], atol=1e-12)
    np.testing.assert_allclose(np.exp(ours)[~seen], 0.5, atol=1e-12)  # of what was never seen nothing is known
  log_p = sum(
    np.log(table[tuple(ROWS[:, v] for v in (*each, node))])
    for node, (each, table) in enumerate(zip(ASIA.parents, expected))
  )
  nll = jax.jit(family.evaluate)(state.params, batch)["nll"]
  assert float(nll.value()) == pytest.approx(-log_p.mean(), rel=1e-12)


def test_em_with_hidden_cells():
  """The likelihood never falls; the first step is that of a loop over completions, by Dempster, Laird & Rubin."""
  cards, parents = (2, 3, 2, 2), ((), (0,), (0,), (1, 2))
  rng = np.random.default_rng(0)
  rows = np.stack([rng.integers(0, card, 60) for card in cards], 1)
  rows[rng.random(rows.shape) < 0.3] = -1
  rows[:, 0] = -1  # never seen
  family = learning.bayesian_network(cards, parents)
  batch, learner = batch_of(rows), learner_of(family)
  state = learner.init(jax.random.key(0), batch)
  start = [np.exp(table) for table in state.params]
  trace = []
  for step in range(12):
    state, metrics = learner.update(state, batch)
    trace.append(-float(metrics["nll"].value()))
    if not step:
      for ours, theirs in zip(state.params, one_step(rows, cards, parents, start), strict=True):
        np.testing.assert_allclose(np.exp(ours), theirs, atol=1e-10)
  assert (np.diff(trace) > -1e-12).all()
  assert trace[-1] > trace[0] + 0.05


def one_step(rows, cards, parents, tables):
  """EM by a loop over all completions of all rows."""
  counts = [np.zeros_like(table) for table in tables]
  for row in rows:
    completions = list(itertools.product(*([s] if s >= 0 else range(c) for s, c in zip(row, cards))))
    cells = [[tuple(x[v] for v in (*each, node)) for node, each in enumerate(parents)] for x in completions]
    weights = np.array([np.prod([table[cell] for table, cell in zip(tables, each)]) for each in cells])
    for each, weight in zip(cells, weights / weights.sum()):
      for count, cell in zip(counts, each):
        count[cell] += weight
  return [count / count.sum(-1, keepdims=True) for count in counts]


def test_a_prior_is_cells_that_were_seen():
  family = learning.bayesian_network((2, 2), ((), (0,)), prior=0.5, complete=True)
  rows, learner = np.array([[0, 1], [0, 1], [0, 0]]), learner_of(family)
  state, _ = learner.update(learner.init(jax.random.key(0), batch_of(rows)), batch_of(rows))
  np.testing.assert_allclose(np.exp(state.params[0]), [3.5 / 4, 0.5 / 4])
  np.testing.assert_allclose(np.exp(state.params[1]), [[1.5 / 4, 2.5 / 4], [0.5, 0.5]])
  with pytest.raises(UserError, match="prior = -1"):
    learning.bayesian_network((2, 2), ((), (0,)), prior=-1)
  assert learning.num_parameters((2, 3), ((), (0,))) == 1 + 2 * 2


def test_marginals_given_a_row():
  family = learning.bayesian_network(ASIA.cards, ASIA.parents, given=ASIA.tables)
  params = family.init(jax.random.key(0), None)
  states = ASIA.evidence("asia=yes, xray=yes")
  found = jax.jit(family.marginals)(params, states)
  scopes = family.plan.scopes
  unary = np.where(states[:, None] >= 0, np.where(states[:, None] == np.arange(2), 0, -1e30), 0)
  log_z, variables, *_ = models.enumerated(ASIA.cards, scopes, [np.asarray(t) for t in params], unary)
  np.testing.assert_allclose(found.variables, variables, atol=1e-12)
  assert float(found.log_partition) == pytest.approx(log_z)
  assert not elimination.impossible(found.log_partition)
  assert found.variables.dtype == jnp.float64


def test_chow_liu_is_the_best_tree():
  """The weight of networkx's maximum spanning tree of scikit-learn's mutual information; missing cells are left out."""
  rows, count = np.where(np.random.default_rng(0).random(ROWS.shape) < 0.1, -1, ROWS), len(ASIA.cards)
  found = structure.mutual_information(rows, ASIA.cards)
  graph, expected = networkx.Graph(), np.zeros((count, count))
  for a, b in itertools.combinations(range(count), 2):
    both = (rows[:, [a, b]] >= 0).all(1)
    expected[a, b] = expected[b, a] = mutual_info_score(rows[both, a], rows[both, b])
    graph.add_edge(a, b, weight=expected[a, b])
  np.testing.assert_allclose(found, expected, atol=1e-12)
  tree = networkx.maximum_spanning_tree(graph)
  parents = structure.chow_liu(rows, ASIA.cards, root=3)
  assert parents[3] == ()
  assert {frozenset((node, each[0])) for node, each in enumerate(parents) if each} == set(map(frozenset, tree.edges))
  assert networkx.is_tree(networkx.Graph([(node, each[0]) for node, each in enumerate(parents) if each]))


def test_a_tree_around_a_class():
  """Conditional information by class; parents are the class and one other."""
  cards = (3, 2, 2, 4, 3)
  rng = np.random.default_rng(0)
  rows = np.stack([rng.integers(0, card, 300) for card in cards], 1)
  rows[:, 3] = (rows[:, 1] + 2 * rows[:, 2] * (rows[:, 0] > 0)) % 4
  found = structure.mutual_information(rows, cards, given=0)
  for a, b in itertools.combinations(range(1, 5), 2):
    parts = [rows[rows[:, 0] == c] for c in range(3)]
    expected = sum(len(part) * mutual_info_score(part[:, a], part[:, b]) for part in parts) / 300
    assert found[a, b] == pytest.approx(expected, abs=1e-12)
  parents = structure.tree_augmented(rows, cards, 0)
  assert parents[0] == ()
  assert sorted(map(len, parents)) == [0, 1, 2, 2, 2]
  assert all(each[0] == 0 for each in parents[1:])
  edges = {frozenset((node, each[1])) for node, each in enumerate(parents) if len(each) == 2}
  assert {frozenset((1, 3)), frozenset((2, 3))} <= edges


def test_structure_refuses_what_it_cannot_learn_from():
  with pytest.raises(UserError, match="root = 9"):
    structure.chow_liu(ROWS, ASIA.cards, 9)
  with pytest.raises(UserError, match="rows = 0"):
    structure.chow_liu(ROWS[:0], ASIA.cards)
