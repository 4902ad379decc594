"""Networks on graphs: messages along edges, summed by receiver (graph convolution, attention, isomorphism networks).

Each is `(graph, train) -> [node, output]`.  The whole graph stands on every device, so what is random is drawn for the
whole graph, the same everywhere, and not by example.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research.graphs.graph import Graph, SparseRows
from research.graphs.products import symmetric_product
from research.graphs.segments import segment_max, segment_mean, segment_softmax, segment_sum
from research.networks import layers

Nodes = Float[Array, "node feature"]
Output = Float[Array, "node output"]
glorot = nn.initializers.glorot_uniform()


class Dropout(nn.Module):
  """Dropout of every number of the whole graph; of `SparseRows` only what is not 0 needs to be drawn."""

  rate: float

  @nn.compact
  def __call__(self, x, train: bool):
    if not train or self.rate == 0:
      return x
    if isinstance(x, SparseRows):
      return x.replace(values=self._dropped(x.values))
    return self._dropped(x)

  def _dropped(self, x):
    kept = jax.random.bernoulli(self.make_rng("dropout"), 1 - self.rate, x.shape)
    return jnp.where(kept, x / (1 - self.rate), 0).astype(x.dtype)


class Dense(nn.Module):
  """x W + b, of dense features or of `SparseRows`."""

  features: int
  use_bias: bool = True
  kernel_init: Callable = glorot

  @nn.compact
  def __call__(self, x) -> Nodes:
    kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
    if isinstance(x, SparseRows):
      y = segment_sum(x.values[:, None] * kernel[x.columns], x.rows, x.shape[0])
    else:
      y = x @ kernel
    return y + self.param("bias", nn.initializers.zeros, (self.features,)) if self.use_bias else y


def propagate(graph: Graph, x: Nodes) -> Nodes:
  """A x, with the adjacency matrix of `graph.weight`."""
  weight = jnp.asarray(graph.weight)
  return segment_sum(weight[:, None] * x[graph.senders], graph.receivers, graph.num_nodes)


class GCN(nn.Module):
  """Graph convolutions A relu(A x W) W' (Kipf & Welling 2017, equation 9); the graph has self loops and weights.

  Attributes:
    features: widths of the hidden layers.
    num_outputs: of the last.
    dropout: rate in front of every layer.
  """

  features: Sequence[int]
  num_outputs: int
  dropout: float = 0.0

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> Output:
    x = graph.nodes
    for i, width in enumerate((*self.features, self.num_outputs)):
      x = Dropout(self.dropout)(x, train)
      x = propagate(graph, Dense(width, use_bias=False)(x))
      x = x + self.param(f"bias_{i}", nn.initializers.zeros, (width,))
      x = nn.relu(x) if i < len(self.features) else x
    return x


class SAGE(nn.Module):
  """GraphSAGE: x W + aggregate(neighbours) W' (Hamilton, Ying & Leskovec 2017, algorithm 1).

  Attributes:
    features, num_outputs, dropout: as `GCN`.
    aggregate: `mean`, `max` (of a layer of its own, equation 3) or `sum`.
  """

  features: Sequence[int]
  num_outputs: int
  dropout: float = 0.0
  aggregate: str = "mean"

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> Output:
    x = graph.nodes
    pool = {"mean": segment_mean, "max": segment_max, "sum": segment_sum}[self.aggregate]
    for i, width in enumerate((*self.features, self.num_outputs)):
      x = Dropout(self.dropout)(x, train)
      own = Dense(width, name=f"own_{i}")(x)
      if self.aggregate == "max":
        message = nn.relu(Dense(width, name=f"pool_{i}")(x))
        others = Dense(width, False, name=f"neighbours_{i}")(pool(message[graph.senders], graph.receivers, len(own)))
      else:  # the mean of the neighbours' products is the product of their mean
        message = Dense(width, False, name=f"neighbours_{i}")(x)
        others = pool(message[graph.senders], graph.receivers, graph.num_nodes)
      x = own + others
      x = nn.relu(x) if i < len(self.features) else x
    return x


class GAT(nn.Module):
  """Graph attention, heads side by side, their mean at the end (Velickovic et al. 2018); the graph has self loops.

  Attributes:
    features: width of each head of the hidden layers.
    num_outputs: of the last layer.
    heads: of the hidden layers.
    output_heads: of the last.
    dropout: rate of the features in front of every layer, and of the attention.
    dynamic: GATv2 (Brody, Alon & Yahav 2022, equation 7): the non-linearity stands before the vector of attention.
  """

  features: Sequence[int]
  num_outputs: int
  heads: int = 8
  output_heads: int = 1
  dropout: float = 0.0
  dynamic: bool = False

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> Output:
    x = graph.nodes
    for i, width in enumerate(self.features):
      x = Attention(width, self.heads, self.dropout, self.dynamic, name=f"layer_{i}")(graph, x, train)
      x = nn.elu(x.reshape(len(x), -1))
    last = Attention(self.num_outputs, self.output_heads, self.dropout, self.dynamic, name="output")
    return last(graph, x, train).mean(1)


class Attention(nn.Module):
  """One layer of `GAT`, [node, head, feature]; its bias is added to all heads."""

  features: int
  heads: int
  dropout: float
  dynamic: bool

  @nn.compact
  def __call__(self, graph: Graph, x, train: bool) -> Float[Array, "node head feature"]:
    x = Dropout(self.dropout)(x, train)
    values = Dense(self.heads * self.features, use_bias=False, name="values")(x)
    values = values.reshape(-1, self.heads, self.features)
    attention = self.attention(graph, x, values)
    self.sow("intermediates", "attention", attention)
    attention = Dropout(self.dropout)(attention, train)
    messages = attention[..., None] * values[graph.senders]
    bias = self.param("bias", nn.initializers.zeros, (self.heads, self.features))
    return segment_sum(messages, graph.receivers, graph.num_nodes) + bias

  def attention(self, graph: Graph, x, values) -> Float[Array, "edge head"]:
    """The weights of the edges into each node, which sum to 1 (equation 3)."""
    shape = (self.heads, self.features)
    # Each head's vector a = [source, target] of 2 x features numbers into one.
    init = nn.initializers.variance_scaling(1.0, "fan_avg", "uniform", in_axis=1, out_axis=2, batch_axis=0)
    vector = lambda key, shape: init(key, (*shape, 1))[..., 0]
    source = self.param("source", vector, shape)
    at = jnp.minimum(graph.receivers, graph.num_nodes - 1)
    if self.dynamic:
      targets = Dense(self.heads * self.features, use_bias=False, name="targets")(x).reshape(values.shape)
      logits = (nn.leaky_relu(values[graph.senders] + targets[at], 0.2) * source).sum(-1)
    else:
      target = self.param("target", vector, shape)
      logits = (values * source).sum(-1)[graph.senders] + (values * target).sum(-1)[at]
      logits = nn.leaky_relu(logits, 0.2)
    return segment_softmax(logits, graph.receivers, graph.num_nodes)


class GIN(nn.Module):
  """MLP((1 + eps) x + sum of the neighbours) (Xu et al. 2019, equation 4.1), as strong as the 1-Weisfeiler-Lehman test.

  Attributes:
    features: widths of the layers, each an MLP of one hidden layer of that width.
    num_outputs: of a last linear layer.
    dropout: rate in front of it.
  """

  features: Sequence[int]
  num_outputs: int
  dropout: float = 0.0

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> Output:
    x = graph.nodes
    for i, width in enumerate(self.features):
      eps = self.param(f"eps_{i}", nn.initializers.zeros, ())
      # The first layer of the MLP is linear: it may stand before the sum, where features are wide and sparse.
      y = Dense(width, use_bias=False, name=f"first_{i}")(x)
      y = (1 + eps) * y + segment_sum(y[graph.senders], graph.receivers, graph.num_nodes)
      y = nn.relu(y + self.param(f"bias_{i}", nn.initializers.zeros, (width,)))
      x = nn.relu(Dense(width, name=f"second_{i}")(y))
    return Dense(self.num_outputs)(Dropout(self.dropout)(x, train))


class APPNP(nn.Module):
  """Predict, then propagate by personalised PageRank (Gasteiger et al. 2019, equation 5); self loops and weights.

  Attributes:
    features, num_outputs, dropout: of the MLP; dropout of the edges too, anew at every step of the propagation.
    steps: of the propagation; 0 is an MLP that sees no graph.
    teleport: alpha, the share of the prediction that enters at every step.
  """

  features: Sequence[int]
  num_outputs: int
  dropout: float = 0.0
  steps: int = 10
  teleport: float = 0.1

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> Output:
    x = graph.nodes
    for width in self.features:
      x = nn.relu(Dense(width)(Dropout(self.dropout)(x, train)))
    start = x = Dense(self.num_outputs)(Dropout(self.dropout)(x, train))
    for _ in range(self.steps):
      dropped = dataclasses.replace(graph, weight=Dropout(self.dropout)(graph.weight, train))
      x = (1 - self.teleport) * propagate(dropped, x) + self.teleport * start
    return x


class GRAND(nn.Module):
  """Random propagation: an MLP of the mean of x, A x, ..., A^K x, nodes dropped whole (Feng et al. 2020, section 3.1).

  Dropout of the inputs stands before the propagation here, and behind it in the paper: then the first layer, being
  linear, stands before it too, and 32 numbers a node are propagated in place of 1,433.

  Attributes:
    features, num_outputs: of the MLP.
    node_dropout: delta, the share of nodes whose features are all set to 0.
    input_dropout, dropout: rates of the inputs and of the hidden layers.
    steps: K.
  """

  features: Sequence[int]
  num_outputs: int
  node_dropout: float = 0.5
  input_dropout: float = 0.5
  dropout: float = 0.5
  steps: int = 8

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> Output:
    x = Dropout(self.input_dropout)(graph.nodes, train)
    x = Dense(self.features[0], use_bias=False)(x)
    x = x * Dropout(self.node_dropout)(jnp.ones((graph.num_nodes, 1)), train)
    total = x
    for _ in range(self.steps):
      x = propagate(graph, x)
      total = total + x
    x = total / (self.steps + 1) + self.param("bias", nn.initializers.zeros, (self.features[0],))
    for width in self.features[1:]:
      x = Dense(width)(Dropout(self.dropout)(nn.relu(x), train))
    return Dense(self.num_outputs)(Dropout(self.dropout)(nn.relu(x), train))


class LightGCN(nn.Module):
  """A vector of each node, and the mean of it and of its propagations (He et al. 2020, equations 3 and 4).

  Every edge of its graph stands in both directions, with the same weight.

  Attributes:
    num_nodes: users and items.
    features: of a vector.
    steps: of the propagation, without weights to learn; 0 is matrix factorisation.
  """

  num_nodes: int
  features: int = 64
  steps: int = 3

  @nn.compact
  def __call__(self, graph: Graph, train: bool) -> tuple[Nodes, Nodes]:
    del train
    own = x = total = self.param("vectors", nn.initializers.normal(0.1), (self.num_nodes, self.features))
    for _ in range(self.steps):
      x = symmetric_product(graph, x)
      total = total + x
    return total / (self.steps + 1), own


class SampledSAGE(nn.Module):
  """GraphSAGE, means over sampled neighbourhoods (Hamilton et al. 2017, algorithm 2): a tree of nodes for each row.

  Attributes:
    fan_outs: neighbours of a node, of each of these their own, and so on.
    features: width of the hidden layers, of which there are as many as fan-outs, less one.
    num_outputs: of the last layer.
    dropout: rate in front of every layer.
  """

  fan_outs: Sequence[int]
  features: int
  num_outputs: int
  dropout: float = 0.0

  @nn.compact
  def __call__(self, x: Float[Array, "row node feature"], train: bool) -> Float[Array, "row output"]:
    sizes = [math.prod(self.fan_outs[:i]) for i in range(len(self.fan_outs) + 1)]
    edges = list(itertools.accumulate(sizes, initial=0))
    levels = [x[:, a:b] for a, b in itertools.pairwise(edges)]
    for i in range(len(self.fan_outs)):
      last = i + 1 == len(self.fan_outs)
      width = self.num_outputs if last else self.features
      own, others = nn.Dense(width, name=f"own_{i}"), nn.Dense(width, use_bias=False, name=f"neighbours_{i}")
      levels = [layers.Dropout(self.dropout)(level, train) for level in levels]
      pooled = [
        below.reshape(*level.shape[:2], fan_out, -1).mean(2)
        for level, below, fan_out in zip(levels, levels[1:], self.fan_outs)
      ]
      levels = [own(level) + others(mean) for level, mean in zip(levels, pooled)]
      levels = levels if last else [nn.relu(level) for level in levels]
    return levels[0][:, 0]
