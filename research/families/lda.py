"""Latent Dirichlet allocation by variational Bayes (Blei, Ng & Jordan 2003; Hoffman, Blei & Bach 2010).

A document's topics θ ~ Dirichlet(α), a topic's words β ~ Dirichlet(η), each word's topic z ~ θ and the word ~ β_z.  The
posterior is taken to be Dirichlet(γ) for each document and Dirichlet(λ) for each topic.  α and η are moved to where the
bound is highest (Minka 2000).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.special import digamma, gammaln, polygamma
from jaxtyping import Array, Float, Key

from research.metrics import Mean

_TINY = 1e-30
DEFINITIONS = {
  "bound": "variational lower bound of the log-likelihood of the documents given the topics, nats a word",
  "nll": "document completion: minus the log-probability of a held-out half of each document's words, given the topics"
  " that the other half tells; nats a word",
}


@struct.dataclass
class Topics:
  """What is learned.

  Attributes:
    weights: λ, parameters of each topic's posterior over words.
    alpha: α, the prior of a document's topics.
    eta: η, the prior of a topic's words, the same for all.
  """

  weights: Float[Array, "topic word"]
  alpha: Float[Array, " topic"]
  eta: Float[Array, ""]


@struct.dataclass
class Counts:
  """Sufficient statistics, sums over documents.

  Attributes:
    words: expected number of times that each topic gave each word.
    log_theta: sum of the expected logarithms of the documents' shares of topics.
    documents: how many there were.
  """

  words: Float[Array, "topic word"]
  log_theta: Float[Array, " topic"]
  documents: Float[Array, ""]


def log_expectation(parameters: Float[Array, "*batch n"]) -> Float[Array, "*batch n"]:
  """Expected logarithm of a Dirichlet variable."""
  return digamma(parameters) - digamma(parameters.sum(-1, keepdims=True))


def infer(
  topics: Topics, counts: Float[Array, "document word"], iterations: int = 100, tolerance: float = 1e-3
) -> Float[Array, "document topic"]:
  """γ of each document, by coordinate ascent from the same start (Hoffman et al. 2010, algorithm 1, E step).

  Stops when the mean change of γ of every document is below `tolerance`, or after `iterations`.
  """
  words = jnp.exp(log_expectation(topics.weights))

  def improve(gamma):
    share = jnp.exp(log_expectation(gamma))
    ratio = counts / (share @ words + _TINY)
    return topics.alpha + share * (ratio @ words.T)

  def going(carry):
    i, _, change = carry
    return (i < iterations) & (change > tolerance)

  def step(carry):
    i, gamma, _ = carry
    new = improve(gamma)
    return i + 1, new, jnp.abs(new - gamma).mean(-1).max()

  start = topics.alpha + counts.sum(-1, keepdims=True) / len(topics.alpha)
  return jax.lax.while_loop(going, step, (0, start, jnp.asarray(jnp.inf, start.dtype)))[1]


def _dirichlet_terms(prior, posterior) -> Float[Array, "*batch"]:
  """E[log p(x | prior) - log q(x | posterior)] of Dirichlet variables."""
  prior = jnp.broadcast_to(prior, posterior.shape)
  normaliser = lambda a: gammaln(a.sum(-1)) - gammaln(a).sum(-1)
  return ((prior - posterior) * log_expectation(posterior)).sum(-1) + normaliser(prior) - normaliser(posterior)


def document_bound(
  topics: Topics, counts: Float[Array, "document word"], gamma: Float[Array, "document topic"]
) -> Float[Array, " document"]:
  """The bound's part of each document, its words' best assignment summed out (Hoffman et al. 2010, equation 4)."""
  mixed = jnp.exp(log_expectation(gamma)) @ jnp.exp(log_expectation(topics.weights))
  return (counts * jnp.log(mixed + _TINY)).sum(-1) + _dirichlet_terms(topics.alpha, gamma)


def topic_bound(topics: Topics) -> Float[Array, ""]:
  """The bound's part of the topics: E[log p(β | η) - log q(β)], summed."""
  return _dirichlet_terms(topics.eta, topics.weights).sum()


class LDA(NamedTuple):
  """What `statistics.statistics_learner` asks of a family; made by `lda`."""

  init: Any
  expect: Any
  maximise: Any
  evaluate: Any


