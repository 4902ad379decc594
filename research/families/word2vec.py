"""Vectors of words from the words around them: skip-gram and CBOW (Mikolov et al. 2013a), by negative sampling or a
hierarchical softmax over a Huffman tree (2013b), with vectors of subwords as a variant (Bojanowski et al. 2017).

Where N noise words are drawn a step and each predicted word is to have k, every one of them stands for k / N, so that
the expected gradient is that of k words drawn for each prediction alone (Ji et al. 2016 share them over a window).
A noise word that is the predicted one is passed over, as word2vec.c does.
"""

import dataclasses
import heapq

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.data import contexts
from research.metrics import Mean

DEFINITIONS = {
  "nll": "loss of a predicted word given one word of its context (skip-gram) or their mean (CBOW): minus its"
  " log-probability by the tree, or what negative sampling has in its place; nats",
}


@struct.dataclass
class Tree:
  """A binary tree of words: on the way from the root to a word, the nodes and which way it turns.

  Attributes:
    nodes: inner nodes by number, the root is the last; -1 behind the end.
    turns: +1 to the left child, -1 to the right one; 0 behind the end.
  """

  nodes: Int[Array | np.ndarray, "word depth"]
  turns: Float[Array | np.ndarray, "word depth"]


@struct.dataclass
class Noise:
  """A distribution of words in the form that draws from it take constant time by (the alias method, Walker 1977).

  Attributes:
    threshold: how much of the chance of place i is that of word i itself.
    alias: the word that the rest of place i is of.
  """

  threshold: Float[Array | np.ndarray, " word"]
  alias: Int[Array | np.ndarray, " word"]


def huffman(counts: Int[np.ndarray, " word"]) -> Tree:
  """The tree of least mean depth, words weighed by their counts (Huffman 1952); ties go to the older node."""
  words = len(counts)
  heap = [(int(count), i) for i, count in enumerate(counts)]
  heapq.heapify(heap)
  parent, turn = np.zeros(2 * words - 1, np.int64), np.zeros(2 * words - 1, np.float32)
  for node in range(words, 2 * words - 1):
    (one, left), (other, right) = heapq.heappop(heap), heapq.heappop(heap)
    parent[[left, right]], turn[[left, right]] = node, (1, -1)
    heapq.heappush(heap, (one + other, node))
  ways = []
  for word in range(words):
    way, node = [], word
    while node < 2 * words - 2:
      way.append((parent[node] - words, turn[node]))
      node = parent[node]
    ways.append(way[::-1])
  depth = max(map(len, ways))
  nodes, turns = np.full((words, depth), -1, np.int32), np.zeros((words, depth), np.float32)
  for word, way in enumerate(ways):
    nodes[word, : len(way)], turns[word, : len(way)] = zip(*way)
  return Tree(nodes, turns)


def noise(counts: Int[np.ndarray, " word"], power: float = 0.75) -> Noise:
  """Words by their counts to a power (Mikolov et al. 2013b, section 2.2: 3/4)."""
  share = counts.astype(np.float64) ** power
  share *= len(share) / share.sum()
  alias, threshold = np.arange(len(share), dtype=np.int32), np.ones(len(share))
  small, large = list(np.flatnonzero(share < 1)), list(np.flatnonzero(share >= 1))
  while small and large:
    one, other = small.pop(), large[-1]
    threshold[one], alias[one] = share[one], other
    share[other] -= 1 - share[one]
    if share[other] < 1:
      small.append(large.pop())
  return Noise(threshold.astype(np.float32), alias)


def draw(noise: Noise, key: Key[Array, ""], count: int) -> Int[Array, " count"]:
  """Words of the distribution."""
  place, within = jax.random.split(key)
  place = jax.random.randint(place, (count,), 0, len(noise.alias))
  return jnp.where(jax.random.uniform(within, (count,)) < noise.threshold[place], place, noise.alias[place])


