"""Classification of the nodes of one graph as an experiment: networks by name, and labelled nodes as batches."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Array, Float

from experiments.parts import learning
from experiments.parts.splits import batch_size
from research.data import networks as networks_lib
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import label_notes
from research.data.networks import Network
from research.errors import UserError
from research.families.node_classifier import DEFINITIONS, NodeClassifier, node_classifier
from research.graphs.graph import Graph, divisible, from_edges, symmetric_weights
from research.networks import graph as networks
from research.training import steps
from research.training.experiment import Experiment, Program
from research.training.learner import EnsembleState, Learner, ensemble
from research.training.selection import SelectedState, best_on_validation

NETWORKS = {
  "gcn": networks.GCN,
  "sage": networks.SAGE,
  "gat": networks.GAT,
  "gatv2": functools.partial(networks.GAT, dynamic=True),
  "gin": networks.GIN,
  "appnp": networks.APPNP,
  "grand": networks.GRAND,
  "mlp": functools.partial(networks.APPNP, steps=0),
}
_LOOPS = ("gcn", "gat", "gatv2", "appnp", "grand", "mlp")  # a node is a neighbour of itself


def network_of(model: ml_collections.ConfigDict, num_outputs: int) -> nn.Module:
  """The network that `config.model` names."""
  return NETWORKS[model.name](num_outputs=num_outputs, **model[model.name])


def members_of(state) -> Any:
  """The variables of every member, stacked [member, ...]: the chosen ones where there was a selection."""
  state = state.members if isinstance(state, EnsembleState) else jax.tree.map(lambda leaf: leaf[None], state)
  return state.chosen if isinstance(state, SelectedState) else steps.variables_of(state)


def log_probabilities(family: NodeClassifier, state, graph: Graph) -> Float[Array, "node class"]:
  """Of the mean of the members' probabilities."""
  logs = jax.lax.map(lambda each: family.log_probabilities(each, graph), members_of(state))
  return jax.nn.logsumexp(logs, axis=0) - np.log(len(logs))


def graph_of(data: Network, name: str, edges: np.ndarray | None = None) -> Graph:
  """The undirected graph, with self loops and weights where the network of that name has them; other edges if given."""
  loops = "add" if name in _LOOPS else "remove"
  chosen = data.edges if edges is None else edges
  return symmetric_weights(from_edges(data.features, chosen, undirected=True, self_loops=loops, name=data.name))


def load(data: ml_collections.ConfigDict) -> Network:
  """The network that `config.data` names."""
  return networks_lib.load(data.name, data.path or None, per_class=data.per_class, normalise=data.normalise)


def experiment(config: ml_collections.ConfigDict, report, predict) -> Experiment:
  """Labelled nodes of `config.data`, a network and its optimizer.

  Args:
    config: of the family.
    report: `report(state, family, config, data, graph) -> Report`.
    predict: `predict(state, family, config, data, path) -> arrays`.
  """
  data = load(config.data)
  if not len(data.splits["train"]):
    raise UserError("config.data.name", config.data.name, "none of its nodes has a label: choose task communities.")
  graph = graph_of(data, config.model.name)
  train = config.train
  family = node_classifier(
    network_of(config.model, len(data.class_names)),
    samples=train.samples,
    consistency=train.consistency,
    temperature=train.temperature,
  )
  train_data = training(data, graph, config)
  learner = learning.gradient_learner(config, family, train_data)
  if train.select:
    learner = selected(learner, family, data, train.patience)
  if train.members > 1:
    learner = ensemble(learner, train.members, in_turn=True)
  measured = lambda part: evaluation(data, graph, part, config.data.eval_batch_size)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=measured("validation") if len(data.splits["validation"]) else None,
    test_data=measured("test"),
    report=lambda state: report(state, family, config, data, graph),
    predict=lambda state, path: predict(state, family, config, data, path),
    definitions=DEFINITIONS,
    program=Program(
      lambda state, inputs, _: log_probabilities(family, state, graph)[inputs["node"]],
      {"node": np.zeros(1, np.int32)},
      {"node": data.node_names, "class": data.class_names},
    ),
    notes=label_notes(data.label[data.splits["train"]], data.class_names),
  )


def selected(learner: Learner, family: NodeClassifier, data: Network, patience: int) -> Learner:
  """`best_on_validation`, of the validation nodes that a training batch carries."""
  if not len(data.splits["validation"]):
    raise UserError("config.train.select", True, f"{data.name} has no node to validate by: set it to False.")

  def validate(variables, batch):
    part = {**batch["validation"], "graph": batch["graph"]}
    # Each device has all of them: its share is one part of as many.
    return family.evaluate(variables, {**part, "mask": jnp.ones(len(part["index"]))})["loss"]

  return best_on_validation(learner, validate, family.evaluate, patience)


def training(data: Network, graph: Graph, config: ml_collections.ConfigDict) -> Dataset:
  """Labelled nodes, all at once where the batch size is 0, beside the graph and the validation nodes."""
  beside = {"graph": graph, "validation": data.part("validation")}
  return with_resident(batches(data.part("train"), config, data.name), beside)


def batches(rows: Mapping[str, np.ndarray], config: ml_collections.ConfigDict, name: str) -> Dataset:
  """Rows, shuffled; where the batch size is 0 all of them in each batch, padded so that the devices divide it."""
  size = batch_size(config, len(next(iter(rows.values()))))
  build = pipeline.shuffled if config.train.batch_size else pipeline.passes
  return build(rows, size, seed=config.seed, name=name)


def evaluation(data: Network, graph: Graph, split: str, batch_size: int) -> Dataset:
  """The nodes of a split in order, beside the graph."""
  part = data.part(split)
  return with_resident(pipeline.sequential(part, batch_size, name=f"{data.name} {split}"), {"graph": graph})


def with_resident(dataset: Dataset, beside: Mapping[str, Any]) -> Dataset:
  """Batches of the data set with what all of them have, which every device holds.

  Of `graph`, devices of the plan `fsdp` hold a part of the edges each, in the order of their receivers.
  """
  if "graph" in beside:
    beside = {**beside, "graph": divisible(beside["graph"])}

  def assemble(resident, fed):
    return {**dataset.assemble(resident["rows"], fed), **{name: resident[name] for name in beside}}

  divided = tuple({"graph"} & beside.keys())
  resident = {"rows": dict(dataset.resident), **beside}
  return dataclasses.replace(dataset, resident=resident, assemble=assemble, divided=divided)
