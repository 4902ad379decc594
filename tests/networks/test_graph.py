"""Graph networks against dense matrices, written from the papers' equations in NumPy."""

import jax
import numpy as np
import pytest

from research.graphs import graph as graph_lib
from research.networks import graph as networks
from tests.graphs.test_graph import adjacency, random_graph

NETWORKS = {
  "gcn": networks.GCN((4,), 3),
  "sage": networks.SAGE((4,), 3),
  "sage_max": networks.SAGE((4,), 3, aggregate="max"),
  "gat": networks.GAT((4,), 3, heads=2, output_heads=2),
  "gatv2": networks.GAT((4,), 3, heads=2, dynamic=True),
  "gin": networks.GIN((4, 4), 3),
  "appnp": networks.APPNP((4,), 3, steps=3),
  "grand": networks.GRAND((4, 4), 3, steps=3),
}


def case(name, pad=False, seed=0):
  loops = "remove" if name.startswith(("sage", "gin")) else "add"
  graph = graph_lib.symmetric_weights(random_graph(undirected=True, self_loops=loops, edges=9, seed=seed))
  return graph_lib.padded(graph, 10, len(graph.senders) + 7) if pad else graph


def variables_of(network, graph):
  """Initialised, then every parameter at random, so that biases count too."""
  variables = jax.jit(lambda key: network.init(key, graph, False))(jax.random.key(0))
  rng = np.random.default_rng(1)
  return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), variables)


def apply(network, variables, graph, train=False, key=0):
  run = lambda variables, graph: network.apply(variables, graph, train, rngs={"dropout": jax.random.key(key)})
  return np.asarray(jax.jit(run)(variables, graph))


def relu(x):
  return np.maximum(x, 0)


def leaky(x):
  return np.where(x > 0, x, 0.2 * x)


def normalised(graph):
  matrix = adjacency(graph)
  return matrix / np.sqrt(np.outer(matrix.sum(1), matrix.sum(0)))


def gcn(p, graph, x):
  a = normalised(graph)
  x = relu(a @ x @ p["Dense_0"]["kernel"] + p["bias_0"])
  return a @ x @ p["Dense_1"]["kernel"] + p["bias_1"]


def sage(p, graph, x):
  a = adjacency(graph)
  a = a / np.maximum(a.sum(1, keepdims=True), 1)
  layer = lambda i, x: x @ p[f"own_{i}"]["kernel"] + p[f"own_{i}"]["bias"] + a @ x @ p[f"neighbours_{i}"]["kernel"]
  return layer(1, relu(layer(0, x)))


def sage_max(p, graph, x):
  def layer(i, x):
    pooled = relu(x @ p[f"pool_{i}"]["kernel"] + p[f"pool_{i}"]["bias"])
    rows = [pooled[row > 0].max(0) if row.any() else 0 * pooled[0] for row in adjacency(graph)]
    return x @ p[f"own_{i}"]["kernel"] + p[f"own_{i}"]["bias"] + np.stack(rows) @ p[f"neighbours_{i}"]["kernel"]

  return layer(1, relu(layer(0, x)))


def attention_layer(p, graph, x, heads, dynamic):
  a, outputs = adjacency(graph), []
  width = p["source"].shape[1]
  for head in range(heads):
    part = slice(head * width, (head + 1) * width)
    values = x @ p["values"]["kernel"][:, part]
    logits = np.full(a.shape, -np.inf)
    for i, j in zip(*np.nonzero(a)):
      if dynamic:
        target = x @ p["targets"]["kernel"][:, part]
        logits[i, j] = leaky(values[j] + target[i]) @ p["source"][head]
      else:
        logits[i, j] = leaky(values[j] @ p["source"][head] + values[i] @ p["target"][head])
    weights = np.exp(logits - logits.max(1, keepdims=True))
    weights /= weights.sum(1, keepdims=True)
    np.testing.assert_allclose(weights.sum(1), 1)
    outputs.append(weights @ values + p["bias"][head])
  return outputs


def gat(p, graph, x, dynamic=False):
  x = np.concatenate(attention_layer(p["layer_0"], graph, x, 2, dynamic), 1)
  x = np.where(x > 0, x, np.expm1(x))
  return np.mean(attention_layer(p["output"], graph, x, len(p["output"]["source"]), dynamic), 0)


def gatv2(p, graph, x):
  return gat(p, graph, x, dynamic=True)


def gin(p, graph, x):
  a = adjacency(graph)
  for i in range(2):
    y = ((1 + p[f"eps_{i}"]) * x + a @ x) @ p[f"first_{i}"]["kernel"] + p[f"bias_{i}"]
    x = relu(relu(y) @ p[f"second_{i}"]["kernel"] + p[f"second_{i}"]["bias"])
  return x @ p["Dense_0"]["kernel"] + p["Dense_0"]["bias"]


def appnp(p, graph, x):
  dense = lambda i, x: x @ p[f"Dense_{i}"]["kernel"] + p[f"Dense_{i}"]["bias"]
  start = dense(1, relu(dense(0, x)))
  # The closed form of three steps.
  a, alpha = normalised(graph), 0.1
  power = np.linalg.matrix_power
  series = sum(alpha * (1 - alpha) ** k * power(a, k) for k in range(3)) + (1 - alpha) ** 3 * power(a, 3)
  return series @ start


