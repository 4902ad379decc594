"""Links and communities of one graph as experiments."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float, Int

from experiments.parts import graph_nodes, learning
from experiments.parts.graph_nodes import batches, with_resident
from research.data import networks as networks_lib
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.networks import Network
from research.errors import UserError
from research.families import communities as communities_lib
from research.families import graph_autoencoder as family_lib
from research.graphs.graph import Graph, from_edges, neighbours
from research.training.experiment import Experiment, Program
from research.training.learner import ensemble


class Links(NamedTuple):
  """Undirected edges, each once, [2, edge], to learn from and held out; pairs that are none beside the latter."""

  train: Int[np.ndarray, "2 edge"]
  validation: Int[np.ndarray, "2 edge"]
  test: Int[np.ndarray, "2 edge"]
  not_validation: Int[np.ndarray, "2 edge"]
  not_test: Int[np.ndarray, "2 edge"]


def divided(data: Network, validation: float, test: float) -> Links:
  """Edges held out at random, with seed 0, and as many pairs, at random, that no edge of the whole graph joins.

  Raises:
    UserError: shares that leave no edge, or hold none out.
  """
  graph = from_edges(np.zeros((len(data), 0)), data.edges, undirected=True)
  edges = np.stack([graph.senders, graph.receivers])[:, graph.senders < graph.receivers]
  count = edges.shape[1]
  sizes = round(validation * count), round(test * count)
  if min(validation, test) < 0 or not sizes[1] or sum(sizes) >= count:
    raise UserError("config.data.test", (validation, test), f"of {count} edges it must hold out some, and leave some.")
  rng = np.random.default_rng(0)
  order = rng.permutation(count)
  parts = np.split(edges[:, order], [sizes[1], sum(sizes)], axis=1)
  taken = set((edges[0] * len(data) + edges[1]).tolist())
  none: list[tuple[int, int]] = []
  if len(taken) + sum(sizes) > len(data) * (len(data) - 1) // 2:
    raise UserError(
      "config.data.name", data.name, "almost all pairs of its nodes are linked: there is nothing to tell."
    )
  while len(none) < sum(sizes):
    a, b = sorted(rng.integers(0, len(data), 2).tolist())
    if a != b and a * len(data) + b not in taken:
      taken.add(a * len(data) + b)
      none.append((a, b))
  pairs = np.array(none, np.int64).reshape(-1, 2).T
  return Links(parts[2], parts[1], parts[0], pairs[:, sizes[1] :], pairs[:, : sizes[1]])


def links(config: ml_collections.ConfigDict, report, predict) -> Experiment:
  """A graph autoencoder of `config.data`, learning from some of its edges.

  Args:
    config: of the family.
    report: `report(state, family, config, data, graph, parts) -> Report`.
    predict: `predict(state, family, data, graph, parts) -> arrays`.
  """
  data, model = graph_nodes.load(config.data), config.model
  parts = divided(data, config.data.validation, config.data.test)
  graph = graph_nodes.graph_of(data, model.name, parts.train)
  outputs = model.latents * (2 if model.variational else 1)
  network = graph_nodes.network_of(model, outputs)
  family = family_lib.graph_autoencoder(network, model.latents, model.variational)
  train_data = link_training(data, graph, parts.train, config)
  learner = learning.gradient_learner(config, family, train_data)
  if config.train.members > 1:
    learner = ensemble(learner, config.train.members, in_turn=True)
  size = config.data.eval_batch_size
  measured = lambda positive, negative, name: pairs(graph, positive, negative, size, f"{data.name} {name}")
  validation = None
  if parts.validation.shape[1]:
    validation = measured(parts.validation, parts.not_validation, "validation")
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=validation,
    test_data=measured(parts.test, parts.not_test, "test"),
    report=lambda state: report(state, family, config, data, graph, parts),
    predict=lambda state, path: predict(state, family, data, graph, parts),
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: log_odds(family, state, graph, inputs["source"], inputs["target"]),
      {"source": np.zeros(1, np.int32), "target": np.zeros(1, np.int32)},
      {"node": data.node_names},
    ),
  )


def log_odds(family: family_lib.GraphAutoencoder, state, graph: Graph, source, target) -> Float[Array, " pair"]:
  """That there is a link, by the members' mean."""
  vectors = jax.lax.map(lambda each: family.embed(each, graph), graph_nodes.members_of(state))
  return (vectors[:, source] * vectors[:, target]).sum(-1).mean(0)


def link_training(data: Network, graph: Graph, edges: Int[np.ndarray, "2 edge"], config) -> Dataset:
  """Edges, all at once where the batch size is 0; and what is needed to draw pairs that are none."""
  loops = from_edges(np.zeros((len(data), 0)), edges, undirected=True, self_loops="add")
  starts, columns = neighbours(loops)
  sender, receiver = edges.astype(np.int32)
  rows = batches({"sender": sender, "receiver": receiver}, config, data.name)
  return with_resident(rows, {"graph": graph, "starts": starts, "columns": columns})


def pairs(graph: Graph, positive, negative, batch_size: int, name: str) -> Dataset:
  """Links, then pairs that are none, in order, with their `label`."""
  both = np.concatenate([positive, negative], 1).astype(np.int32)
  label = np.repeat(np.array([1, 0], np.float32), [positive.shape[1], negative.shape[1]])
  arrays = {"sender": both[0], "receiver": both[1], "label": label}
  return with_resident(pipeline.sequential(arrays, batch_size, name=name), {"graph": graph})


def groups(config: ml_collections.ConfigDict, report) -> Experiment:
  """Communities of `config.data`, which need no labels: what is trained on is what is measured.

  Args:
    config: of the family.
    report: `report(state, family, config, data, graph) -> Report`.
  """
  data = networks_lib.load(config.data.name, config.data.path or None, normalise=config.data.normalise)
  if config.model.communities < 2:
    raise UserError("config.model.communities", config.model.communities, "give two or more.")
  graph = graph_nodes.graph_of(data, config.model.name)
  network = graph_nodes.network_of(config.model, config.model.communities)
  family = communities_lib.communities(network, config.train.collapse)
  rows = {"index": np.arange(len(data), dtype=np.int32)}
  train_data = with_resident(batches(rows, config, data.name), {"graph": graph})
  learner = learning.gradient_learner(config, family, train_data)
  if config.train.members > 1:
    learner = ensemble(learner, config.train.members, in_turn=True)
  test = pipeline.sequential(rows, config.data.eval_batch_size, name=data.name)
  return Experiment(
    learner=learner,
    train_data=train_data,
    test_data=with_resident(test, {"graph": graph}),
    report=lambda state: report(state, family, config, data, graph),
    definitions=communities_lib.DEFINITIONS,
  )


def embeddings(family: family_lib.GraphAutoencoder, variables, graph: Graph) -> np.ndarray:
  """[member, node, latent]: the posterior's means."""
  one = jax.jit(lambda variables, graph: jax.lax.map(lambda each: family.embed(each, graph), variables))
  return np.asarray(one(variables, jax.tree.map(jnp.asarray, graph)))