@dataclasses.dataclass(frozen=True)
class Word2Vec:
  """The family; its methods are what `sparse.sparse_learner` asks for.

  A batch is one of `research.data.contexts`, with `tree` or `noise` beside its rows, and `subwords` where `buckets`.

  Attributes:
    words: in the vocabulary.
    features: of a vector.
    cbow: whether the mean of a context predicts its word, else each word of it does alone.
    negatives: noise words for each predicted word; 0: the hierarchical softmax.
    noise_words: noise words that are drawn a step.
    corrected: whether the gradient of a mean is divided among the vectors that it is of (İrsoy et al. 2021);
      word2vec.c, gensim and fastText give each of them the whole.
    buckets: vectors of subwords, behind those of words; 0 for none.
  """

  words: int
  features: int
  cbow: bool = False
  negatives: int = 5
  noise_words: int = 64
  corrected: bool = False
  buckets: int = 0

  def init(self, key: Key[Array, ""], batch) -> dict[str, Float[Array, "id feature"]]:
    """Inputs even in ±1/(2 features), outputs 0, as in word2vec.c."""
    del batch
    rows = self.words + self.buckets
    inputs = jax.random.uniform(key, (rows, self.features), minval=-0.5, maxval=0.5) / self.features
    outputs = self.words if self.negatives else self.words - 1
    return {"inputs": inputs, "outputs": jnp.zeros((outputs, self.features))}

  def ids(self, batch, key: Key[Array, ""]) -> dict[str, Int[Array, "..."]]:
    """Rows of the two tables that a batch needs; of the outputs those of its words first, then of the noise."""
    word = batch["word"]
    inputs = batch["subwords"][word] if self.buckets else word
    if not self.negatives:
      return {"inputs": inputs, "outputs": batch["tree"].nodes[word]}
    return {"inputs": inputs, "outputs": jnp.concatenate([word.ravel(), self._noise(batch, key)])}

  def _noise(self, batch, key) -> Int[Array, " drawn"]:
    return draw(batch["noise"], randomness.stream_key(key, "noise"), self.noise_words)  # the same on every device

  def loss(self, rows, batch, key: Key[Array, ""]):
    """The sum over all predictions, and the number of rows: of full batches the gradient is the sum over predictions
    too, whatever their number, if the learning rate is that of one prediction times the rows."""
    inputs, context = rows["inputs"], batch["context"]
    if self.buckets:
      inputs = self._mean(inputs, (batch["subwords"][batch["word"]] >= 0).astype(inputs.dtype))
    if self.cbow:
      inputs, context = jax.vmap(self._mean_of_contexts)(inputs, context)
    if self.negatives:
      total = self._negative_sampling(inputs, rows["outputs"], context, batch, key)
    else:
      total = _hierarchical(inputs, rows["outputs"], context, batch["tree"].turns[batch["word"]])
    return Mean(total, batch["mask"].sum()), {"nll": Mean(total, context.sum())}

  def _mean(self, vectors: Float[Array, "*batch n feature"], weight: Float[Array, "*batch n"]):
    return self._undivided((weight[..., None] * vectors).sum(-2), weight.sum(-1)[..., None])

  def _mean_of_contexts(self, inputs: Float[Array, "slot feature"], context: Float[Array, "block own around"]):
    """Each slot's mean, which is then its whole context: blocks of one slot with nothing around it."""
    total = context @ _around(inputs, context)
    mean = self._undivided(total, context.sum(-1)[..., None])
    return mean.reshape(inputs.shape), context.max(-1).reshape(-1, 1, 1)

  def _undivided(self, total, count):
    """`total / count`, whose gradient, unless corrected, is that of `total`."""
    mean = total / jnp.maximum(count, 1)
    return mean if self.corrected else total + jax.lax.stop_gradient(mean - total)

  def _negative_sampling(self, inputs, outputs, context, batch, key):
    """Mikolov et al. 2013b, equation 4; `inputs` [row, slot, feature] predict the words that `context` says."""
    word, negative_words = batch["word"], self._noise(batch, key)
    targets = outputs[: word.size].reshape(inputs.shape)
    other = (word[..., None] != negative_words).astype(inputs.dtype)
    negative = _softplus(inputs @ outputs[word.size :].T)
    if self.cbow:
      context = context[..., 0, 0]
      positive, weight = _softplus(-(targets * inputs).sum(-1)), context[..., None] * other
    else:
      positive = _softplus(-jax.vmap(_scores)(targets, inputs, context))
      weight = jax.vmap(_pairs_of_inputs)(context, other)
    return (context * positive).sum() + self.negatives / self.noise_words * (weight * negative).sum()

  def evaluate(self, tables, batch):
    """The loss of a batch, its noise drawn by a constant key."""
    key = jax.random.key(0)
    named = self.ids(batch, key)
    rows = {name: _rows(tables[name], ids) for name, ids in named.items()}
    return self.loss(rows, batch, key)[1]

  def vectors(self, tables) -> Float[Array, "word feature"]:
    """Of the words, as they stand in the table; with subwords see `subword_vectors`."""
    return tables["inputs"][: self.words]


def _hierarchical(inputs, outputs, context, turns):
  """Minus the log-probability of each word by its way through the tree (Mikolov et al. 2013b, equation 3)."""
  depth, (block, near) = turns.shape[-1], context.shape[-2:]
  nodes = outputs.reshape(outputs.shape[0], -1, outputs.shape[-1])  # of a slot one after the other
  score = jax.vmap(_scores)(nodes, inputs, context)
  score = score.reshape(*context.shape[:2], block, depth, near)
  turns = turns.reshape(*context.shape[:2], block, depth, 1)
  return (context[..., None, :] * jnp.abs(turns) * _softplus(-score * turns)).sum()


def _scores(outputs, inputs, context) -> Float[Array, "block outputs around"]:
  """Products of what is of each block's own slots with the inputs around it."""
  return outputs.reshape(len(context), -1, outputs.shape[-1]) @ _around(inputs, context).swapaxes(1, 2)


def _around(inputs: Float[Array, "slot feature"], context: Float[Array, "block own around"]):
  block, near = context.shape[1:]
  return contexts.around(inputs, block, (near - block) // 2)


def _pairs_of_inputs(
  context: Float[Array, "block own around"], of_targets: Float[Array, "slot drawn"]
) -> Float[Array, "slot drawn"]:
  """For each input the sum of `of_targets` over the words that it predicts."""
  around = lambda inputs: _around(inputs, context)
  given = context.swapaxes(1, 2) @ of_targets.reshape(len(context), -1, of_targets.shape[-1])
  return jax.linear_transpose(around, of_targets)(given)[0]


@jax.custom_jvp
def _softplus(x):
  """log(1 + e^x), by fewer operations than `jax.nn.softplus`, as exact where what is summed is not tiny."""
  return jnp.maximum(x, 0) + jnp.log(1 + jnp.exp(-jnp.abs(x)))


@_softplus.defjvp
def _softplus_jvp(primals, tangents):
  return _softplus(*primals), jax.nn.sigmoid(*primals) * tangents[0]


def _rows(table, ids):
  real = (ids >= 0) & (ids < len(table))
  return jnp.where(real[..., None], table[jnp.where(real, ids, 0)], 0)
