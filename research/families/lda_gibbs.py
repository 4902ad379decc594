"""Latent Dirichlet allocation by Gibbs sampling, documents' shares integrated out (Griffiths & Steyvers 2004).

Topics are drawn, not integrated out too: given them documents are independent, so that all are swept at once and on
several devices, and the chain's distribution is the posterior all the same (Magnusson et al. 2018, the partially
collapsed sampler; a sampler that integrates topics out must go through all words of all documents one by one).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.scipy.special import digamma
from jaxtyping import Array, Float, Int

from research import axes, randomness
from research.families import lda
from research.families.lda import Topics
from research.metrics import Mean

PADDING = -1


@struct.dataclass
class Chain:
  """Where the sampler is.

  Attributes:
    assigned: the topic of each word of each document; of padding anything.
    topics: their parameters of the words' Dirichlet given `assigned`, and the priors: what is evaluated before anything
      has been averaged.
    total: of the parameters over the sweeps that are averaged.
    moves, kept: sweeps done, and averaged.
  """

  assigned: Int[Array, "document place"]
  topics: Topics
  total: Float[Array, "topic word"]
  moves: Int[Array, ""]
  kept: Int[Array, ""]


class Sampler(NamedTuple):
  """What `transitions.transition_learner` asks of a family; `topics(chain)`: the mean of those averaged."""

  init: Callable
  move: Callable
  evaluate: Callable
  topics: Callable[[Chain], Topics]


def places(
  words: Int[np.ndarray, "document place"], counts: Float[np.ndarray, "document place"], length: int = 1
) -> Int[np.ndarray, "document occurrence"]:
  """Every occurrence of a word of each document in turn, by `words` and how often each, then `PADDING`.

  Args:
    words, counts: of the documents.
    length: occurrences of a row, at least; the longest document has a row of its own length otherwise.
  """
  lengths = counts.sum(1).astype(int)
  tokens = np.full((len(counts), max(int(lengths.max(initial=0)), length)), PADDING, np.int32)
  for row, (of_row, often) in enumerate(zip(words, counts.astype(int))):
    tokens[row, : lengths[row]] = np.repeat(of_row, often)
  return tokens


def sampler(
  num_topics: int,
  num_words: int,
  *,
  alpha: float = 0.0,
  eta: float = 0.0,
  learn_priors: bool = True,
  burn_in: int = 50,
  iterations: int = 100,
) -> Sampler:
  """A batch holds all documents in an order that stays: `words` of `places`, `mask`; evaluation is `lda.lda`'s.

  Args:
    num_topics, num_words: K, and the size of the vocabulary.
    alpha, eta: priors at the start; 0: one over the number of topics.
    learn_priors: whether they are moved by a step of Minka's fixed point after each sweep (Wallach et al. 2009).
    burn_in: sweeps before the first that is averaged.
    iterations: of the inference of a document that is evaluated, at most.
  """
  first = lambda value: value or 1 / num_topics
  evaluation = lda.lda(num_topics, num_words, iterations=iterations)

  def init(key, batch):
    words = batch["words"]
    assigned = jax.random.randint(key, words.shape, 0, num_topics)
    counts = _counts(assigned, words, batch["mask"], num_topics, num_words)
    topics = Topics(first(eta) + counts, jnp.full(num_topics, first(alpha)), jnp.asarray(first(eta), jnp.float32))
    zero = jnp.zeros((), jnp.int32)
    return Chain(assigned, topics, jnp.zeros_like(counts), zero, zero)

  def move(chain: Chain, batch, key):
    words, mask, old = batch["words"], batch["mask"], chain.topics
    log_topics = jnp.log(jax.random.gamma(randomness.stream_key(key, "topics"), old.weights) + 1e-30)
    probabilities = jax.nn.softmax(log_topics, -1)
    keys = randomness.example_keys(randomness.stream_key(key, "words"), len(words))
    uniform = jax.vmap(lambda key: jax.random.uniform(key, words.shape[1:]))(keys)
    assigned, shares = sweep(probabilities, old.alpha, words, axes.mine(chain.assigned), uniform)
    counts = axes.psum(_counts(assigned, words, mask, num_topics, num_words))
    topics = Topics(old.eta + counts, old.alpha, old.eta)
    if learn_priors:
      new = fixed_point(old.alpha, shares, mask)
      eta_of = fixed_point_symmetric(old.eta, counts)
      topics = Topics(eta_of + counts, new, eta_of)
    keep = chain.moves >= burn_in
    total = chain.total + jnp.where(keep, topics.weights, 0)
    present = (words >= 0) * mask[:, None]
    probability = jnp.take_along_axis(probabilities.T[jnp.maximum(words, 0)], assigned[..., None], -1)[..., 0]
    metrics = {"word_log_probability": Mean((present * jnp.log(probability + 1e-30)).sum(), present.sum())}
    return Chain(axes.whole(assigned), topics, total, chain.moves + 1, chain.kept + keep), metrics

  def topics_of(chain: Chain) -> Topics:
    begun = chain.kept > 0
    average = jnp.where(begun, chain.total / jnp.maximum(chain.kept, 1), chain.topics.weights)
    return Topics(average, chain.topics.alpha, chain.topics.eta)

  return Sampler(init, move, lambda chain, batch: evaluation.evaluate(topics_of(chain), batch), topics_of)


def sweep(
  topics: Float[Array, "topic word"],
  alpha: Float[Array, " topic"],
  words: Int[Array, "document place"],
  assigned: Int[Array, "document place"],
  uniform: Float[Array, "document place"],
):
  """One word after the other, of all documents at once: p(z) ∝ (n + α) φ, n those of the document's other words.

  Returns:
    The new topics of the words, and how often each document has each topic, [document, topic].
  """
  count = len(alpha)
  real = (words >= 0).astype(topics.dtype)
  start = (jax.nn.one_hot(assigned, count, dtype=topics.dtype) * real[..., None]).sum(1)
  of_word = topics.T

  def step(shares, column):
    word, old, chance, present = column
    shares = shares - present[:, None] * jax.nn.one_hot(old, count, dtype=topics.dtype)
    reach = jnp.cumsum((shares + alpha) * of_word[jnp.maximum(word, 0)], -1)
    new = (reach < chance[:, None] * reach[:, -1:]).sum(-1)
    return shares + present[:, None] * jax.nn.one_hot(new, count, dtype=topics.dtype), new

  shares, new = jax.lax.scan(step, start, (words.T, assigned.T, uniform.T, real.T))
  return new.T.astype(assigned.dtype), shares


def _counts(assigned, words, mask, num_topics: int, num_words: int) -> Float[Array, "topic word"]:
  """How often each topic has each word, of this device's documents."""
  present = ((words >= 0) * mask[:, None]).astype(jnp.float32)
  place = assigned * num_words + jnp.maximum(words, 0)
  return jax.ops.segment_sum(present.ravel(), place.ravel(), num_topics * num_words).reshape(num_topics, num_words)


def fixed_point(alpha: Float[Array, " topic"], shares: Float[Array, "document topic"], mask) -> Float[Array, " topic"]:
  """A step towards the α under which the documents' counts are likeliest (Minka 2000, equation 55)."""
  rows = mask[:, None]
  above = (rows * (digamma(shares + alpha) - digamma(alpha))).sum(0)
  below = (mask * (digamma(shares.sum(1) + alpha.sum()) - digamma(alpha.sum()))).sum()
  above, below = axes.psum((above, below))
  return jnp.maximum(alpha * above / jnp.maximum(below, 1e-9), 1e-4)


def fixed_point_symmetric(eta: Float[Array, ""], counts: Float[Array, "topic word"]) -> Float[Array, ""]:
  """The same of the prior of words, one number for all."""
  size = counts.shape[1]
  above = (digamma(counts + eta) - digamma(eta)).sum()
  below = size * (digamma(counts.sum(1) + size * eta) - digamma(size * eta)).sum()
  return jnp.maximum(eta * above / jnp.maximum(below, 1e-9), 1e-4)
