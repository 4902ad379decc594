"""Recommendation, facts, and graphs too large to be trained whole, as experiments: rows of tables and a graph."""

import dataclasses

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import learning
from experiments.parts.graph_nodes import with_resident
from research.data import facts as facts_lib
from research.data import pipeline, ratings
from research.data.dataset import Dataset
from research.data.facts import Facts
from research.data.power_law import PowerLaw, power_law
from research.data.ratings import Interactions
from research.errors import UserError
from research.families import classifier, knowledge_graph, recommendation
from research.graphs.graph import Graph, from_edges, symmetric_weights
from research.graphs.sampling import sample_neighbours
from research.networks import graph as networks
from research.networks import knowledge
from research.training import steps
from research.training.experiment import Experiment, Program


def recommend(config: ml_collections.ConfigDict, report, predict) -> Experiment:
  """LightGCN of `config.data`, the last item of every user left out.

  Args:
    config: of the family.
    report: `report(state, family, config, data, graph) -> Report`.
    predict: `predict(state, family, data, graph) -> arrays`.
  """
  data, model = ratings.load(config.data.name, config.data.path or None), config.model
  parts = ratings.leave_last_out(data)
  users, items = len(data.user_names), len(data.item_names)
  if not len(parts["test"]):
    raise UserError("config.data.name", data.name, "no user has had three items that others have had too.")
  train = parts["train"]
  graph = bipartite(data, train)
  network = networks.LightGCN(users + items, model.features, model.steps)
  family = recommendation.recommender(network, users, items, config.train.penalty)
  rows = {"user": data.user[train], "item": data.item[train]}
  starts, columns = had(data, train)
  beside = {"graph": graph, "starts": starts, "columns": columns}
  train_data = with_resident(pipeline.shuffled(rows, config.train.batch_size, seed=config.seed, name=data.name), beside)

  def measured(part: str, before: tuple[str, ...]) -> Dataset:
    seen = np.zeros((users, items), np.uint8)
    for each in before:
      seen[data.user[parts[each]], data.item[parts[each]]] = 1
    held = {"user": data.user[parts[part]], "item": data.item[parts[part]]}
    rows = pipeline.sequential(held, config.data.eval_batch_size, name=f"{data.name} {part}")
    return with_resident(rows, {"graph": graph, "seen": seen})

  return Experiment(
    learner=learning.gradient_learner(config, family, train_data),
    train_data=train_data,
    eval_data=measured("validation", ("train",)),
    test_data=measured("test", ("train", "validation")),
    report=lambda state: report(state, family, config, data, graph),
    predict=lambda state, path: predict(state, family, data, graph),
    definitions=recommendation.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: scores_of(family.vectors(steps.variables_of(state), graph), inputs["user"], users),
      {"user": np.zeros(1, np.int32)},
      {"user": data.user_names, "item": data.item_names},
    ),
  )


def scores_of(vectors, user, users: int):
  """Scores [row, item] of all items for users by number; vectors of users come first."""
  return vectors[user] @ vectors[users:].T


def bipartite(data: Interactions, index: np.ndarray) -> Graph:
  """Users, then items, as nodes; the pairs at `index` as edges, both ways."""
  users = len(data.user_names)
  nodes = np.arange(users + len(data.item_names), dtype=np.int32)[:, None]
  edges = np.stack([data.user[index], users + data.item[index]])
  return symmetric_weights(from_edges(nodes, edges, undirected=True, name=data.name))


def had(data: Interactions, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """(starts, items): what user u has had is `items[starts[u]:starts[u + 1]]`, ascending."""
  order = index[np.lexsort((data.item[index], data.user[index]))]
  counts = np.bincount(data.user[index], minlength=len(data.user_names))
  return np.concatenate([[0], np.cumsum(counts)]).astype(np.int32), data.item[order]


def know(config: ml_collections.ConfigDict, report, predict) -> Experiment:
  """TransE or DistMult of the facts that `config.data` names.

  Args:
    config: of the family.
    report: `report(state, family, config, data, test_data) -> Report`.
    predict: `predict(state, family, data, path) -> arrays`.
  """
  data, model = facts_lib.load(config.data.name, config.data.path or None), config.model
  network = knowledge.network_of(model.name, len(data.entities), len(data.relations), model.features)
  family = knowledge_graph.knowledge_graph(network, config.train.penalty)
  rows = columns_of(data.splits["train"])
  train_data = pipeline.shuffled(rows, config.train.batch_size, seed=config.seed, name=data.name)
  size = config.data.eval_batch_size
  test = filtered(data, "test", size)
  return Experiment(
    learner=learning.gradient_learner(config, family, train_data),
    train_data=train_data,
    eval_data=filtered(data, "validation", size) if len(data.splits["validation"]) else None,
    test_data=test,
    report=lambda state: report(state, family, config, data, test),
    predict=lambda state, path: predict(state, family, data, path),
    definitions=knowledge_graph.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: family.scores(steps.variables_of(state), {**inputs, "tail": inputs["head"]})[:, 0],
      {"head": np.zeros(1, np.int32), "relation": np.zeros(1, np.int32)},
      {"entity": data.entities, "relation": data.relations},
    ),
  )