def lda(
  num_topics: int,
  *,
  alpha: float = 0.0,
  eta: float = 0.0,
  learn_priors: bool = True,
  iterations: int = 100,
  tolerance: float = 1e-3,
) -> LDA:
  """The family.  A batch holds `counts` [document, word] and `mask`; for evaluation also `held_out` of the same shape.

  Args:
    num_topics: K.
    alpha, eta: priors at the start; 0: one over the number of topics.
    learn_priors: whether they move.
    iterations: of the inference of a document, at most.
    tolerance: mean change of every document's γ below which the inference stops.
  """
  first = lambda value: value or 1 / num_topics

  def init(key: Key[Array, ""], batch) -> Topics:
    counts = batch["counts"]
    weights = jax.random.gamma(key, 100.0, (num_topics, counts.shape[-1]), counts.dtype) / 100
    return Topics(weights, jnp.full(num_topics, first(alpha), counts.dtype), jnp.asarray(first(eta), counts.dtype))

  def expect(topics: Topics, batch, key):
    del key
    counts = batch["counts"] * batch["mask"][:, None]
    gamma = infer(topics, counts, iterations, tolerance)
    share, words = jnp.exp(log_expectation(gamma)), jnp.exp(log_expectation(topics.weights))
    expected = words * (share.T @ (counts / (share @ words + _TINY)))
    log_theta = (batch["mask"][:, None] * log_expectation(gamma)).sum(0)
    statistics = Counts(expected, log_theta, batch["mask"].sum())
    return statistics, {"bound": _per_word(batch["mask"] * document_bound(topics, counts, gamma), counts)}

  def maximise(topics: Topics, statistics: Counts) -> Topics:
    weights = topics.eta + statistics.words
    if not learn_priors:
      return Topics(weights, topics.alpha, topics.eta)
    log_theta = statistics.log_theta / jnp.maximum(statistics.documents, 1)
    log_beta = log_expectation(weights).mean()
    return Topics(weights, newton(topics.alpha, log_theta), newton_symmetric(topics.eta, log_beta, weights.shape[-1]))

  def evaluate(topics: Topics, batch):
    counts = batch["counts"] * batch["mask"][:, None]
    gamma = infer(topics, counts, iterations, tolerance)
    metrics = {"bound": _per_word(batch["mask"] * document_bound(topics, counts, gamma), counts)}
    if "held_out" in batch:
      held_out = batch["held_out"] * batch["mask"][:, None]
      metrics["nll"] = _per_word(-(held_out * jnp.log(word_probabilities(topics, gamma) + _TINY)).sum(-1), held_out)
    return metrics

  return LDA(init, expect, maximise, evaluate)


def word_probabilities(topics: Topics, gamma: Float[Array, "document topic"]) -> Float[Array, "document word"]:
  """Probability of each word in each document, by the posterior means."""
  normalised = lambda x: x / x.sum(-1, keepdims=True)
  return normalised(gamma) @ normalised(topics.weights)


def _per_word(values: Float[Array, " document"], counts: Float[Array, "document word"]) -> Mean:
  return Mean(values.sum(), counts.sum())


def newton(alpha: Float[Array, " n"], log_mean: Float[Array, " n"], steps: int = 10) -> Float[Array, " n"]:
  """The Dirichlet under which variables with a given mean logarithm are likeliest (Minka 2000, equation 15).

  Newton steps of linear cost, halved where one would leave the positive numbers.
  """

  def step(_, alpha):
    gradient = digamma(alpha.sum()) - digamma(alpha) + log_mean
    diagonal, constant = -polygamma(1, alpha), polygamma(1, alpha.sum())
    shift = (gradient / diagonal).sum() / (1 / constant + (1 / diagonal).sum())
    new = alpha - (gradient - shift) / diagonal
    return jnp.where(new > 0, new, alpha / 2)

  return jax.lax.fori_loop(0, steps, step, alpha)


def newton_symmetric(value: Float[Array, ""], log_mean: Float[Array, ""], size: int, steps: int = 10):
  """The same, of a symmetric Dirichlet of `size` components; Newton in the logarithm of its parameter."""

  def step(_, value):
    gradient = size * (digamma(size * value) - digamma(value) + log_mean)
    curvature = size * (size * polygamma(1, size * value) - polygamma(1, value))
    in_log = jnp.minimum(curvature * value**2 + gradient * value, -1e-6)  # second derivative
    return value * jnp.exp(jnp.clip(-gradient * value / in_log, -1, 1))

  return jax.lax.fori_loop(0, steps, step, value)


def coherence(top: Float[Array, "topic top"], counts: Float[Array, "document word"]) -> Float[Array, " topic"]:
  """NPMI of each topic's top words, the mean over their pairs, by how many documents hold both (Bouma 2009).

  Args:
    top: indices of words.
    counts: of the documents that are counted.
  """
  present = (counts > 0).astype(jnp.float32)
  documents = len(counts)

  def of_topic(words):
    held = present[:, words]
    joint = held.T @ held / documents
    alone = jnp.diag(joint)
    pmi = jnp.log((joint + 1e-12) / (alone[:, None] * alone + 1e-12))
    npmi = jnp.where(joint > 0, pmi / -jnp.log(jnp.clip(joint, 1e-12, 1 - 1e-6)), -1.0)
    pairs = jnp.triu(jnp.ones_like(joint), 1)
    return (npmi * pairs).sum() / pairs.sum()

  return jax.vmap(of_topic)(top)
