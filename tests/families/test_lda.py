"""LDA against enumeration, against scikit-learn, and against what the algorithm promises."""

import itertools

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln, psi
from sklearn.decomposition import LatentDirichletAllocation

from research import target
from research.families import lda, lda_gibbs
from research.training.precision import precision

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def wide():
  with precision("float64"):
    yield


def corpus(documents=40, words=30, topics=3):
  share = RNG.dirichlet(np.full(topics, 0.3), documents)
  table = RNG.dirichlet(np.full(words, 0.2), topics)
  return np.stack([RNG.multinomial(60, p) for p in share @ table]).astype(float)


def rows_of(counts, places=None):
  """Words and counts of documents by place, of a table of counts."""
  present = [np.flatnonzero(row) for row in np.asarray(counts)]
  width = places or max(map(len, present))
  words, often = np.zeros((len(counts), width), np.int32), np.zeros((len(counts), width))
  for row, index in enumerate(present):
    words[row, : len(index)], often[row, : len(index)] = index, counts[row][index]
  return jnp.asarray(words), jnp.asarray(often)


def batch_of(counts):
  words, often = rows_of(counts)
  return {"words": words, "counts": often, "mask": jnp.ones(len(counts))}


def ragged(documents=23, words=300):
  """Documents of 3 to 200 distinct words: of every width that a core goes through them at."""
  table = RNG.dirichlet(np.full(words, 0.3), 5)
  counts = np.zeros((documents, words))
  for row, size in zip(counts, np.geomspace(3, 200, documents).astype(int)):
    chosen = RNG.choice(words, size, replace=False)
    row[chosen] = 1 + RNG.poisson(3 * words * table[RNG.integers(5), chosen])
  return counts[RNG.permutation(documents)]


def test_the_bound_never_falls():
  """Whole batches, priors moving: EM's promise, the topics' part of the bound included."""
  batch, family = batch_of(corpus()), lda.lda(4, 30, iterations=500)

  @jax.jit
  def run(topics):
    def step(topics, _):
      statistics, metrics = family.expect(topics, batch, None)
      return family.maximise(topics, statistics), metrics["bound"].total + lda.topic_bound(topics)

    return jax.lax.scan(step, topics, None, 30)

  topics, bounds = run(family.init(jax.random.key(0), batch))
  # The first bound is of topics that no M-step made; inference stops within its tolerance.
  assert (np.diff(bounds[1:]) > -1e-2).all()
  assert bounds[-1] > bounds[1] + 10
  assert float(topics.alpha.sum()) < 1, "documents have few topics"


def test_scikit_learn_comes_to_the_same_topics():
  """From the same λ, with the same priors: one pass of batch variational Bayes.

  Both start every document where no topic is preferred and take as many steps: the fixed points are several.
  Their digamma is good to eight digits.
  """
  counts, family = corpus(), lda.lda(3, 30, alpha=0.4, eta=0.2, learn_priors=False, iterations=30, tolerance=0)
  start = family.init(jax.random.key(1), batch_of(counts))
  theirs = LatentDirichletAllocation(3, max_doc_update_iter=30, mean_change_tol=0)
  theirs.doc_topic_prior_ = 0.4
  theirs.components_ = np.asarray(start.weights)
  theirs.exp_dirichlet_component_ = np.exp(np.asarray(lda.log_expectation(start.weights)))
  _, expected = theirs._e_step(counts, cal_sstats=True, random_init=False)

  @jax.jit
  def step(topics):
    return family.maximise(topics, family.expect(topics, batch_of(counts), None)[0])

  np.testing.assert_allclose(step(start).weights, 0.2 + expected, rtol=1e-5)


def test_bound_is_scikit_learns():
  counts, family = corpus(), lda.lda(3, 30, alpha=0.4, eta=0.2)
  topics = family.init(jax.random.key(1), batch_of(counts))
  posterior = jax.jit(lda.infer)(topics, *rows_of(counts))
  theirs = LatentDirichletAllocation(3, doc_topic_prior=0.4, topic_word_prior=0.2)
  theirs._init_latent_vars(30, dtype=np.float64)
  theirs.components_ = np.asarray(topics.weights)
  expected = theirs._approx_bound(counts, np.asarray(posterior.gamma), sub_sampling=False)
  of_documents = jax.jit(lda.document_bound)(topics, rows_of(counts)[1], posterior).sum()
  ours = of_documents + jax.jit(lda.topic_bound)(topics)
  np.testing.assert_allclose(ours, expected, rtol=1e-6)


