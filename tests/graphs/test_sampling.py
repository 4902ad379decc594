"""What is drawn, by chi-square against the uniform distribution; and what may never be drawn."""

import jax
import numpy as np
import scipy.stats

from research.graphs import graph as graph_lib
from research.graphs import sampling

ALARM = 1e-4  # how often each of these tests fails by chance, were its seed not fixed


def table(neighbours, count):
  """(starts, columns) of lists of neighbours."""
  graph = graph_lib.from_edges(
    np.zeros((count, 0)), np.array([(v, u) for u, vs in enumerate(neighbours) for v in vs]).T, self_loops="keep"
  )
  return graph_lib.neighbours(graph)


def keys(count, seed=0):
  return jax.random.split(jax.random.key(seed), count)


def test_neighbours_are_drawn_uniformly_and_independently():
  starts, senders = table([[1, 2, 3, 4, 5], [], [0, 1], [3], [], []], 6)
  draw = jax.jit(sampling.sample_neighbours, static_argnums=4)
  rows = 6000
  found = np.asarray(draw(keys(rows), np.zeros(rows, np.int32), starts, senders, 2))
  pairs = np.bincount((found[:, 0] - 1) * 5 + found[:, 1] - 1, minlength=25)
  assert scipy.stats.chisquare(pairs).pvalue > ALARM
  nodes = np.array([1, 2, 3, 4, 5], np.int32)
  found = np.asarray(draw(keys(5), nodes, starts, senders, 50))
  assert (found[0] == 1).all(), "a node without neighbours is its own"
  assert set(found[1].tolist()) == {0, 1}
  assert (found[2] == 3).all()
  assert (found[3] == 4).all()
  assert (found[4] == 5).all(), "the last one too"


def test_the_mean_over_a_sample_is_unbiased():
  starts, senders = table([[1, 2, 3]], 4)
  value, rows = np.array([0, 1, 5, 9.0]), 4000
  draw = jax.jit(sampling.sample_neighbours, static_argnums=4)
  found = np.asarray(draw(keys(rows, 1), np.zeros(rows, np.int32), starts, senders, 4))
  means = value[found].mean(1)
  assert abs(means.mean() - 5) < 4 * means.std() / rows**0.5


def test_what_is_drawn_as_no_neighbour_never_is_one_and_all_others_are_equally_likely():
  lists = [[0, 3, 4, 9], [], [2], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [0, 1, 2, 3, 4, 5, 6, 7, 8], [9]] + [[]] * 4
  starts, columns = table(lists, 10)
  draw = jax.jit(sampling.sample_non_neighbours, static_argnums=4)
  rows = 5000
  for node, neighbours in enumerate(lists[:6]):
    found = np.asarray(draw(keys(rows, node), np.full(rows, node, np.int32), starts, columns, 10))
    free = np.setdiff1d(np.arange(10), neighbours)
    if not len(free):
      assert (found == 10).all(), "there is none"
      continue
    counts = np.bincount(found, minlength=11)
    assert counts[free].sum() == rows
    if len(free) > 1:
      assert scipy.stats.chisquare(counts[free]).pvalue > ALARM
