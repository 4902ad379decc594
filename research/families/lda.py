"""Latent Dirichlet allocation by variational Bayes (Blei, Ng & Jordan 2003; Hoffman, Blei & Bach 2010).

A document's topics θ ~ Dirichlet(α), a topic's words β ~ Dirichlet(η), each word's topic z ~ θ and the word ~ β_z.  The
posterior is taken to be Dirichlet(γ) for each document and Dirichlet(λ) for each topic.  α and η are moved to where the
bound is highest (Minka 2000).

Documents are rows of `words` and `counts` [document, place]: each word that a document has and how often it has it,
then counts of 0 up to the length of the longest.  Nothing is of the size of documents times vocabulary.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax.scipy.special import digamma, gammaln, polygamma
from jaxtyping import Array, Float, Int, Key

from research import target
from research.metrics import Mean

_TINY = 1e-30
_WIDTHS, _LANES = 12, 16  # of a document's places, thirds of octaves: how many, and what each is a multiple of
_SIDE_BY_SIDE = 2**26  # numbers that an accelerator holds of the places of documents, at most
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


@struct.dataclass
class Posterior:
  """What is inferred of documents.

  Attributes:
    gamma: γ, parameters of the posterior over each document's topics.
    mixed: Σ_k exp(E[log θ_k] + E[log β_kw]) of the word w at each place; of an empty one anything.
  """

  gamma: Float[Array, "document topic"]
  mixed: Float[Array, "document place"]


def infer(
  topics: Topics,
  words: Int[Array, "document place"],
  counts: Float[Array, "document place"],
  iterations: int = 100,
  tolerance: float = 1e-3,
) -> Posterior:
  """The posterior of each document, by coordinate ascent from the same start (Hoffman et al. 2010, algorithm 1).

  A document stops when the mean change of its γ is below `tolerance`, or after `iterations`; no other one, of its batch
  or its device, moves it.

  Args:
    topics: that the documents are of.
    words: in each document.
    counts: how often each of them; 0: the place is empty, and its word anything.
    iterations, tolerance: when to stop.
  """
  table = _weight_of_words(topics).T
  places = words.shape[1]
  size, widths = _division(*words.shape, len(topics.alpha))

  def at_width(width, words, counts):
    of_places = jnp.swapaxes(table[words[:, :width]], 1, 2)
    posterior = _ascend(topics.alpha, of_places, counts[:, :width], iterations, tolerance)
    return Posterior(posterior.gamma, jnp.pad(posterior.mixed, ((0, 0), (0, places - width))))

  def infer_chunk(chunk):
    words, counts = chunk
    last = (jnp.arange(1, places + 1) * (counts > 0)).max()
    fits = jnp.searchsorted(jnp.asarray(widths), last)
    return jax.lax.switch(fits, [functools.partial(at_width, width) for width in widths], words, counts)

  return _joined(jax.lax.map(infer_chunk, _chunks(size, (words, counts))), len(words))


def infer_counts(
  topics: Topics, counts: Float[Array, "document word"], iterations: int = 100, tolerance: float = 1e-3
) -> Float[Array, "document topic"]:
  """γ, as `infer` has it, of a few documents that are counts of every word of the vocabulary: what an export takes."""
  table = jnp.broadcast_to(_weight_of_words(topics), (len(counts), *topics.weights.shape))
  return _ascend(topics.alpha, table, counts, iterations, tolerance).gamma


def _ascend(
  alpha: Float[Array, " topic"],
  table: Float[Array, "document topic place"],
  counts: Float[Array, "document place"],
  iterations: int,
  tolerance: float,
) -> Posterior:
  """The posterior of documents side by side, each of which stays once it has converged; `table`: exp(E[log β])."""
  mix = lambda share: jnp.einsum("dkp,dk->dp", table, share)

  def improve(gamma):
    share = jnp.exp(digamma(gamma))  # times a number that the ratio is divided by
    ratio = counts / (mix(share) + _TINY)
    return alpha + share * jnp.einsum("dkp,dp->dk", table, ratio)

  def going(carry):
    i, _, moving = carry
    return (i < iterations) & moving.any()

  def step(carry):
    i, gamma, moving = carry
    new = improve(gamma)
    moved = jnp.abs(new - gamma).mean(-1) > tolerance
    return i + 1, jnp.where(moving[:, None], new, gamma), moving & moved

  start = alpha + counts.sum(-1, keepdims=True) / len(alpha)
  gamma = jax.lax.while_loop(going, step, (0, start, jnp.ones(len(counts), bool)))[1]
  return Posterior(gamma, mix(jnp.exp(log_expectation(gamma))))


def _weight_of_words(topics: Topics) -> Float[Array, "topic word"]:
  return jnp.exp(log_expectation(topics.weights))


def _division(documents: int, places: int, topics: int) -> tuple[int, tuple[int, ...]]:
  """How many documents are gone through side by side, and at which numbers of places.

  A core is quickest with one document, whose words' weights stay in its cache, at the least of a few widths that holds
  its words; an accelerator with as many documents as may lie in memory.
  """
  if target.platform() != "cpu":
    return max(min(_SIDE_BY_SIDE // max(places * topics, 1), documents), 1), (places,)
  narrower = [math.ceil(places / 2 ** (i / 3) / _LANES) * _LANES for i in range(1, _WIDTHS)]
  return 1, (*sorted({width for width in narrower if width < places}), places)


def _chunks(size: int, arrays):
  """A tree of [document, ...] as [chunk, size, ...], the last filled up with zeros."""

  def cut(x):
    missing = -len(x) % size
    return jnp.pad(x, [(0, missing), *[(0, 0)] * (x.ndim - 1)]).reshape(-1, size, *x.shape[1:])

  return jax.tree.map(cut, arrays)


def _joined(chunks, documents: int):
  """The reverse."""
  return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:documents], chunks)


def expected_words(
  topics: Topics, words: Int[Array, "document place"], counts: Float[Array, "document place"], posterior: Posterior
) -> Float[Array, "topic word"]:
  """Expected number of times that each topic gave each word, over all documents (Hoffman et al. 2010, equation 5)."""
  share, ratio = jnp.exp(log_expectation(posterior.gamma)), counts / (posterior.mixed + _TINY)
  size, _ = _division(*words.shape, len(topics.alpha))

  def add(total, chunk):
    words, ratio, share = chunk
    return total.at[words].add(ratio[:, :, None] * share[:, None]), None

  nothing = jnp.zeros(topics.weights.shape[::-1], ratio.dtype)
  total, _ = jax.lax.scan(add, nothing, _chunks(size, (words, ratio, share)))
  return _weight_of_words(topics) * total.T


def _dirichlet_terms(prior, posterior) -> Float[Array, "*batch"]:
  """E[log p(x | prior) - log q(x | posterior)] of Dirichlet variables."""
  prior = jnp.broadcast_to(prior, posterior.shape)
  normaliser = lambda a: gammaln(a.sum(-1)) - gammaln(a).sum(-1)
  return ((prior - posterior) * log_expectation(posterior)).sum(-1) + normaliser(prior) - normaliser(posterior)


def document_bound(
  topics: Topics, counts: Float[Array, "document place"], posterior: Posterior
) -> Float[Array, " document"]:
  """The bound's part of each document, its words' best assignment summed out (Hoffman et al. 2010, equation 4)."""
  of_words = (counts * jnp.log(posterior.mixed + _TINY)).sum(-1)
  return of_words + _dirichlet_terms(topics.alpha, posterior.gamma)


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
  num_words: int,
  *,
  alpha: float = 0.0,
  eta: float = 0.0,
  learn_priors: bool = True,
  iterations: int = 100,
  tolerance: float = 1e-3,
) -> LDA:
  """The family.  A batch holds `words` and `counts` [document, place], as `infer` takes them, and `mask`.

  For evaluation it may also hold `held_out` [document, place]: how often each of `words` is to be predicted.

  Args:
    num_topics, num_words: K, and the size of the vocabulary.
    alpha, eta: priors at the start; 0: one over the number of topics.
    learn_priors: whether they move.
    iterations: of the inference of a document, at most.
    tolerance: mean change of every document's γ below which the inference stops.
  """
  first = lambda value: value or 1 / num_topics

  def init(key: Key[Array, ""], batch) -> Topics:
    dtype = batch["counts"].dtype
    weights = jax.random.gamma(key, 100.0, (num_topics, num_words), dtype) / 100
    return Topics(weights, jnp.full(num_topics, first(alpha), dtype), jnp.asarray(first(eta), dtype))

  def bound(topics: Topics, batch):
    """Counts of the documents that are no padding, what is inferred of them, their bound a word."""
    counts = batch["counts"] * batch["mask"][:, None]
    posterior = infer(topics, batch["words"], counts, iterations, tolerance)
    return counts, posterior, _per_word(batch["mask"] * document_bound(topics, counts, posterior), counts)

  def expect(topics: Topics, batch, key):
    del key
    counts, posterior, mean = bound(topics, batch)
    expected = expected_words(topics, batch["words"], counts, posterior)
    log_theta = (batch["mask"][:, None] * log_expectation(posterior.gamma)).sum(0)
    return Counts(expected, log_theta, batch["mask"].sum()), {"bound": mean}

  def maximise(topics: Topics, statistics: Counts) -> Topics:
    weights = topics.eta + statistics.words
    if not learn_priors:
      return Topics(weights, topics.alpha, topics.eta)
    log_theta = statistics.log_theta / jnp.maximum(statistics.documents, 1)
    log_beta = log_expectation(weights).mean()
    return Topics(weights, newton(topics.alpha, log_theta), newton_symmetric(topics.eta, log_beta, weights.shape[-1]))

  def evaluate(topics: Topics, batch):
    _, posterior, mean = bound(topics, batch)
    metrics = {"bound": mean}
    if "held_out" in batch:
      held_out = batch["held_out"] * batch["mask"][:, None]
      probabilities = word_probabilities(topics, batch["words"], posterior.gamma)
      metrics["nll"] = _per_word(-(held_out * jnp.log(probabilities + _TINY)).sum(-1), held_out)
    return metrics

  return LDA(init, expect, maximise, evaluate)


def word_probabilities(
  topics: Topics, words: Int[Array, "document place"], gamma: Float[Array, "document topic"]
) -> Float[Array, "document place"]:
  """Probability of the word at each place in its document, by the posterior means."""
  normalised = lambda x: x / x.sum(-1, keepdims=True)
  table = normalised(topics.weights).T
  size, _ = _division(*words.shape, len(topics.alpha))
  of_chunk = lambda chunk: jnp.einsum("dpk,dk->dp", table[chunk[0]], chunk[1])
  return _joined(jax.lax.map(of_chunk, _chunks(size, (words, normalised(gamma)))), len(words))


def _per_word(values: Float[Array, " document"], counts: Float[Array, "document place"]) -> Mean:
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


def coherence(
  top: Int[Array, "topic top"], words: Int[Array, "document place"], counts: Float[Array, "document place"]
) -> Float[Array, " topic"]:
  """NPMI of each topic's top words, the mean over their pairs, by how many documents hold both (Bouma 2009).

  Args:
    top: words.
    words, counts: of the documents that are counted.
  """
  documents = len(words)

  def of_topic(top):
    one = lambda word: ((words == word) & (counts > 0)).any(1).astype(jnp.float32)
    held = jax.lax.map(one, top).T
    joint = held.T @ held / documents
    alone = jnp.diag(joint)
    pmi = jnp.log((joint + 1e-12) / (alone[:, None] * alone + 1e-12))
    npmi = jnp.where(joint > 0, pmi / -jnp.log(jnp.clip(joint, 1e-12, 1 - 1e-6)), -1.0)
    pairs = jnp.triu(jnp.ones_like(joint), 1)
    return (npmi * pairs).sum() / pairs.sum()

  return jax.lax.map(of_topic, top)
