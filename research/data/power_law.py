"""A synthetic graph of any size: degrees by a power law, classes that neighbours share, features in noise."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int


class PowerLaw(NamedTuple):
  """A directed graph by receiver, and what is known of its nodes.

  Attributes:
    starts, senders: the edges into node v come from `senders[starts[v]:starts[v + 1]]`.
    features: float32 [node, feature].
    label: int32 [node].
  """

  starts: Int[np.ndarray, " node+1"]
  senders: Int[np.ndarray, " edge"]
  features: Float[np.ndarray, "node feature"]
  label: Int[np.ndarray, " node"]


def power_law(
  num_nodes: int, num_edges: int, *, classes: int = 10, features: int = 64, exponent: float = 2.2, seed: int = 0
) -> PowerLaw:
  """A graph whose nodes receive and send with weights of a Pareto law; four fifths of edges stay within a class.

  The features of a node are its class's mean in noise of three times its length: a node alone tells little, its
  neighbours together tell the class.

  Args:
    num_nodes, num_edges: of the graph; edges may come twice.
    classes: that nodes belong to, equally many to each.
    features: of a node.
    exponent: of the degrees' density, above 2.
    seed: of all.
  """
  rng = np.random.default_rng(seed)
  label = rng.permutation(np.arange(num_nodes) % classes).astype(np.int32)
  weight = (1 - rng.random(num_nodes)) ** (-1 / (exponent - 1))
  weight = np.minimum(weight, num_nodes**0.5 * weight.mean())  # no node has a tenth of all edges
  cumulative = np.cumsum(weight)
  pick = lambda table, count: np.searchsorted(table, rng.random(count) * table[-1], side="right")
  receivers = pick(cumulative, num_edges)
  senders = pick(cumulative, num_edges)
  within = rng.random(num_edges) < 0.8
  for each in range(classes):
    members = np.flatnonzero(label == each)
    at = np.flatnonzero(within & (label[receivers] == each))
    senders[at] = members[pick(np.cumsum(weight[members]), len(at))]
  order = np.argsort(receivers, kind="stable")
  starts = np.concatenate([[0], np.cumsum(np.bincount(receivers, minlength=num_nodes))]).astype(np.int32)
  means = rng.normal(size=(classes, features)).astype(np.float32)
  noise = rng.standard_normal((num_nodes, features), np.float32)
  return PowerLaw(starts, senders[order].astype(np.int32), means[label] + 3 * noise, label)
