"""Communities without labels: soft assignments of nodes that make modularity large (Tsitsulin et al. 2023, DMoN).

A batch has `graph`, whole on every device, and rows of nodes, `index` and `mask`.  Self loops are not counted.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research import randomness
from research.graphs.graph import Graph
from research.graphs.segments import segment_sum
from research.metrics import Mean

DEFINITIONS = {"loss": "negative soft modularity, and the collapse penalty (Tsitsulin et al. 2023, equation 6)"}


class Communities(NamedTuple):
  """The functions of a clustering of nodes; `assign(variables, graph)` is [node, community], shares that sum to 1."""

  init: Callable
  loss: Callable
  evaluate: Callable
  assign: Callable[[Any, Graph], Float[Array, "node community"]]


def communities(network: nn.Module, collapse: float = 1.0) -> Communities:
  """Communities from a network `(graph, train) -> [node, community]`.

  Args:
    network: of logits.
    collapse: weight of the penalty that keeps all nodes from one community; 0 where they are spread evenly.
  """

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["graph"], train=False)

  def objective(shares, batch) -> Mean:
    """Of this device's nodes: the modularity is a sum over nodes, and the penalty weighs as many."""
    each = -soft_modularity(shares, batch["graph"])[batch["index"]] * len(shares)
    modularity_loss = Mean.of(each, batch["mask"])
    spread = jnp.sqrt(shares.shape[1]) / len(shares) * jnp.linalg.norm(shares.sum(0)) - 1
    return Mean(modularity_loss.total + collapse * spread * modularity_loss.count, modularity_loss.count)

  def loss(variables, batch, key):
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    logits = jnp.asarray(network.apply(variables, batch["graph"], train=True, rngs=rngs))
    return objective(jax.nn.softmax(logits), batch), ({}, {})

  def assign(variables, graph):
    return jax.nn.softmax(jnp.asarray(network.apply(variables, graph, train=False)))

  def evaluate(variables, batch):
    return {"loss": objective(assign(variables, batch["graph"]), batch)}

  return Communities(init, loss, evaluate, assign)


def soft_modularity(shares: Float[Array, "node community"], graph: Graph) -> Float[Array, " node"]:
  """Each node's part of tr(C' B C) / 2m, with B = A - d d' / 2m (equation 4); the graph's self loops are left out."""
  count = graph.num_nodes
  kept = graph.senders != graph.receivers
  at = jnp.minimum(graph.receivers, count - 1)
  degree = segment_sum(kept.astype(jnp.float32), graph.receivers, count)
  both = jnp.maximum(degree.sum(), 1)  # 2m
  linked = segment_sum(jnp.where(kept, (shares[at] * shares[graph.senders]).sum(-1), 0), graph.receivers, count)
  expected = degree * (shares @ (degree @ shares)) / both
  return (linked - expected) / both


def modularity(groups: Int[np.ndarray, " node"], edges: Int[np.ndarray, "2 edge"]) -> float:
  """Newman's modularity of an undirected graph, each edge given once (Newman 2004, equation 5)."""
  count = max(edges.shape[1], 1)
  inside = (groups[edges[0]] == groups[edges[1]]).sum() / count
  ends = np.bincount(groups[edges.ravel()], minlength=groups.max() + 1) / (2 * count)
  return float(inside - np.square(ends).sum())