def grand(p, graph, x):
  mean = sum(np.linalg.matrix_power(normalised(graph), k) for k in range(4)) / 4
  x = relu(mean @ x @ p["Dense_0"]["kernel"] + p["bias"])
  x = relu(x @ p["Dense_1"]["kernel"] + p["Dense_1"]["bias"])
  return x @ p["Dense_2"]["kernel"] + p["Dense_2"]["bias"]


@pytest.mark.parametrize("name", NETWORKS)
def test_network_is_its_matrices_with_and_without_padding_and_equivariant(name):
  network, graph = NETWORKS[name], case(name)
  variables = variables_of(network, graph)
  p = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
  expected = globals()[name](p, graph, np.asarray(graph.nodes, np.float64))
  found = apply(network, variables, graph)
  np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4)
  np.testing.assert_allclose(apply(network, variables, case(name, pad=True))[:7], expected, rtol=2e-4, atol=2e-4)
  order = np.random.default_rng(2).permutation(7)  # node i becomes node order[i]
  pairs = order[np.stack([graph.senders, graph.receivers])]
  nodes = np.empty_like(graph.nodes)
  nodes[order] = graph.nodes
  shuffled = graph_lib.symmetric_weights(graph_lib.from_edges(nodes, pairs, self_loops="keep"))
  np.testing.assert_allclose(apply(network, variables, shuffled)[order], found, rtol=1e-3, atol=1e-4)


def test_attention_sums_to_one_over_the_edges_into_each_node():
  graph = case("gat", pad=True)
  layer = networks.Attention(4, 2, 0.0, False)
  x = np.asarray(graph.nodes)
  variables = jax.jit(lambda key: layer.init(key, graph, x, False))(jax.random.key(0))
  run = jax.jit(lambda variables: layer.apply(variables, graph, x, False, mutable="intermediates")[1])
  (weights,) = run({"params": variables["params"]})["intermediates"]["attention"]
  total = np.zeros((11, 2))
  np.add.at(total, graph.receivers, weights)
  np.testing.assert_allclose(total[:7], 1, rtol=1e-5)
  assert not total[7:].any()


def test_words_as_a_sparse_matrix_are_the_dense_one():
  graph = case("gcn")
  dense = np.maximum(np.asarray(graph.nodes), 0)
  rows, columns = np.nonzero(dense)
  sparse = graph_lib.SparseRows(dense[rows, columns], rows.astype(np.int32), columns.astype(np.int32), dense.shape)
  network = NETWORKS["gcn"]
  variables = variables_of(network, graph)
  one, other = (apply(network, variables, graph.replace(nodes=nodes)) for nodes in (dense, sparse))
  np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_dropout_of_words_keeps_their_mean_and_half_of_them():
  entries = 4000
  sparse = graph_lib.SparseRows(np.ones(entries, np.float32), np.arange(entries), np.zeros(entries, int), (entries, 1))
  run = jax.jit(lambda key: networks.Dropout(0.5).apply({}, sparse, True, rngs={"dropout": key}).values)
  values = np.asarray(run(jax.random.key(0)))
  assert set(values.tolist()) == {0.0, 2.0}
  assert abs(values.mean() - 1) < 5 / entries**0.5


def refined(matrix):
  """Colours of the 1-Weisfeiler-Lehman test, when they change no more."""
  colours = [0] * len(matrix)
  for _ in range(len(matrix)):
    seen = [(colours[i], tuple(sorted(colours[j] for j in np.flatnonzero(row)))) for i, row in enumerate(matrix)]
    colours = [sorted(set(seen)).index(each) for each in seen]
  return colours


def test_gin_tells_apart_what_the_1_wl_test_does_and_no_more():
  """Nodes of a graph; and, of equal colours, the hexagon from two triangles, which it cannot."""
  ring = lambda nodes: [(a, nodes[(i + 1) % len(nodes)]) for i, a in enumerate(nodes)]
  graphs = {
    "hexagon": ring([0, 1, 2, 3, 4, 5]),
    "triangles": ring([0, 1, 2]) + ring([3, 4, 5]),
    "path": [(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)],
    "star": [(0, 1), (0, 2), (0, 3), (3, 4), (4, 5)],
  }
  network = networks.GIN((8,) * 5, 4)
  variables, sums = None, {}
  for name, pairs in graphs.items():
    graph = graph_lib.from_edges(np.ones((6, 1), np.float32), np.array(pairs).T, undirected=True)
    if variables is None:
      variables = jax.jit(lambda key, graph=graph: network.init(key, graph, False))(jax.random.key(3))
    found = apply(network, variables, graph)
    colours = refined(adjacency(graph))
    for i in range(6):
      for j in range(6):
        assert np.allclose(found[i], found[j], rtol=1e-4, atol=1e-6) == (colours[i] == colours[j]), (name, i, j)
    sums[name] = found.sum(0)
  np.testing.assert_allclose(sums["hexagon"], sums["triangles"], rtol=1e-4)
  assert not np.allclose(sums["path"], sums["star"], rtol=1e-3)
