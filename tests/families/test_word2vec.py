"""Word2Vec against loops over pairs, brute force and enumeration."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.families import word2vec
from research.families.word2vec import Word2Vec

COUNTS = np.array([9, 6, 6, 3, 2, 1])
RNG = np.random.default_rng(0)


def batch_of():
  """One row of two blocks of two slots, a window of one: 0 1 | 2 1, the last one padded."""
  context = np.zeros((1, 2, 2, 4), np.float32)  # around slot i of a block b: slots 2 b - 1 to 2 b + 2
  for block, own, near in [(0, 0, 2), (0, 1, 1), (0, 1, 3), (1, 0, 0)]:
    context[0, block, own, near] = 1
  return {"word": np.array([[0, 1, 2, 0]]), "context": context, "mask": np.ones(1, np.float32)}


PAIRS = [(0, 1), (1, 0), (1, 2), (2, 1)]  # words of the batch: predicted, of its context
WORDS = [(0, [1]), (1, [0, 2]), (2, [1])]


def tables_of(family):
  tables = family.init(jax.random.key(0), None)
  return {name: jnp.asarray(RNG.normal(size=table.shape), jnp.float32) for name, table in tables.items()}


def total(family, batch, tables):
  """The loss as a function of the whole tables."""
  key = jax.random.key(3)
  rows = {name: word2vec._rows(tables[name], ids) for name, ids in family.ids(batch, key).items()}
  return family.loss(rows, batch, key)[0].total


def log_sigmoid(x):
  return -np.log1p(np.exp(-x))


def by_loops(family, batch, tables):
  """The loss written down pair by pair, word by word."""
  inputs, outputs = (np.asarray(tables[name], np.float64) for name in ("inputs", "outputs"))
  if family.cbow:
    cases = [(word, inputs[context].mean(0)) for word, context in WORDS]
  else:
    cases = [(word, inputs[context]) for word, context in PAIRS]
  loss = 0.0
  for word, vector in cases:
    if family.negatives:
      drawn = np.asarray(family._noise(batch, jax.random.key(3)))
      loss -= log_sigmoid(outputs[word] @ vector)
      share = family.negatives / family.noise_words
      loss -= sum(share * log_sigmoid(-outputs[n] @ vector) for n in drawn if n != word)
    else:
      nodes, turns = batch["tree"].nodes[word], batch["tree"].turns[word]
      loss -= sum(log_sigmoid(turn * outputs[node] @ vector) for node, turn in zip(nodes, turns) if node >= 0)
  return loss


@pytest.mark.parametrize(("cbow", "negatives"), list(itertools.product([False, True], [2, 0])))
def test_the_loss_is_the_papers_and_its_gradient_that_of_differences(cbow, negatives):
  family = Word2Vec(len(COUNTS), 3, cbow=cbow, negatives=negatives, noise_words=7, corrected=True)
  batch = {**batch_of(), "noise": jax.device_put(word2vec.noise(COUNTS)), "tree": word2vec.huffman(COUNTS)}
  tables = tables_of(family)
  value, grads = jax.jit(jax.value_and_grad(lambda tables: total(family, batch, tables)))(tables)
  np.testing.assert_allclose(value, by_loops(family, batch, tables), rtol=1e-5)
  for name, place in itertools.product(tables, [(0, 0), (1, 2), (2, 1), (4, 0)]):
    moved = lambda by, name=name, place=place: (
      {**tables, name: np.asarray(tables[name], np.float64)} | {name: _moved(tables[name], place, by)}
    )
    slope = (by_loops(family, batch, moved(1e-5)) - by_loops(family, batch, moved(-1e-5))) / 2e-5
    np.testing.assert_allclose(grads[name][place], slope, rtol=1e-3, atol=1e-4)


def _moved(table, place, by):
  table = np.array(table, np.float64)
  table[place] += by
  return table


def test_word2vec_c_gives_each_word_of_a_context_the_whole_gradient():
  family = Word2Vec(len(COUNTS), 3, cbow=True, negatives=0, corrected=False)
  batch = {"tree": word2vec.huffman(COUNTS), **batch_of()}
  tables = tables_of(family)
  corrected = Word2Vec(len(COUNTS), 3, cbow=True, negatives=0, corrected=True)
  gradient = lambda family: jax.jit(jax.value_and_grad(lambda tables: total(family, batch, tables)))(tables)
  (value, ours), (same, divided) = gradient(family), gradient(corrected)
  np.testing.assert_allclose(value, same, rtol=1e-6)
  np.testing.assert_allclose(ours["outputs"], divided["outputs"], rtol=1e-5)
  np.testing.assert_allclose(ours["inputs"][0], 2 * divided["inputs"][0], rtol=1e-5)  # one of two around word 1
  np.testing.assert_allclose(ours["inputs"][1], divided["inputs"][1], rtol=1e-5)  # alone, twice


def test_probabilities_of_the_tree_sum_to_one():
  tree = word2vec.huffman(RNG.integers(1, 1000, 57))
  outputs, vector = RNG.normal(size=(56, 4)), RNG.normal(size=4)
  score = tree.turns * (outputs[tree.nodes] @ vector)
  probability = np.where(tree.nodes >= 0, 1 / (1 + np.exp(-score)), 1).prod(1)
  np.testing.assert_allclose(probability.sum(), 1, rtol=1e-6)
  assert (probability > 0).all()


def least_cost(counts):
  """Of all binary trees, by trying every pair to join at every step."""
  if len(counts) == 1:
    return 0
  pairs = itertools.combinations(range(len(counts)), 2)
  joined = lambda i, j: [c for k, c in enumerate(counts) if k not in (i, j)] + [counts[i] + counts[j]]
  return min(counts[i] + counts[j] + least_cost(joined(i, j)) for i, j in pairs)


@pytest.mark.parametrize("counts", [[1, 1], [9, 6, 6, 3, 2, 1], [1, 1, 2, 3, 5, 8], [4, 4, 4, 4, 4]])
def test_the_tree_is_of_least_mean_depth(counts):
  tree = word2vec.huffman(np.array(counts))
  assert ((tree.nodes >= 0).sum(1) * counts).sum() == least_cost(counts)


def test_noise_is_drawn_by_its_shares():
  noise = jax.device_put(word2vec.noise(COUNTS))
  share = COUNTS**0.75 / (COUNTS**0.75).sum()
  own = np.asarray(noise.threshold) / len(COUNTS)
  exact = own + np.bincount(noise.alias, 1 / len(COUNTS) - own, len(COUNTS))
  np.testing.assert_allclose(exact, share, rtol=1e-6)
  drawn = np.asarray(jax.jit(word2vec.draw, static_argnums=2)(noise, jax.random.key(0), 60_000))
  np.testing.assert_allclose(np.bincount(drawn) / 60_000, share, atol=0.01)


def test_a_word_is_the_mean_of_its_own_vector_and_its_subwords():
  family = Word2Vec(len(COUNTS), 3, negatives=2, noise_words=5, buckets=4, corrected=True)
  subwords = np.array([[i, 6 + i % 4, -1] for i in range(6)])
  batch = {**batch_of(), "noise": jax.device_put(word2vec.noise(COUNTS)), "subwords": subwords}
  tables = tables_of(family)
  mean = (tables["inputs"][:6] + tables["inputs"][subwords[:, 1]]) / 2
  plain = Word2Vec(len(COUNTS), 3, negatives=2, noise_words=5)
  np.testing.assert_allclose(
    total(family, batch, tables), total(plain, batch, {"inputs": mean, "outputs": tables["outputs"]}), rtol=1e-5
  )
