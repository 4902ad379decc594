"""A graph, or many in one, as a tree of arrays of static shapes; edges are sorted by the node that receives."""

import dataclasses
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from research.errors import UserError


@struct.dataclass
class SparseRows:
  """A matrix of which few entries are not 0, such as words of documents: row by row.

  Attributes:
    values, rows, columns: of the entries, [entry]; rows ascend.
    shape: of the matrix.
  """

  values: Float[Array, " entry"]
  rows: Int[Array, " entry"]
  columns: Int[Array, " entry"]
  shape: tuple[int, int] = struct.field(pytree_node=False)

  def dense(self) -> Float[Array, "row column"]:
    return jnp.zeros(self.shape, jnp.float32).at[self.rows, self.columns].add(self.values)


@struct.dataclass
class Graph:
  """Nodes and directed edges; an undirected edge is two.  Padding is at the end of either.

  Attributes:
    nodes: features [node, feature], dense or `SparseRows`; or int32 [node, field], numbers of categories.
    senders, receivers: int32 [edge], receivers ascend.  A padding edge has the receiver `num_nodes`, which no sum
      counts, and the sender 0.
    edges: features of edges [edge, ...], or None.
    weight: of every edge [edge], for networks that propagate by fixed weights (`symmetric_weights`), or None.
    graph: int32 [node], which graph of a batch a node belongs to, ascending; `num_graphs` is padding.  None: one graph.
    num_graphs: graphs in a batch, padding included.
  """

  nodes: Any
  senders: Int[Array, " edge"]
  receivers: Int[Array, " edge"]
  edges: Any = None
  weight: Float[Array, " edge"] | None = None
  graph: Int[Array, " node"] | None = None
  num_graphs: int = struct.field(pytree_node=False, default=1)

  @property
  def num_nodes(self) -> int:
    return self.nodes.shape[0]

  @property
  def edge_mask(self) -> Bool[Array, " edge"]:
    return self.receivers < self.num_nodes


def from_edges(
  nodes: Any,
  edges: Int[np.ndarray, "2 edge"],
  *,
  features: np.ndarray | None = None,
  undirected: bool = False,
  self_loops: str = "remove",
  name: str = "graph",
) -> Graph:
  """A graph of senders and receivers in any order, on the host.

  Duplicate edges become one, with the features of the first; nodes without edges are allowed.

  Args:
    nodes: as `Graph.nodes`.
    edges: senders and receivers.
    features: of the edges, [edge, ...].
    undirected: add the reverse of every edge, with the same features.
    self_loops: `remove`; `add`, one to every node, whatever there was, features 0; or `keep`.
    name: for messages.

  Raises:
    UserError: an edge to a node that is not there, or features of another length.
  """
  count, (senders, receivers) = nodes.shape[0], np.asarray(edges, np.int64).reshape(2, -1)
  outside = (senders < 0) | (senders >= count) | (receivers < 0) | (receivers >= count)
  if outside.any():
    first = int(outside.argmax())
    remedy = f"there are nodes 0 to {count - 1} alone: remove the edge, or add the node."
    raise UserError(f"{name}: edge {first}", (int(senders[first]), int(receivers[first])), remedy)
  if features is not None and len(features) != len(senders):
    raise UserError(f"{name}: edge features", len(features), f"give one row to each of the {len(senders)} edges.")
  place = np.arange(len(senders))
  if undirected:
    senders, receivers = np.concatenate([senders, receivers]), np.concatenate([receivers, senders])
    place = np.concatenate([place, place])
  if self_loops != "keep":
    kept = senders != receivers
    senders, receivers, place = senders[kept], receivers[kept], place[kept]
  _, first = np.unique(receivers * count + senders, return_index=True)  # which sorts by receiver
  senders, receivers, place = senders[first], receivers[first], place[first]
  if self_loops == "add":
    loops = np.arange(count)
    senders, receivers = np.concatenate([senders, loops]), np.concatenate([receivers, loops])
    place = np.concatenate([place, np.full(count, -1)])
    order = np.lexsort((senders, receivers))
    senders, receivers, place = senders[order], receivers[order], place[order]
  if features is not None:
    features = np.where((place >= 0).reshape(-1, *[1] * (features.ndim - 1)), features[place], 0)
  ends: Any = senders.astype(np.int32), receivers.astype(np.int32)  # of the host, until they are placed
  return Graph(nodes, ends[0], ends[1], features)


