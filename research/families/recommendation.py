"""Recommendation from who has had what: vectors of users and items, smoothed over their graph (He et al. 2020).

Nodes are the users, then the items.  A training batch has `graph`, rows `user`, `item` and `mask`, and, to draw items
that a user has not had, `starts` and `columns`; in evaluation rows `user`, `item`, `mask`, and `seen` [user, item].
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research import randomness
from research.evaluation.ranking import ranks
from research.graphs.graph import Graph
from research.graphs.sampling import sample_non_neighbours
from research.metrics import Mean

TOP = 20
DEFINITIONS = {
  "recall_at_20": "share of users whose held-out item is among their first 20 of the items that they have not had",
  "ndcg_at_20": "mean of 1 / log2(1 + place) of the held-out item among them, 0 beyond the first 20",
}


class Recommender(NamedTuple):
  """The functions of a recommender; `vectors(variables, graph)` is [user and item, feature]."""

  init: Callable
  loss: Callable
  evaluate: Callable
  vectors: Callable[[Any, Graph], Float[Array, "node feature"]]


def recommender(network: nn.Module, num_users: int, num_items: int, penalty: float = 1e-4) -> Recommender:
  """A recommender by Bayesian personalised ranking: an item had before one that was not (Rendle et al. 2009).

  Args:
    network: `(graph, train) -> (smoothed, own)`, vectors of all nodes after and before propagation.
    num_users, num_items: of the nodes.
    penalty: lambda, on half the squared norm of the three vectors of each row, before propagation.
  """

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["graph"], train=False)

  def loss(variables, batch, key):
    user, item = batch["user"], batch["item"]
    keys = randomness.example_keys(randomness.stream_key(key, "negatives"), len(user))
    other = sample_non_neighbours(keys, user, batch["starts"], batch["columns"], num_items)
    mask = batch["mask"] * (other < num_items)  # one who has had everything teaches nothing
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    smoothed, own = network.apply(variables, batch["graph"], train=True, rngs=rngs)
    rows = (user, num_users + item, num_users + jnp.minimum(other, num_items - 1))
    u, i, j = (smoothed[row] for row in rows)
    margin = (u * (i - j)).sum(-1)
    norm = sum(jnp.square(jnp.asarray(own)[row]).sum(-1) for row in rows) / 2
    ranked = Mean.of((margin > 0).astype(jnp.float32), mask)
    return Mean.of(jax.nn.softplus(-margin) + penalty * norm, mask), ({"ranked_right": ranked}, {})

  def vectors(variables, graph):
    return network.apply(variables, graph, train=False)[0]

  def evaluate(variables, batch):
    embeddings = vectors(variables, batch["graph"])
    scores = embeddings[batch["user"]] @ embeddings[num_users:].T
    place = ranks(scores, batch["item"], batch["seen"][batch["user"]] > 0)
    hit = (place < TOP).astype(jnp.float32)
    gain = hit / jnp.log2(2 + place)
    return {"recall_at_20": Mean.of(hit, batch["mask"]), "ndcg_at_20": Mean.of(gain, batch["mask"])}

  return Recommender(init, loss, evaluate, vectors)