def test_the_bound_is_below_the_likelihood_and_near_it():
  """Two words and two topics that are all but known: p(document) by enumeration of the words' topics.

  The bound is not tight: the posterior of words and shares does not factorise.
  """
  table = np.array([[0.8, 0.2], [0.3, 0.7]])
  topics = lda.Topics(jnp.asarray(table * 1e7), jnp.array([0.7, 0.4]), jnp.asarray(0.1))
  for counts in ([2, 1], [0, 4], [3, 3]):
    words = np.repeat([0, 1], counts)
    total = 0.0
    for z in itertools.product([0, 1], repeat=len(words)):
      n, alpha = np.bincount(z, minlength=2), np.array([0.7, 0.4])
      assigned = gammaln(alpha + n).sum() - gammaln(alpha).sum() + gammaln(alpha.sum()) - gammaln(alpha.sum() + n.sum())
      total += np.exp(assigned) * np.prod(table[list(z), words])
    words, often = rows_of(np.array([counts]), 2)
    bound = float(lda.document_bound(topics, often, lda.infer(topics, words, often))[0])
    assert np.log(total) - 0.8 < bound <= np.log(total) + 1e-6


def test_priors_are_those_of_maximum_likelihood():
  """Newton on draws of a known Dirichlet finds the stationary point of their likelihood, near the truth."""
  truth = np.array([0.3, 1.2, 2.5])
  log_mean = np.log(RNG.dirichlet(truth, 20_000)).mean(0)
  alpha = jax.jit(lda.newton)(jnp.full(3, 0.1), jnp.asarray(log_mean))
  np.testing.assert_allclose(lda.log_expectation(alpha), log_mean, atol=1e-6)
  np.testing.assert_allclose(alpha, truth, rtol=0.05)
  log_mean = np.log(RNG.dirichlet(np.full(6, 0.4), 20_000)).mean()
  value = jax.jit(lda.newton_symmetric, static_argnums=2)(jnp.asarray(0.05), jnp.asarray(log_mean), 6)
  np.testing.assert_allclose(lda.log_expectation(jnp.full(6, value))[0], log_mean, atol=1e-4)


def test_padding_is_nothing():
  counts, family = corpus(), lda.lda(3, 30)
  topics = family.init(jax.random.key(0), batch_of(counts))
  padded = batch_of(np.concatenate([counts, counts[:5]])) | {"mask": jnp.asarray([1.0] * 40 + [0.0] * 5)}
  expect = jax.jit(lambda batch: family.expect(topics, batch, None))
  for a, b in zip(jax.tree.leaves(expect(batch_of(counts))), jax.tree.leaves(expect(padded))):
    np.testing.assert_allclose(a, b, rtol=1e-3)


def dense(topics, counts, held_out, iterations, tolerance):
  """γ, the bound, expected counts and held-out log-probability by tables [document, word], as papers have them."""
  weights, alpha = np.asarray(topics.weights), np.asarray(topics.alpha)
  log_expectation = lambda x: psi(x) - psi(x.sum(-1, keepdims=True))
  words = np.exp(log_expectation(weights))
  gamma = alpha + counts.sum(1, keepdims=True) / len(alpha) * np.ones_like(alpha)
  for row, of_row in zip(gamma, counts):
    for _ in range(iterations):
      share = np.exp(log_expectation(row))
      new = alpha + share * (words @ (of_row / (share @ words)))
      change, row[:] = np.abs(new - row).mean(), new
      if change <= tolerance:
        break
  share = np.exp(log_expectation(gamma))
  expected = words * (share.T @ (counts / (share @ words)))
  terms = ((alpha - gamma) * log_expectation(gamma)).sum(1) + gammaln(gamma).sum(1) - gammaln(gamma.sum(1))
  terms += gammaln(alpha.sum()) - gammaln(alpha).sum()
  bound = (counts * np.log(share @ words)).sum(1) + terms
  mean = (gamma / gamma.sum(1, keepdims=True)) @ (weights / weights.sum(1, keepdims=True))
  return gamma, bound.sum() / counts.sum(), expected, -(held_out * np.log(mean)).sum() / held_out.sum()


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_rows_of_words_come_to_what_tables_do(platform):
  """Documents of all lengths, one of them without a word, one by one and side by side."""
  counts = ragged()
  counts[4] = 0
  observed = np.floor(counts / 2)
  family = lda.lda(5, 300, alpha=0.3, eta=0.1, iterations=40)
  with target.compiling_for(platform):
    topics = family.init(jax.random.key(2), batch_of(counts))
    gamma, bound, expected, nll = dense(topics, observed, counts - observed, 40, 1e-3)
    words, often = rows_of(counts)
    half = jnp.floor(often / 2)
    batch = {"words": words, "counts": half, "held_out": often - half, "mask": jnp.ones(len(counts))}
    ours = jax.jit(lambda: lda.infer(topics, words, half, 40).gamma)()
    statistics, metrics = jax.jit(lambda: family.expect(topics, batch, None))()
    measured = jax.jit(lambda: family.evaluate(topics, batch))()
  np.testing.assert_allclose(ours, gamma, rtol=1e-9)
  np.testing.assert_allclose(statistics.words, expected, rtol=1e-7, atol=1e-12)
  for value in (metrics["bound"], measured["bound"]):
    assert float(value.value()) == pytest.approx(bound, rel=1e-10)
  assert float(measured["nll"].value()) == pytest.approx(nll, rel=1e-10)
  np.testing.assert_allclose(jax.jit(lda.infer_counts)(topics, jnp.asarray(observed[:3]), 40), gamma[:3], rtol=1e-9)


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_a_document_s_topics_do_not_depend_on_the_others(platform):
  """Nor on how many places rows have, or how many devices share the batch; the loosest tolerance tells stops apart."""
  counts = ragged(24)
  topics = lda.lda(5, 300).init(jax.random.key(3), batch_of(counts))
  infer = lambda words, counts: lda.infer(topics, words, counts, tolerance=1.0).gamma
  words, often = rows_of(counts)
  with target.compiling_for(platform):
    together = jax.jit(infer)(words, often)
    halves = [jax.jit(infer)(*rows_of(part)) for part in (counts[:7], counts[7:])]
    alone = [jax.jit(infer)(*rows_of(row[None], 210))[0] for row in counts[::6]]
    split = lambda x: x.reshape(4, 6, -1)
    devices = jax.pmap(infer, devices=jax.devices()[:4])(split(words), split(often)).reshape(24, -1)
  np.testing.assert_allclose(np.concatenate(halves), together, rtol=1e-9)
  np.testing.assert_allclose(alone, together[::6], rtol=1e-9)
  np.testing.assert_allclose(devices, together, rtol=1e-9)