def symmetric_weights(graph: Graph) -> Graph:
  """The graph with the weights 1 / sqrt(degree of sender x degree of receiver), degrees as the edges stand.

  With a self loop at every node it is the renormalised adjacency of Kipf & Welling 2017, equation 2.
  """
  senders, receivers, count = np.asarray(graph.senders), np.asarray(graph.receivers), graph.num_nodes
  real = receivers < count
  incoming = np.bincount(receivers[real], minlength=count)
  outgoing = np.bincount(senders[real], minlength=count)
  product = outgoing[senders].astype(np.float64) * incoming[np.minimum(receivers, count - 1)]
  return dataclasses.replace(graph, weight=np.where(real, 1 / np.sqrt(np.maximum(product, 1)), 0).astype(np.float32))


def padded(graph: Graph, num_nodes: int, num_edges: int) -> Graph:
  """The graph with padding nodes and edges up to these numbers; on the host.

  Raises:
    ValueError: it has more.
  """
  nodes, edges = num_nodes - graph.num_nodes, num_edges - len(graph.senders)
  if nodes < 0 or edges < 0:
    raise ValueError(f"{graph.num_nodes} nodes and {len(graph.senders)} edges exceed {num_nodes} and {num_edges}")
  fill = lambda x, more, value=0: np.pad(x, [(0, more)] + [(0, 0)] * (np.ndim(x) - 1), constant_values=value)
  features = graph.nodes
  if isinstance(features, SparseRows):
    features = dataclasses.replace(features, shape=(num_nodes, features.shape[1]))
  else:
    features = fill(features, nodes)
  # Edges that were padding before stay so: they point beyond the nodes that are now there.
  receivers = np.where(graph.edge_mask, graph.receivers, num_nodes)
  ids = np.zeros(graph.num_nodes, np.int32) if graph.graph is None else graph.graph
  return dataclasses.replace(
    graph,
    nodes=features,
    senders=fill(graph.senders, edges),
    receivers=fill(receivers, edges, num_nodes).astype(np.int32),
    edges=None if graph.edges is None else fill(graph.edges, edges),
    weight=None if graph.weight is None else fill(graph.weight, edges),
    graph=fill(ids, nodes, graph.num_graphs).astype(np.int32),
  )


def divisible(graph: Graph, by: int = 16) -> Graph:
  """The graph with padding edges up to a multiple: what so many devices can each hold a part of, by receiver."""
  more = -len(graph.senders) % by
  fill = lambda x, value=0: np.pad(x, [(0, more)] + [(0, 0)] * (np.ndim(x) - 1), constant_values=value)
  return dataclasses.replace(
    graph,
    senders=fill(graph.senders),
    receivers=fill(graph.receivers, graph.num_nodes),
    edges=None if graph.edges is None else fill(graph.edges),
    weight=None if graph.weight is None else fill(graph.weight),
  )


def row_normalised(features: SparseRows) -> SparseRows:
  """Every row divided by its sum; rows of zeros stay."""
  total = np.bincount(features.rows, features.values, features.shape[0])[features.rows]
  return dataclasses.replace(features, values=(features.values / np.where(total == 0, 1, total)).astype(np.float32))


def neighbours(graph: Graph) -> tuple[Int[np.ndarray, " node+1"], Int[np.ndarray, " edge"]]:
  """(starts, senders): the senders of the edges into node v are `senders[starts[v]:starts[v + 1]]`; on the host."""
  degrees = np.bincount(np.asarray(graph.receivers)[np.asarray(graph.edge_mask)], minlength=graph.num_nodes)
  starts = np.concatenate([[0], np.cumsum(degrees)]).astype(np.int32)
  return starts, np.asarray(graph.senders)[: starts[-1]]