def columns_of(facts: np.ndarray) -> dict[str, np.ndarray]:
  """Heads, relations and tails as fields."""
  return dict(zip(("head", "relation", "tail"), np.ascontiguousarray(facts.T)))


def filtered(data: Facts, part: str, batch_size: int) -> Dataset:
  """The facts of a part in order, each with the other answers to its two questions, of all parts: `known`."""
  tails: dict[tuple[int, int], list[int]] = {}
  heads: dict[tuple[int, int], list[int]] = {}
  for head, relation, tail in np.concatenate(list(data.splits.values())).tolist():
    tails.setdefault((head, relation), []).append(tail)
    heads.setdefault((tail, relation), []).append(head)
  rows = pipeline.sequential(columns_of(data.splits[part]), batch_size, name=f"{data.name} {part}")

  def feed(step: int):
    fed = rows.feed(step)
    known = np.zeros((len(fed["index"]), 2, len(data.entities)), np.uint8)
    for row, (head, relation, tail) in enumerate(data.splits[part][fed["index"]].tolist()):
      known[row, 0, tails[head, relation]] = 1
      known[row, 1, heads[tail, relation]] = 1
      known[row, 0, tail] = known[row, 1, head] = 0
    return {**fed, "known": known}

  return dataclasses.replace(rows, feed=feed)


def sampled(config: ml_collections.ConfigDict, report) -> Experiment:
  """GraphSAGE over sampled neighbourhoods, of a graph that stands on every device while no step sees all of it.

  Args:
    config: of the family.
    report: `report(state, family, config, test_data) -> Report`.
  """
  data, model = config.data, config.model
  graph = power_law(data.nodes, data.edges, classes=data.classes, features=data.features)
  order = np.random.default_rng(0).permutation(data.nodes).astype(np.int32)
  test, train = np.split(order, [max(data.nodes // 100, 1)])
  network = networks.SampledSAGE(tuple(model.fan_outs), model.features, data.classes, model.dropout)
  family = classifier.classifier(network)
  rows = {"node": train}
  train_data = neighbourhoods(
    pipeline.shuffled(rows, config.train.batch_size, seed=config.seed, name="power law"), graph, config
  )
  test_data = neighbourhoods(pipeline.sequential({"node": test}, data.eval_batch_size, name="power law"), graph, config)
  return Experiment(
    learner=learning.gradient_learner(config, family, train_data),
    train_data=train_data,
    test_data=test_data,
    report=lambda state: report(state, family, config, test_data),
    definitions=classifier.DEFINITIONS,
  )


def neighbourhoods(rows: Dataset, graph: PowerLaw, config: ml_collections.ConfigDict) -> Dataset:
  """Rows of nodes, each with the features of a tree of neighbours drawn by (seed, place): [row, tree node, feature]."""
  size, key = rows.batch_size, jax.random.key(config.seed)

  def feed(step: int):
    place = (step * size + np.arange(size)) % 2**31
    return {**rows.feed(step), "place": place.astype(np.int32)}

  def assemble(resident, fed):
    fed, place = {name: value for name, value in fed.items() if name != "place"}, fed["place"]
    batch = rows.assemble(resident["rows"], fed)
    tree = tree_of(key, batch["node"], place, resident, tuple(config.model.fan_outs))
    return {"inputs": resident["features"][tree], "label": resident["label"][batch["node"]], "mask": batch["mask"]}

  resident = {"rows": dict(rows.resident), **graph._asdict()}
  return dataclasses.replace(rows, resident=resident, feed=feed, assemble=assemble)


def tree_of(key, node, place, resident, fan_outs: tuple[int, ...]):
  """int32 [row, node of the tree]: the node, its sampled neighbours, theirs, and so on, level after level."""
  keys = jax.vmap(lambda each: jax.random.fold_in(key, each))(place)
  level = node[:, None]
  levels = [level]
  for depth, fan_out in enumerate(fan_outs):
    width = level.shape[1]
    places = jnp.arange(width, dtype=jnp.uint32) + depth * 2**20  # of the level's nodes, at most so many
    flat = jax.vmap(jax.vmap(jax.random.fold_in, (None, 0)), (0, None))(keys, places).reshape(-1)
    neighbours = sample_neighbours(flat, level.reshape(-1), resident["starts"], resident["senders"], fan_out)
    level = neighbours.reshape(len(node), -1)
    levels.append(level)
  return jnp.concatenate(levels, 1)
