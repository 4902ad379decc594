"""Graphs and sums over segments, against matrices and loops."""

import jax
import numpy as np
import pytest

from research.errors import UserError
from research.graphs import graph as graph_lib
from research.graphs import products, segments


def random_graph(nodes=7, edges=20, features=3, seed=0, **options):
  rng = np.random.default_rng(seed)
  pairs = rng.integers(0, nodes, (2, edges))
  return graph_lib.from_edges(rng.normal(size=(nodes, features)).astype(np.float32), pairs, **options)


def adjacency(graph):
  """Dense: [receiver, sender]."""
  matrix = np.zeros((graph.num_nodes, graph.num_nodes))
  for sender, receiver in zip(np.asarray(graph.senders), np.asarray(graph.receivers)):
    if receiver < graph.num_nodes:
      matrix[receiver, sender] += 1
  return matrix


def test_edges_are_clean_and_sorted_by_receiver():
  """Loops go, duplicates become one, the reverse is added; node 3 has no edge at all."""
  pairs = np.array([[0, 0, 1, 2, 2], [1, 1, 0, 2, 1]])
  features = np.arange(5.0)[:, None]
  graph = graph_lib.from_edges(np.zeros((4, 1)), pairs, features=features, undirected=True)
  assert list(zip(graph.senders, graph.receivers)) == [(1, 0), (0, 1), (2, 1), (1, 2)]
  assert graph.edges[:, 0].tolist() == [2, 0, 4, 4]
  loops = graph_lib.from_edges(np.zeros((4, 1)), pairs, features=features, self_loops="add")
  assert list(zip(loops.senders, loops.receivers)) == [(0, 0), (1, 0), (0, 1), (1, 1), (2, 1), (2, 2), (3, 3)]
  assert loops.edges[:, 0].tolist() == [0, 2, 0, 0, 4, 0, 0]


@pytest.mark.parametrize("edge", [(0, 4), (-1, 0)])
def test_an_edge_to_a_node_that_is_not_there_is_an_error(edge):
  with pytest.raises(UserError, match="nodes 0 to 3"):
    graph_lib.from_edges(np.zeros((4, 1)), np.array([[0, edge[0]], [1, edge[1]]]))


@pytest.mark.parametrize("pad", [0, 5])
def test_segments_are_those_of_a_loop(pad):
  """With padding, negative values, and segments that are empty."""
  rng = np.random.default_rng(0)
  ids = np.sort(rng.choice([0, 1, 3, 4], 12)).astype(np.int32)
  rows = rng.normal(size=(12, 2)).astype(np.float32) - 3
  given = np.concatenate([rows, np.full((pad, 2), 900, np.float32)]), np.concatenate([ids, np.full(pad, 6, np.int32)])
  apply = lambda function: np.asarray(jax.jit(function, static_argnums=2)(*given, 6))
  total, mean, largest = apply(segments.segment_sum), apply(segments.segment_mean), apply(segments.segment_max)
  softmax = apply(segments.segment_softmax)
  for segment in range(6):
    inside = rows[ids == segment]
    empty = not len(inside)
    np.testing.assert_allclose(total[segment], inside.sum(0), rtol=1e-5)
    np.testing.assert_allclose(mean[segment], 0 if empty else inside.mean(0), rtol=1e-5)
    np.testing.assert_allclose(largest[segment], 0 if empty else inside.max(0), rtol=1e-5)
    exp = np.exp(inside.astype(np.float64))
    np.testing.assert_allclose(softmax[:12][ids == segment], exp / exp.sum(0), rtol=1e-4)
  assert not softmax[12:].any()


def test_softmax_and_its_gradient_survive_large_logits():
  ids = np.array([0, 0, 1, 2], np.int32)  # 2 is padding
  logits = np.array([1e4, -1e4, -1e4, 3e4], np.float32)
  function = jax.jit(jax.value_and_grad(lambda x: (segments.segment_softmax(x, ids, 2) ** 2).sum()))
  value, gradient = function(logits)
  assert value == 2
  assert np.isfinite(gradient).all()


def test_symmetric_weights_are_the_normalised_adjacency():
  graph = graph_lib.symmetric_weights(random_graph(undirected=True, self_loops="add"))
  matrix = adjacency(graph)
  degree = matrix.sum(1)
  expected = matrix / np.sqrt(degree[:, None] * degree)
  found = np.zeros_like(matrix)
  found[graph.receivers, graph.senders] = graph.weight
  np.testing.assert_allclose(found, expected, rtol=1e-6)
  wide = graph_lib.padded(graph, 9, len(graph.senders) + 4)
  np.testing.assert_allclose(graph_lib.symmetric_weights(wide).weight, wide.weight)


@pytest.mark.parametrize("product", [products.symmetric_product, "segments"])
def test_symmetric_product_and_its_gradient_are_the_matrixs(product):
  """As compressed rows, which CPUs take, and as segments, which all others do; with padding nodes and edges."""
  graph = graph_lib.symmetric_weights(random_graph(undirected=True))
  graph = graph_lib.padded(graph, 9, len(graph.senders) + 4)
  if product == "segments":
    product = lambda graph, x: products._by_segments(graph.weight, graph.senders, graph.receivers, x)
  matrix = np.zeros((9, 9), np.float32)
  real = np.asarray(graph.edge_mask)
  matrix[graph.receivers[real], graph.senders[real]] = graph.weight[real]
  x, pull = np.random.default_rng(1).normal(size=(2, 9, 5)).astype(np.float32)
  value, back = jax.jit(lambda x, pull: (lambda y, vjp: (y, vjp(pull)[0]))(*jax.vjp(lambda x: product(graph, x), x)))(
    x, pull
  )
  np.testing.assert_allclose(value, matrix @ x, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(back, matrix.T @ pull, rtol=1e-5, atol=1e-6)


def test_padding_changes_nothing_that_is_real():
  graph = graph_lib.padded(random_graph(), 9, 30)
  assert graph.num_nodes == 9
  np.testing.assert_array_equal(adjacency(graph)[:7, :7], adjacency(random_graph()))
  assert not adjacency(graph)[7:].any()
  assert graph.graph.tolist() == [0] * 7 + [1, 1]
  again = graph_lib.padded(graph, 12, 40)
  np.testing.assert_array_equal(adjacency(again)[:9, :9], adjacency(graph))
  with pytest.raises(ValueError, match="exceed"):
    graph_lib.padded(graph, 8, 40)


def test_neighbours_are_those_of_the_matrix():
  graph = graph_lib.padded(random_graph(), 9, 30)
  starts, senders = graph_lib.neighbours(graph)
  for node, row in enumerate(adjacency(graph)):
    assert sorted(senders[starts[node] : starts[node + 1]]) == np.flatnonzero(row).tolist()


def test_rows_of_words_are_divided_by_their_sum():
  rng = np.random.default_rng(0)
  dense = rng.integers(0, 3, (5, 6)).astype(np.float32)
  dense[2] = 0
  rows, columns = np.nonzero(dense)
  sparse = graph_lib.SparseRows(dense[rows, columns], rows, columns, dense.shape)
  np.testing.assert_array_equal(sparse.dense(), dense)
  total = dense.sum(1, keepdims=True)
  np.testing.assert_allclose(graph_lib.row_normalised(sparse).dense(), dense / np.where(total, total, 1), rtol=1e-6)
