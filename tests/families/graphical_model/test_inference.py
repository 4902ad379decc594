"""Elimination, belief propagation, mean field and Gibbs against enumeration of all states."""

import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest
from scipy import stats

from research.errors import UserError
from research.families.graphical_model import belief_propagation, elimination, factors, gibbs, mean_field
from research.training.precision import precision
from tests.families.graphical_model import models

CARDS = (2, 3, 2, 4, 2)
TREE = ((0, 1), (1, 2), (1, 3), (3, 4))  # a path and a branch
LOOPY = ((0, 1), (1, 2), (2, 0), (2, 3, 4), (4, 0))


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


@pytest.mark.parametrize("seed", range(3))
def test_elimination_is_enumeration(seed):
  """Of networks with zeros: log-probability of evidence, all marginals, the most probable state."""
  cards, parents, tables = models.network(seed)
  scopes = factors.families(parents)
  tables = [models.log(table) for table in tables]
  states = np.full(len(cards), -1)
  states[[1, 4]] = 0  # which every table allows
  unary = np.array(factors.evidence(cards, states))
  unary[2, : cards[2]] = np.random.default_rng(seed).normal(size=cards[2])  # soft evidence
  log_z, variables, of_factors, (mode, value) = models.enumerated(cards, scopes, tables, unary)
  plan = elimination.plan(cards, scopes)
  found, (best, found_mode) = jax.jit(
    lambda *model: (elimination.marginals(plan, *model), elimination.most_probable(plan, *model))
  )(tables, unary)
  np.testing.assert_allclose(found.log_partition, log_z, rtol=1e-12)
  np.testing.assert_allclose(found.variables, variables, atol=1e-12)
  for ours, theirs in zip(found.factors, of_factors, strict=True):
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
  assert tuple(found_mode.tolist()) == mode
  assert float(best) == pytest.approx(value)


def test_what_is_kept_is_a_joint_distribution():
  """In the order that was asked for, also where the two never meet in a factor."""
  tables, unary = models.field(0, LOOPY, CARDS)
  plan = elimination.plan(CARDS, LOOPY, keep=(3, 1))
  found = jax.jit(lambda *model: elimination.log_joint(plan, *model))(tables, unary)
  log_z, *_ = models.enumerated(CARDS, LOOPY, tables, unary)
  expected = np.empty((4, 3))
  for a in range(4):
    for b in range(3):
      fixed = np.array(factors.evidence(CARDS, np.array([-1, b, -1, a, -1]))) + unary
      expected[a, b] = models.enumerated(CARDS, LOOPY, tables, fixed)[0]
  np.testing.assert_allclose(found, expected, atol=1e-9)
  np.testing.assert_allclose(np.logaddexp.reduce(np.asarray(found).ravel()), log_z)


def test_orders_are_thin():
  """On a 5 x 5 grid as thin as networkx's min-fill or thinner, on a path as thin as can be; a clique is refused."""
  graph, _ = factors.ising(5, 5, 1.0)
  width = networkx.algorithms.approximation.treewidth_min_fill_in(networkx.Graph(graph.scopes))[0]
  assert elimination.plan(graph.cards, graph.scopes).size <= 2 ** (width + 1)
  path = [(i, i + 1) for i in range(50)]
  assert elimination.plan((3,) * 51, path).size == 9
  clique = [(i, j) for i in range(40) for j in range(i)]
  with pytest.raises(UserError, match="belief propagation, mean field or Gibbs"):
    elimination.plan((2,) * 40, clique)


def test_impossible_evidence_is_told():
  cards, scopes = (2, 2), ((0, 1),)
  table = models.log(np.eye(2))
  plan = elimination.plan(cards, scopes)
  run = jax.jit(lambda states: elimination.marginals(plan, (table,), factors.evidence(cards, states)))
  assert bool(elimination.impossible(run(jnp.array([0, 1])).log_partition))
  possible = run(jnp.array([0, -1]))
  assert not elimination.impossible(possible.log_partition)
  np.testing.assert_array_equal(possible.variables, [[1, 0], [1, 0]])
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(run(jnp.array([0, 1]))))


