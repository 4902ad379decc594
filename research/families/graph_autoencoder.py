"""Links of a graph: nodes as vectors whose product tells whether they are linked (Kipf & Welling 2016, VGAE).

A batch has `graph`, whole on every device; rows of edges, `sender`, `receiver` and `mask`; and, to draw others that are
none, `starts` and `columns`, the sorted neighbours of every node and itself.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research import randomness
from research.graphs.graph import Graph
from research.graphs.sampling import sample_non_neighbours
from research.metrics import Mean

DEFINITIONS = {
  "loss": "mean negative log-likelihood of a pair being a link or none, nats",
  "auc": "area under the ROC curve by which the product of two nodes' mean vectors tells links from as many pairs that "
  "are none, mean over the members",
  "ap": "average precision of the same",
  "auc_std": "standard deviation over the members of auc",
  "ap_std": "standard deviation over the members of ap",
}


class GraphAutoencoder(NamedTuple):
  """The functions of a graph autoencoder; `embed(variables, graph)` is [node, latent], the posterior's means."""

  init: Callable
  loss: Callable
  evaluate: Callable
  embed: Callable[[Any, Graph], Float[Array, "node latent"]]


def graph_autoencoder(network: nn.Module, latents: int, variational: bool = True) -> GraphAutoencoder:
  """A (variational) graph autoencoder over a network `(graph, train) -> [node, 2 latents]`, or [node, latents].

  Args:
    network: of means, and if variational of log standard deviations behind them.
    latents: of a node.
    variational: with a standard normal prior of every latent, the KL divergence weighed by 1 / nodes, as in the paper's
      code; else the plain autoencoder.
  """

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["graph"], train=False)

  def embed(variables, graph):
    return jnp.asarray(network.apply(variables, graph, train=False))[:, :latents]

  def loss(variables, batch, key):
    graph, count = batch["graph"], len(batch["mask"])
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    embedding = jnp.asarray(network.apply(variables, graph, train=True, rngs=rngs))
    mean, z, divergence = embedding[:, :latents], embedding[:, :latents], jnp.zeros(())
    if variational:
      log_std = jnp.minimum(embedding[:, latents:], 10.0)
      # The nodes' noise is the same on every device, for each has all nodes.
      z = mean + jnp.exp(log_std) * jax.random.normal(randomness.stream_key(key, "latents"), mean.shape)
      divergence = 0.5 * (mean**2 + jnp.exp(2 * log_std) - 1 - 2 * log_std).sum(-1).mean()
    keys = randomness.example_keys(randomness.stream_key(key, "negatives"), count)
    node = jax.vmap(lambda key: jax.random.randint(key, (), 0, graph.num_nodes))(keys)
    again = jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys)
    other = sample_non_neighbours(again, node, batch["starts"], batch["columns"], graph.num_nodes)
    there = batch["mask"] * (other < graph.num_nodes)
    positive = Mean.of(jax.nn.softplus(-scores(z, batch["sender"], batch["receiver"])), batch["mask"])
    negative = Mean.of(jax.nn.softplus(scores(z, node, jnp.minimum(other, graph.num_nodes - 1))), there)
    total = positive.total + negative.total + positive.count * divergence / graph.num_nodes
    return Mean(total, positive.count), ({"positive": positive, "negative": negative}, {})

  def evaluate(variables, batch):
    logits = scores(embed(variables, batch["graph"]), batch["sender"], batch["receiver"])
    return {"loss": Mean.of(jax.nn.softplus(logits) - batch["label"] * logits, batch["mask"])}

  return GraphAutoencoder(init, loss, evaluate, embed)


def scores(z: Float[Array, "node latent"], senders, receivers) -> Float[Array, " pair"]:
  """Log-odds of links: the products of the vectors."""
  return (z[senders] * z[receivers]).sum(-1)
