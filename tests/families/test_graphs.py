"""What graph families optimise and measure, against loops over the equations."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import networkx
import numpy as np
import pytest

from research.families import communities, graph_autoencoder, knowledge_graph, node_classifier, recommendation
from research.graphs import graph as graph_lib
from research.networks import graph as networks
from research.networks import knowledge
from tests.compiled import compiled
from tests.graphs.test_graph import random_graph


class Table(nn.Module):
  """Free numbers of every node, whatever the graph: a network whose outputs a test chooses."""

  width: int

  @nn.compact
  def __call__(self, graph, train):
    return self.param("table", nn.initializers.normal(1.0), (graph.num_nodes, self.width))


def with_table(values):
  return {"params": {"table": np.asarray(values, np.float32)}}


def test_modularity_is_that_of_networkx_soft_and_hard():
  club = networkx.karate_club_graph()
  groups = np.array([0 if club.nodes[v]["club"] == "Mr. Hi" else 1 + v % 2 for v in club])
  edges = np.array(club.edges).T
  parts = [set(np.flatnonzero(groups == each).tolist()) for each in range(3)]
  expected = networkx.community.modularity(club, parts, weight=None)
  assert communities.modularity(groups, edges) == pytest.approx(expected, abs=1e-12)
  for loops in ("remove", "add"):  # loops, which networks need, do not count
    graph = graph_lib.from_edges(np.zeros((34, 1), np.float32), edges, undirected=True, self_loops=loops)
    soft = jax.jit(communities.soft_modularity)(np.eye(3, dtype=np.float32)[groups], graph)
    assert float(soft.sum()) == pytest.approx(expected, abs=1e-5)


def test_the_collapse_penalty_is_zero_for_even_communities_and_largest_for_one():
  graph = graph_lib.from_edges(np.zeros((6, 1), np.float32), np.zeros((2, 0)))  # no edges: the modularity is 0
  family = compiled(communities.communities(Table(3)), "evaluate")
  batch = {"graph": graph, "index": np.arange(6), "mask": np.ones(6, np.float32)}
  loss = lambda groups: float(family.evaluate(with_table(50 * np.eye(3)[groups]), batch)["loss"].value())
  assert loss([0, 0, 1, 1, 2, 2]) == pytest.approx(0, abs=1e-5)
  assert loss([0] * 6) == pytest.approx(3**0.5 - 1, abs=1e-5)


def test_consistency_is_the_distance_from_the_sharpened_mean():
  rng = np.random.default_rng(0)
  probs = rng.dirichlet(np.ones(3), (4, 5)).astype(np.float32)
  mean = probs.mean(0)
  sharp = mean**2 / (mean**2).sum(-1, keepdims=True)  # temperature 1/2
  expected = np.mean([((p - sharp) ** 2).sum(-1).mean() for p in probs])
  found = jax.jit(node_classifier.inconsistency, static_argnums=1)(probs, 0.5)
  assert float(found) == pytest.approx(expected, rel=1e-4)


def test_nodes_are_scored_by_their_rows_and_padding_is_not():
  logits = np.random.default_rng(0).normal(size=(6, 3))
  graph = graph_lib.from_edges(np.zeros((6, 1), np.float32), np.zeros((2, 0)))
  family = compiled(node_classifier.node_classifier(Table(3)), "loss", "evaluate")
  index, label = np.array([4, 0, 2, 0]), np.array([1, 2, 0, 0])
  batch = {"graph": graph, "index": index, "label": label, "mask": np.float32([1, 1, 1, 0])}
  logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  expected = -np.mean([logs[4, 1], logs[0, 2], logs[2, 0]])
  variables = with_table(logits)
  assert float(family.evaluate(variables, batch)["loss"].value()) == pytest.approx(expected, rel=1e-4)
  assert float(family.loss(variables, batch, jax.random.key(0))[0].value()) == pytest.approx(expected, rel=1e-4)


def test_influence_is_a_finite_difference_and_ends_at_the_reach_of_the_network():
  """A path of six nodes and two convolutions: nothing beyond two steps has influence."""
  nodes = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
  pairs = np.array([[i, i + 1] for i in range(5)]).T
  graph = graph_lib.symmetric_weights(graph_lib.from_edges(nodes, pairs, undirected=True, self_loops="add"))
  family = node_classifier.node_classifier(networks.GCN((5,), 3))
  variables = jax.jit(family.init)(jax.random.key(0), {"graph": graph})
  logs = jax.jit(family.log_probabilities)
  run = jax.jit(lambda v, g: node_classifier.influence(family.log_probabilities, v, g, jnp.int32(1)))
  found = np.asarray(run(variables, graph))
  best, step = int(np.asarray(logs(variables, graph))[1].argmax()), 1e-2
  for node in range(6):
    scale = np.ones((6, 1), np.float32)
    ends = []
    for sign in (1, -1):
      scale[node] = 1 + sign * step
      ends.append(float(logs(variables, graph.replace(nodes=nodes * scale))[1, best]))
    assert found[node] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-3)
  assert not found[4:].any()
  assert found[:4].all()


def test_autoencoder_is_its_cross_entropy_and_divergence():
  rng = np.random.default_rng(0)
  graph = random_graph(undirected=True, edges=8)
  loops = graph_lib.from_edges(np.zeros((7, 0)), np.stack([graph.senders, graph.receivers]), self_loops="add")
  starts, columns = graph_lib.neighbours(loops)
  sender, receiver = graph.senders, graph.receivers
  batch = {"graph": graph, "sender": sender, "receiver": receiver, "mask": np.ones(len(sender), np.float32)}
  batch |= {"starts": starts, "columns": columns}
  table = rng.normal(size=(7, 4))
  table[:, 2:] = -30  # no noise
  family = compiled(graph_autoencoder.graph_autoencoder(Table(4), 2), "loss", "evaluate")
  z, softplus = table[:, :2], lambda x: np.log1p(np.exp(x))
  positive = softplus(-(z[sender] * z[receiver]).sum(-1)).mean()
  divergence = 0.5 * (table[:, :2] ** 2 + np.exp(-60) - 1 + 60).sum(-1).mean() / 7
  total, (metrics, _) = family.loss(with_table(table), batch, jax.random.key(0))
  assert float(metrics["positive"].value()) == pytest.approx(positive, rel=1e-4)
  negatives = float(metrics["negative"].value())
  assert float(total.value()) == pytest.approx(positive + negatives + divergence, rel=1e-4)
  allowed = {pair for pair in itertools.product(range(7), repeat=2) if pair[0] != pair[1]}
  allowed -= set(zip(sender.tolist(), receiver.tolist()))
  values = [softplus(z[a] @ z[b]) for a, b in allowed]
  assert min(values) <= negatives <= max(values)
  label = (np.arange(len(sender)) % 2).astype(np.float32)
  logits = (z[sender] * z[receiver]).sum(-1)
  expected = np.mean(np.where(label > 0, softplus(-logits), softplus(logits)))
  found = family.evaluate(with_table(table), {**batch, "label": label})["loss"].value()
  assert float(found) == pytest.approx(expected, rel=1e-4)


def test_lightgcn_is_the_mean_of_powers_and_its_measures_are_those_of_a_loop():
  users, items = 3, 25
  rng = np.random.default_rng(0)
  had = np.array([(u, i) for u in range(users) for i in rng.choice(items, 4, False)])
  nodes = np.zeros((users + items, 1), np.int32)
  graph = graph_lib.from_edges(nodes, np.stack([had[:, 0], users + had[:, 1]]), undirected=True)
  graph = graph_lib.symmetric_weights(graph)
  family = compiled(
    recommendation.recommender(networks.LightGCN(users + items, 4, 2), users, items), "init", "evaluate", "vectors"
  )
  variables = family.init(jax.random.key(0), {"graph": graph})
  own = np.asarray(variables["params"]["vectors"], np.float64)
  a = np.zeros((users + items,) * 2)
  a[graph.receivers, graph.senders] = graph.weight
  expected = sum(np.linalg.matrix_power(a, k) @ own for k in range(3)) / 3
  vectors = np.asarray(family.vectors(variables, graph))
  np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-6)
  seen = np.zeros((users, items), np.uint8)
  seen[had[:, 0], had[:, 1]] = 1
  item = np.array([np.flatnonzero(row == 0)[k] for row, k in zip(seen, (0, 9, 20))])
  batch = {"graph": graph, "user": np.arange(3), "item": item, "seen": seen, "mask": np.ones(3, np.float32)}
  found = family.evaluate(variables, batch)
  hits, gains = [], []
  for user in range(users):
    order = [i for i in np.argsort(-(expected[user] @ expected[users:].T)) if not seen[user, i]]
    place = order.index(item[user])
    hits.append(place < 20)
    gains.append(1 / np.log2(place + 2) if place < 20 else 0)
  assert float(found["recall_at_20"].value()) == pytest.approx(np.mean(hits))
  assert float(found["ndcg_at_20"].value()) == pytest.approx(np.mean(gains), rel=1e-5)


@pytest.mark.parametrize("model", knowledge.MODELS)
def test_facts_are_scored_and_ranked_as_in_a_loop(model):
  network = knowledge.network_of(model, 6, 2, 4)
  family = compiled(knowledge_graph.knowledge_graph(network), "init", "loss", "evaluate")
  facts = {"head": np.array([0, 5]), "relation": np.array([0, 1]), "tail": np.array([3, 2])}
  known = np.zeros((2, 2, 6), np.uint8)
  known[0, 0, [1, 2]] = known[1, 1, 4] = 1
  batch = {**facts, "mask": np.ones(2, np.float32), "known": known}
  variables = family.init(jax.random.key(0), batch)
  e, r = (np.asarray(variables["params"][name], np.float64) for name in ("entity", "relation"))

  def score(h, relation, t):
    return (e[h] * r[relation] * e[t]).sum() if model == "distmult" else -np.abs(e[h] + r[relation] - e[t]).sum()

  losses, ranks = [], []
  for row, (h, relation, t) in enumerate(zip(*facts.values())):
    for side, answer in enumerate((t, h)):
      scores = np.array([score(h, relation, x) if side == 0 else score(x, relation, t) for x in range(6)])
      losses.append(np.log(np.exp(scores).sum()) - scores[answer])
      others = [x for x in range(6) if x != answer and not known[row, side, x]]
      ranks.append(1 + sum(scores[x] > scores[answer] for x in others))
  total, _ = family.loss(variables, batch, jax.random.key(0))
  assert float(total.value()) == pytest.approx(np.mean(losses), rel=1e-4)
  found = family.evaluate(variables, batch)
  assert float(found["mrr"].value()) == pytest.approx(np.mean(1 / np.array(ranks)), rel=1e-5)
  assert float(found["hits_at_1"].value()) == pytest.approx(np.mean(np.array(ranks) == 1))