def test_exact_samples_are_from_the_joint():
  """Chi-square over all states: a false alarm once in 1,000."""
  tables, unary = models.field(1, LOOPY[:3], CARDS[:3])
  plan = elimination.plan(CARDS[:3], LOOPY[:3])
  keys = jax.random.split(jax.random.key(0), 4000)
  drawn = np.asarray(jax.jit(jax.vmap(lambda key: elimination.sample(plan, tables, unary[:, :3], key)))(keys))
  counts = np.bincount(np.ravel_multi_index(drawn.T, CARDS[:3]), minlength=12)
  assert stats.chisquare(counts, 4000 * joint(tables, unary)).pvalue > 1e-3


def joint(tables, unary):
  """p of all states of the first three variables."""
  plan = elimination.plan(CARDS[:3], LOOPY[:3], keep=(0, 1, 2))
  return np.asarray(jax.nn.softmax(jnp.ravel(elimination.log_joint(plan, tables, unary))))


@pytest.mark.parametrize("hard", [False, True])
def test_belief_propagation_is_exact_on_trees(hard):
  """Marginals of variables and of factors and log Z; also of tables with zeros, and given evidence."""
  tables, unary = models.field(2, TREE, CARDS)
  if hard:
    tables[1] = models.log(np.eye(3, 2) + np.array([[0, 0], [0, 0], [0.3, 0]]))
    unary[3] = np.array(factors.evidence(CARDS, np.array([-1, -1, -1, 2, -1])))[3]
  log_z, variables, of_factors, _ = models.enumerated(CARDS, TREE, tables, unary)
  graph, grouped = factors.grouped(CARDS, TREE, tables)
  found = jax.jit(lambda *model: belief_propagation.run(graph, *model))(grouped, unary)
  assert int(found.iterations) < 10
  np.testing.assert_allclose(found.variables, variables, atol=1e-9)
  np.testing.assert_allclose(found.log_partition, log_z, rtol=1e-9)
  by_scope = dict(zip(graph.scopes, graph.flat(found.factors)))
  for scope, expected in zip(TREE, of_factors):
    np.testing.assert_allclose(by_scope[scope], expected, atol=1e-9)


def test_a_loopy_fixed_point():
  """Beliefs agree on their variables, an iteration changes nothing, and reparameterise the model (Wainwright 2003)."""
  tables, unary = models.field(3, LOOPY, CARDS, 0.7)
  graph, grouped = factors.grouped(CARDS, LOOPY, tables)
  found = jax.jit(lambda *model: belief_propagation.run(graph, *model, damping=0.3, iterations=500))(grouped, unary)
  assert float(found.residual) < 1e-9
  for scope, belief in zip(graph.scopes, graph.flat(found.factors)):
    for slot, v in enumerate(scope):
      others = tuple(axis for axis in range(len(scope)) if axis != slot)
      np.testing.assert_allclose(belief.sum(others), found.variables[v, : CARDS[v]], atol=1e-8)
  # ∏_f b_f / ∏_i b_i^(d_i - 1) is the model but for a constant.
  degree = np.bincount([v for scope in LOOPY for v in scope])
  by_scope = dict(zip(graph.scopes, graph.flat(found.factors)))
  difference = []
  for state in np.ndindex(*CARDS):
    ours = sum(np.log(by_scope[scope][tuple(state[v] for v in scope)]) for scope in LOOPY)
    ours -= sum((degree[v] - 1) * np.log(found.variables[v, s]) for v, s in enumerate(state))
    theirs = sum(t[tuple(state[v] for v in scope)] for scope, t in zip(LOOPY, tables))
    difference.append(ours - theirs - sum(unary[v, s] for v, s in enumerate(state)))
  assert np.ptp(difference) < 1e-7
  exact = models.enumerated(CARDS, LOOPY, tables, unary)[1]
  error = np.abs(np.asarray(found.variables) - exact).max()
  assert 1e-4 < error < 0.1, "it is an approximation, and a close one"


