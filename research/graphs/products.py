"""The product of a graph's weights with features where they are many: 20 times as fast on CPU as a sum of segments.

On two CPU cores 64 features over the 196,228 edges of MovieLens take 1.4 ms in place of 26, gradients likewise; over
the 13,264 of Cora there is little between them (`research.graphs.segments`).
"""

import jax
import jax.numpy as jnp
from jax.experimental import sparse
from jaxtyping import Array, Float, Int

from research.graphs.graph import Graph
from research.graphs.segments import segment_sum

Nodes = Float[Array, "node feature"]


def symmetric_product(graph: Graph, x: Nodes) -> Nodes:
  """A x, with the matrix A of `graph.weight`, which must be symmetric: every edge both ways, with the same weight.

  So its own transpose: the gradient is the same product, and nothing is scattered in the order of senders.
  """
  return _product(jnp.asarray(graph.weight), graph.senders, graph.receivers, x)


@jax.custom_vjp
def _product(weight: Float[Array, " edge"], senders: Int[Array, " edge"], receivers: Int[Array, " edge"], x: Nodes):
  return jax.lax.platform_dependent(weight, senders, receivers, x, cpu=_by_rows, default=_by_segments)


def _by_rows(weight, senders, receivers, x):
  """Compressed rows: those of receiver v are `starts[v]` to `starts[v + 1]`; padding lies after the last."""
  count = len(x)
  starts = jnp.searchsorted(receivers, jnp.arange(count + 1)).astype(jnp.int32)
  return sparse.BCSR((weight, senders, starts), shape=(count, count)) @ x


def _by_segments(weight, senders, receivers, x):
  return segment_sum(weight[:, None] * x[senders], receivers, len(x))


def _forward(weight, senders, receivers, x):
  return _product(weight, senders, receivers, x), (weight, senders, receivers)


def _backward(kept, gradient):
  return None, None, None, _product(*kept, gradient)  # weights are no parameters


_product.defvjp(_forward, _backward)