def test_training_holds_no_table_of_documents_and_words():
  """Nor do measuring and coherence: the largest array is that of topics and words, or of words of documents."""
  documents, words, places = 64, 5000, 8
  family = lda.lda(4, words)
  batch = {"words": jnp.zeros((documents, places), jnp.int32), "counts": jnp.ones((documents, places))}
  batch |= {"held_out": batch["counts"], "mask": jnp.ones(documents)}

  def run(key):
    topics = family.init(key, batch)
    topics = family.maximise(topics, family.expect(topics, batch, None)[0])
    top = jax.lax.top_k(topics.weights, 10)[1]
    return family.evaluate(topics, batch), lda.coherence(top, batch["words"], batch["counts"])

  def sizes(jaxpr):
    for equation in jaxpr.eqns:
      yield from (variable.aval.size for variable in equation.outvars)
      for inner in jax.extend.core.jaxprs_in_params(equation.params):
        yield from sizes(inner)

  for platform in ("cpu", "gpu"):
    with target.compiling_for(platform):
      traced = list(sizes(jax.make_jaxpr(run)(jax.random.key(0)).jaxpr))
    assert len(traced) > 100
    assert max(traced) == 4 * words


def test_coherence_by_hand():
  """Words 0 and 1 always together, word 2 never with them: NPMI 1 and -1."""
  rows = rows_of(np.array([[1, 2, 0], [3, 1, 0], [0, 0, 4], [0, 0, 1.0]]))
  together, apart = jax.jit(lda.coherence)(jnp.asarray([[0, 1], [0, 2]]), *rows)
  np.testing.assert_allclose((together, apart), (1, -1), atol=1e-4)


def test_the_sampler_has_the_posterior_of_enumeration():
  """Two documents of two words, two topics: p(all words' topics | words) by their Dirichlet-multinomials."""
  counts, alpha, eta = np.array([[2.0, 1.0], [0.0, 2.0]]), 0.7, 0.6
  words = lda_gibbs.places(*rows_of(counts))
  assert words.tolist() == [[0, 0, 1], [1, 1, lda_gibbs.PADDING]]
  flat, document = np.array([0, 0, 1, 1, 1]), np.array([0, 0, 0, 1, 1])
  states = list(itertools.product([0, 1], repeat=5))
  log_joint = []
  for z in np.array(states):
    of_documents = [np.bincount(z[document == d], minlength=2) for d in (0, 1)]
    of_topics = [np.bincount(flat[z == k], minlength=2) for k in (0, 1)]
    term = lambda n, a: gammaln(n + a).sum() - gammaln((n + a).sum())
    log_joint.append(sum(term(n, alpha) for n in of_documents) + sum(term(n, eta) for n in of_topics))
  exact = np.exp(log_joint) / np.exp(log_joint).sum()
  family = lda_gibbs.sampler(2, 2, alpha=alpha, eta=eta, learn_priors=False)
  batch = {"words": jnp.asarray(words), "mask": jnp.ones(2)}

  @jax.jit
  @jax.vmap
  def run(key):
    step = lambda chain, i: ((new := family.move(chain, batch, jax.random.fold_in(key, i))[0]), new.assigned)
    return jax.lax.scan(step, family.init(key, batch), jnp.arange(100))[1]

  drawn = np.asarray(run(jax.random.split(jax.random.key(0), 250)))[:, 20:].reshape(-1, 6)[:, :5]
  found = np.bincount(drawn @ 2 ** np.arange(4, -1, -1), minlength=32) / len(drawn)
  np.testing.assert_allclose(found, exact, atol=0.012)
