"""Facts (head, relation, tail) as geometry: TransE and DistMult, trained to name the tail, and the head, of each fact.

A batch has rows `head`, `relation`, `tail` and `mask`; in evaluation also `known` [row, 2, entity], the other tails and
heads that make a fact.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.evaluation.ranking import ranks
from research.metrics import Mean

DEFINITIONS = {
  "mrr": "mean over facts, and over both questions of each, of 1 / rank of the answer among all entities, other true "
  "answers left out (filtered)",
  "hits_at_1": "share of the questions whose answer is first",
  "hits_at_10": "share of the questions whose answer is among the first ten",
}


class KnowledgeGraph(NamedTuple):
  """The functions of a model of facts; `scores(variables, batch)` are [row, 2, entity]: of tails, and of heads."""

  init: Callable
  loss: Callable
  evaluate: Callable
  scores: Callable[[Any, Any], Float[Array, "row 2 entity"]]


def knowledge_graph(network: nn.Module, penalty: float = 0.0) -> KnowledgeGraph:
  """A model trained by the cross-entropy of the tail given head and relation, and of the head given the others.

  Full softmax over the entities in place of the papers' margins and drawn negatives: Ruffinelli et al. 2020 found it as
  good or better for both models.

  Args:
    network: `(head, relation, tail) -> [row, 2, entity]`.
    penalty: on the mean squared number of the vectors.
  """

  def init(key, batch):
    return network.init(key, batch["head"], batch["relation"], batch["tail"])

  def scores(variables, batch):
    return network.apply(variables, batch["head"], batch["relation"], batch["tail"])

  def loss(variables, batch, key):
    del key
    logs = jax.nn.log_softmax(scores(variables, batch))
    answer = jnp.stack([batch["tail"], batch["head"]], 1)[..., None]
    each = -jnp.take_along_axis(logs, answer, -1)[..., 0].mean(1)
    entropy = Mean.of(each, batch["mask"])
    norm = sum(jnp.square(leaf).mean() for leaf in jax.tree.leaves(variables["params"]))
    return Mean(entropy.total + penalty * norm * entropy.count, entropy.count), ({"cross_entropy": entropy}, {})

  def evaluate(variables, batch):
    side_scores = scores(variables, batch)
    place = lambda side, answer: 1 + ranks(side_scores[:, side], answer, batch["known"][:, side] > 0)
    rank = jnp.stack([place(0, batch["tail"]), place(1, batch["head"])])
    share = lambda top: Mean.of((rank <= top).astype(jnp.float32).mean(0), batch["mask"])
    return {"mrr": Mean.of((1 / rank).mean(0), batch["mask"]), "hits_at_1": share(1), "hits_at_10": share(10)}

  return KnowledgeGraph(init, loss, evaluate, scores)
