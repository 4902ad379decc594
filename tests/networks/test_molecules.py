"""Networks of many small graphs: as one by one; the edge network against a sum of matrices."""

import jax
import numpy as np
import pytest

from research.graphs.graph import Graph
from research.networks import molecules as networks

NODES, EDGES = (5, 3), (4, 2)
NETWORKS = {
  "mpnn": networks.MPNN(NODES, EDGES, 2, features=6, bases=3, steps=2),
  "gin": networks.GINE(NODES, EDGES, 2, features=6, steps=2),
}


def small(seed, nodes):
  rng = np.random.default_rng(seed)
  senders, receivers = np.nonzero(rng.random((nodes, nodes)) < 0.5)
  order = np.argsort(receivers, kind="stable")
  return Graph(
    nodes=np.stack([rng.integers(0, size, nodes) for size in NODES], 1).astype(np.int32),
    senders=senders[order].astype(np.int32),
    receivers=receivers[order].astype(np.int32),
    edges=np.stack([rng.integers(0, size, len(order)) for size in EDGES], 1).astype(np.int32),
    graph=np.zeros(nodes, np.int32),
  )


def side_by_side(graphs):
  """In one graph, a padding node and two padding edges at the end."""
  offsets = np.cumsum([0] + [g.num_nodes for g in graphs])
  join = lambda parts: np.concatenate(parts).astype(np.int32)
  total, pad = offsets[-1], np.zeros(2, np.int32)
  return Graph(
    nodes=join([*(g.nodes for g in graphs), np.ones((1, 2))]),
    senders=join([*(g.senders + o for g, o in zip(graphs, offsets)), pad + total]),
    receivers=join([*(g.receivers + o for g, o in zip(graphs, offsets)), pad + total]),
    edges=join([*(g.edges for g in graphs), np.ones((2, 2))]),
    graph=join([np.repeat(np.arange(len(graphs)), [g.num_nodes for g in graphs]), [len(graphs)]]),
    num_graphs=len(graphs) + 1,
  )


@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_of_graphs_is_its_graphs_one_by_one(name):
  network, graphs = NETWORKS[name], [small(seed, nodes) for seed, nodes in enumerate((3, 1, 5))]
  whole = side_by_side(graphs)
  variables = jax.jit(lambda key: network.init(key, whole, False))(jax.random.key(0))
  run = jax.jit(lambda variables, graph: network.apply(variables, graph, False))
  together = np.asarray(run(variables, whole))
  for row, graph in enumerate(graphs):
    np.testing.assert_allclose(run(variables, graph)[0], together[row], rtol=1e-4, atol=1e-5)
  order = np.random.default_rng(5).permutation(5)  # a graph is the same however its nodes are numbered
  last = graphs[-1]
  place = np.argsort(order)
  edges = np.argsort(place[last.receivers], kind="stable")
  renumbered = last.replace(
    nodes=last.nodes[order],
    senders=place[last.senders][edges].astype(np.int32),
    receivers=place[last.receivers][edges].astype(np.int32),
    edges=last.edges[edges],
  )
  np.testing.assert_allclose(run(variables, renumbered)[0], together[2], rtol=1e-4, atol=1e-5)


def test_messages_are_those_of_a_matrix_for_each_edge():
  """One step: sum over edges of A(e) h, A(e) = sum of g_b(e) A_b, in a loop; then the GRU and the readout by hand."""
  network = networks.MPNN(NODES, EDGES, 2, features=4, bases=3, steps=1)
  graph = small(2, 4)
  variables = jax.jit(lambda key: network.init(key, graph, False))(jax.random.key(1))
  p = jax.tree.map(lambda x: np.asarray(x, np.float64), variables["params"])
  relu, sigmoid = (lambda x: np.maximum(x, 0)), (lambda x: 1 / (1 + np.exp(-x)))
  embed = lambda table, row, sizes: sum(table[c + o] for c, o in zip(row, np.cumsum([0, *sizes[:-1]])))
  h = np.array([relu(embed(p["atoms"]["table"], row, NODES)) for row in graph.nodes])
  matrices = p["matrices"]["kernel"].reshape(3, 4, 4)
  message = np.zeros((4, 4)) + p["matrices"]["bias"]
  for sender, receiver, kind in zip(graph.senders, graph.receivers, graph.edges):
    gate = relu(embed(p["bonds"]["table"], kind, EDGES)) @ p["gates"]["kernel"] + p["gates"]["bias"]
    message[receiver] += h[sender] @ np.einsum("b,bij->ij", gate, matrices)
  x, g = relu(message), p["update"]
  dense = lambda name, x: x @ g[name]["kernel"] + g[name].get("bias", 0)
  r = sigmoid(dense("ir", x) + dense("hr", h))
  z = sigmoid(dense("iz", x) + dense("hz", h))
  new = (1 - z) * np.tanh(dense("in", x) + r * dense("hn", h)) + z * h
  gate = sigmoid(np.concatenate([new, h], 1) @ p["gate"]["kernel"] + p["gate"]["bias"])
  nodes = gate * (new @ p["value"]["kernel"] + p["value"]["bias"])
  pooled = np.concatenate([nodes.sum(0) / 10, nodes.mean(0)])
  hidden = relu(pooled @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"])
  expected = hidden @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"]
  found = jax.jit(lambda variables: network.apply(variables, graph, False))(variables)
  np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)
