"""Networks of many small graphs, such as molecules: messages with features of edges, and a sum over each graph.

Nodes and edges come as numbers of categories.  What is random is keyed by place in the global batch.
"""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research.graphs.graph import Graph
from research.graphs.segments import segment_sum
from research.networks import layers


class Categories(nn.Module):
  """The sum of an embedding of each category (Hu et al. 2020, section 5).

  Attributes:
    sizes: values of each category.
    features: width.
  """

  sizes: Sequence[int]
  features: int

  @nn.compact
  def __call__(self, x: Int[Array, "row category"]) -> Float[Array, "row feature"]:
    table = self.param("table", nn.initializers.normal(1 / len(self.sizes) ** 0.5), (sum(self.sizes), self.features))
    offsets = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.int32)
    # A product with zeros and ones: its gradient is one too, and no scattered sum.
    ones = sum(jnp.eye(sum(self.sizes), dtype=jnp.float32)[x[:, i] + offset] for i, offset in enumerate(offsets))
    return ones @ table


class MPNN(nn.Module):
  """Message passing with an edge network, a GRU and a gated sum (Gilmer et al. 2017; Li et al. 2016, equation 7).

  The matrix A(e) of a message A(e) h is a mixture of a few, sum_b g_b(e) A_b, with g a network of the edge's features:
  one of all its own entries, of Gilmer's `edge network`, would take features^2 numbers an edge.

  Attributes:
    node_sizes, edge_sizes: values of each category.
    num_outputs: numbers a graph.
    features: width of a node.
    bases: matrices of the mixture.
    steps: of message passing, of shared weights.
    dropout: rate in front of the last layers.
  """

  node_sizes: Sequence[int]
  edge_sizes: Sequence[int]
  num_outputs: int
  features: int = 64
  bases: int = 8
  steps: int = 3
  dropout: float = 0.0

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> Float[Array, "graph output"]:
    start = x = nn.relu(Categories(self.node_sizes, self.features, name="atoms")(graph.nodes))
    gates = Categories(self.edge_sizes, self.features, name="bonds")(graph.edges)
    gates = nn.Dense(self.bases, name="gates")(nn.relu(gates))
    matrices = nn.Dense(self.features, name="matrices")
    update = nn.GRUCell(self.features, name="update")
    for _ in range(self.steps):
      # sum_e sum_b g_b(e) A_b h = [sum_e g_b(e) h]_b A: the sum over edges first, of nodes there are fewer.
      mixed = gates[:, :, None] * x[graph.senders][:, None]
      message = matrices(
        segment_sum(mixed.reshape(len(mixed), self.bases * self.features), graph.receivers, graph.num_nodes)
      )
      x, _ = update(x, nn.relu(message))
    both = jnp.concatenate([x, start], -1)
    gated = nn.sigmoid(nn.Dense(self.features, name="gate")(both)) * nn.Dense(self.features, name="value")(x)
    return readout(gated, graph, self.num_outputs, self.features, self.dropout, train)


class GINE(nn.Module):
  """Graph isomorphism network with edges: MLP((1 + eps) h + sum of relu(h + e)) (Hu et al. 2020), layers normalised,
  each added to its input.

  Attributes:
    node_sizes, edge_sizes, num_outputs, features, dropout: as `MPNN`.
    steps: layers.
  """

  node_sizes: Sequence[int]
  edge_sizes: Sequence[int]
  num_outputs: int
  features: int = 64
  steps: int = 4
  dropout: float = 0.0

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> Float[Array, "graph output"]:
    x = Categories(self.node_sizes, self.features, name="atoms")(graph.nodes)
    for i in range(self.steps):
      bonds = Categories(self.edge_sizes, self.features, name=f"bonds_{i}")(graph.edges)
      message = segment_sum(nn.relu(x[graph.senders] + bonds), graph.receivers, graph.num_nodes)
      y = (1 + self.param(f"eps_{i}", nn.initializers.zeros, ())) * x + message
      y = nn.relu(nn.LayerNorm()(nn.Dense(2 * self.features)(y)))
      x = x + nn.relu(nn.LayerNorm()(nn.Dense(self.features)(y)))
    return readout(x, graph, self.num_outputs, self.features, self.dropout, train)


def readout(
  x: Float[Array, "node feature"], graph: Graph, num_outputs: int, features: int, dropout: float, train: bool
) -> Float[Array, "graph output"]:
  """Sum and mean over every graph, then a hidden layer; within a module's compact method."""
  ids = jnp.asarray(graph.graph)
  total = segment_sum(x, ids, graph.num_graphs)
  count = segment_sum(jnp.ones((len(x), 1)), ids, graph.num_graphs)
  pooled = jnp.concatenate([total / 10, total / jnp.maximum(count, 1)], -1)
  pooled = layers.Dropout(dropout)(pooled, train)
  hidden = nn.relu(nn.Dense(2 * features)(pooled))
  hidden = layers.Dropout(dropout)(hidden, train)
  return layers.logits_layer(num_outputs)(hidden)
