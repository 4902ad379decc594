"""Classification of the nodes of one graph, of which few are labelled: cross-entropy, and consistency on the others.

A batch has `graph`, whole on every device, and for each row `index`, a node, `label` and `mask`: it is the labelled
nodes that are divided over devices.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research import randomness
from research.families import classifier
from research.graphs.graph import Graph, SparseRows
from research.metrics import Mean

DEFINITIONS = {
  "accuracy": "share of nodes whose most probable class is the label",
  "loss": "mean negative log-likelihood of the label, nats",
}


class NodeClassifier(NamedTuple):
  """The functions of a classifier of nodes; `variables` are Flax collections."""

  init: Callable
  loss: Callable
  evaluate: Callable
  log_probabilities: Callable[[Any, Graph], Float[Array, "node class"]]


def node_classifier(
  network: nn.Module, *, samples: int = 1, consistency: float = 0.0, temperature: float = 0.5
) -> NodeClassifier:
  """A classifier of nodes over any network `(graph, train) -> logits [node, class]`.

  Args:
    network: a Flax module.
    samples: S, forward passes of a step, each with dropout of its own; the cross-entropy is their mean.
    consistency: lambda, the weight of the squared distance of every node's prediction from the sharpened mean of the
      samples' (Feng et al. 2020, equations 4 to 6).
    temperature: T of the sharpening.
  """

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["graph"], train=False)

  def loss(variables, batch, key):
    keys = [jax.random.fold_in(randomness.stream_key(key, "dropout"), i) for i in range(samples)]
    rngs = lambda key: {"dropout": key}
    forward = lambda key: jnp.asarray(network.apply(variables, batch["graph"], train=True, rngs=rngs(key)))
    log_probs = [jax.nn.log_softmax(forward(key)) for key in keys]
    of_label = [jnp.take_along_axis(each[batch["index"]], batch["label"][:, None], 1)[:, 0] for each in log_probs]
    cross_entropy = -jnp.stack(of_label).mean(0)
    entropy = Mean.of(cross_entropy, batch["mask"])
    correct = log_probs[0][batch["index"]].argmax(-1) == batch["label"]
    metrics = {"cross_entropy": entropy, "accuracy": Mean.of(correct.astype(jnp.float32), batch["mask"])}
    if not consistency:
      return entropy, (metrics, {})
    distance = inconsistency(jnp.exp(jnp.stack(log_probs)), temperature)
    # The same on every device: weighed by its rows, so that the mean over all rows has it once.
    total = Mean(entropy.total + consistency * distance * entropy.count, entropy.count)
    return total, ({**metrics, "inconsistency": Mean.constant(distance)}, {})

  def log_probabilities(variables, graph):
    return jax.nn.log_softmax(jnp.asarray(network.apply(variables, graph, train=False)))

  def evaluate(variables, batch):
    return classifier.score(log_probabilities(variables, batch["graph"])[batch["index"]], batch)

  return NodeClassifier(init, loss, evaluate, log_probabilities)


def inconsistency(probs: Float[Array, "sample node class"], temperature: float) -> Float[Array, ""]:
  """Mean over samples and nodes of the squared distance from the sharpened mean, which no gradient passes."""
  sharpened = jax.nn.softmax(jnp.log(probs.mean(0) + 1e-12) / temperature)
  return jnp.square(probs - jax.lax.stop_gradient(sharpened)).sum(-1).mean()


def influence(log_probabilities: Callable, variables, graph: Graph, node: Array) -> Float[Array, " node"]:
  """How far the log-probability of a node's most probable class hangs on the features of each node.

  Its derivative by a factor on that node's features, at 1: gradient times input, summed over the features.  0 for all
  that are further away than the network has layers.
  """

  def of_scale(scale):
    logs = log_probabilities(variables, dataclasses.replace(graph, nodes=scaled_rows(graph.nodes, scale)))[node]
    return logs[jax.lax.stop_gradient(logs).argmax()]

  return jax.grad(of_scale)(jnp.ones(graph.num_nodes))


def scaled_rows(features, scale: Float[Array, " node"]):
  """Every node's features times its factor."""
  if isinstance(features, SparseRows):
    return features.replace(values=features.values * scale[features.rows])
  return features * scale[:, None]