def test_mean_field_is_a_bound_that_rises():
  """Below log Z, and equal to it without coupling; at its fixed point no distribution of one variable is better."""
  tables, unary = models.field(4, LOOPY, CARDS)
  log_z, exact, *_ = models.enumerated(CARDS, LOOPY, tables, unary)
  graph, grouped = factors.grouped(CARDS, LOOPY, tables)
  run = jax.jit(lambda *model: mean_field.run(graph, *model, sweeps=60))
  found = run(grouped, unary)
  assert (np.diff(found.bound) > -1e-10).all()
  assert float(found.bound[0]) < float(found.bound[-1]) < log_z
  again = mean_field.sweep(graph, grouped, unary, found.variables)
  np.testing.assert_allclose(again, found.variables, atol=1e-6)
  assert np.abs(np.asarray(found.variables) - exact).max() < 0.5
  alone = run(tuple(0 * table for table in grouped), unary)
  expected = models.enumerated(CARDS, LOOPY, [0 * table for table in tables], unary)
  np.testing.assert_allclose(alone.bound[-1], expected[0], rtol=1e-12)
  np.testing.assert_allclose(alone.variables, expected[1], atol=1e-12)


def test_gibbs_leaves_the_joint_alone():
  """2,000 chains from exact samples, ten sweeps: still exact (chi-square, a false alarm once in 1,000); and from one
  state they come there."""
  tables, unary = models.field(1, LOOPY[:3], CARDS[:3])
  graph, grouped = factors.grouped(CARDS[:3], LOOPY[:3], tables)
  p = joint(tables, unary)
  rng = np.random.default_rng(0)
  exact = np.stack(np.unravel_index(rng.choice(12, 2000, p=p), CARDS[:3]), 1).astype(np.int32)

  @jax.jit
  def ten(states, keys):
    def sweep(states, i):
      step = lambda s, key: gibbs.sweep(graph, grouped, unary[:, :3], s, jax.random.fold_in(key, i))
      return jax.vmap(step)(states, keys), None

    return jax.lax.scan(sweep, states, jnp.arange(10))[0]

  keys = jax.random.split(jax.random.key(1), 2000)
  for states in (exact, np.zeros_like(exact)):
    counts = np.bincount(np.ravel_multi_index(np.asarray(ten(states, keys)).T, CARDS[:3]), minlength=12)
    assert stats.chisquare(counts, 2000 * p).pvalue > 1e-3


def test_conditionals_are_ratios_of_densities():
  """Of every variable in a random state; and colours share no factor."""
  tables, unary = models.field(5, LOOPY, CARDS)
  graph, grouped = factors.grouped(CARDS, LOOPY, tables)
  state = jnp.array([1, 2, 0, 3, 1], jnp.int32)
  logits, density = jax.jit(
    lambda state: (
      gibbs.conditionals(graph, grouped, unary, state),
      jnp.stack(
        [jnp.stack([gibbs.log_density(graph, grouped, unary, state.at[v].set(s)) for s in range(2)]) for v in range(5)]
      ),
    )
  )(state)
  np.testing.assert_allclose(logits[:, 1] - logits[:, 0], density[:, 1] - density[:, 0], atol=1e-10)
  colour = factors.colours(graph)
  assert all(len(set(colour[list(scope)])) == len(scope) for scope in LOOPY)
  assert factors.colours(factors.ising(4, 5, 1.0)[0]).max() == 1, "a grid is a chequerboard"


def test_an_ising_grid():
  """Against enumeration, 3 x 3: elimination is exact, and belief propagation of weak coupling nearly."""
  graph, tables = factors.ising(3, 3, 0.2)
  assert len(graph.scopes) == 12
  unary = np.random.default_rng(0).normal(size=(9, 2))
  pairs = [0.2 * np.array([[1.0, -1], [-1, 1]])] * 12
  log_z, expected, *_ = models.enumerated(graph.cards, graph.scopes, pairs, unary)
  plan = elimination.plan(graph.cards, graph.scopes)
  exact, bp = jax.jit(
    lambda: (elimination.marginals(plan, graph.flat(tables), unary), belief_propagation.run(graph, tables, unary))
  )()
  np.testing.assert_allclose(exact.log_partition, log_z)
  np.testing.assert_allclose(exact.variables, expected, atol=1e-10)
  np.testing.assert_allclose(bp.variables, expected, atol=0.01)
