"""The trigram tagger: counts and weights by hand, tags against a search of all sequences, unseen words."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research.data.sequences import padded
from research.errors import UserError
from research.families.hmm import lexicon as lexicon_lib
from research.families.hmm import tagger as family_lib
from tests.compiled import compiled

# "duck" is a noun and a verb; "The" begins sentences, "the" does not.
WORDS = ["The duck swims .", "I duck .", "I see the duck .", "the ducks see the duck ."]
TAGS = ["AT NN VB .", "PP VB .", "PP VB AT NN .", "AT NNS VB AT NN ."]


def split(lines):
  return [line.split() for line in lines]


@pytest.fixture(scope="module")
def lexicon():
  return lexicon_lib.build(split(WORDS), split(TAGS), suffix=2, least=2)


def batch_of(lexicon, words, tags):
  sentences = padded("some", [lexicon.symbols(s) for s in split(words)], [lexicon.numbers(t) for t in split(tags)])
  return {**sentences.arrays, "mask": np.ones(len(sentences), np.float32)}


def tagger(*args, **options):
  return compiled(family_lib.tagger(*args, **options), "init", "count", "maximise", "evaluate", "decode")


def fitted(lexicon, **options):
  family = tagger(lexicon, np.arange(len(lexicon.tags)), strength=2.0, **options)
  statistics, _ = family.count({}, batch_of(lexicon, WORDS, TAGS), None)
  return family, statistics, family.maximise({}, statistics)


def test_the_vocabulary_is_that_of_the_training_sentences(lexicon):
  assert set(lexicon.words) == {"the", "duck", "swims", ".", "I", "see", "ducks"}, "The is the at the start"
  assert lexicon.tags == (".", "AT", "NN", "NNS", "PP", "VB")
  known = {lexicon.tags[tag] for tag in lexicon.word_tags[lexicon.words["duck"]]}
  assert known == {"NN", "VB"}
  assert lexicon.symbols(["The", "the"])[0] == lexicon.words["the"]
  assert lexicon.symbols(["see", "The"])[1] >= len(lexicon.words), "not at the start, it is a word of its own"
  assert lexicon.numbers(["VB", "JJ"]).tolist() == [5, -1]


@pytest.mark.parametrize(
  ("word", "expected"),
  [
    ("runs", ("a", "s")),
    ("walks", ("a", "s")),
    ("tucks", ("a", "s")),
    ("Fee", ("Aa", "")),
    ("free", ("a", "e")),
    ("12", ("9", "")),
    ("3rd", ("9a", "")),
    ("TV", ("AA", "")),
    ("x-ray", ("a-", "")),
    ("A", ("Aa", "")),
  ],
)
def test_unknown_words_are_classes_of_shape_and_suffix(lexicon, word, expected):
  """Rare words in lower case: swims and ducks end in -s, the and see in -e; no others end alike."""
  names = list(lexicon.classes)
  (symbol,) = lexicon.symbols([word])
  assert names[symbol - len(lexicon.words)] == expected


def test_parents_come_before_their_children(lexicon):
  for (shape, suffix), number in lexicon.classes.items():
    assert lexicon.depth[number] == len(suffix)
    parent = lexicon.parent[number]
    assert parent == (lexicon.classes[shape, suffix[1:]] if suffix else -1)
    assert parent < number


def trigrams():
  found = {}
  for path in split(TAGS):
    history = ["#", "#", *path, "#"]
    for triple in zip(history, history[1:], history[2:]):
      found[triple] = found.get(triple, 0) + 1
  return found


def brants():
  """Weights and p(t3 | t1, t2) as Brants 2000, eqs. 3-6 and fig. 1, have them; floats and dictionaries."""
  counts, tags = trigrams(), ["#", *sorted({tag for path in split(TAGS) for tag in path})]
  f = lambda *known: sum(n for triple, n in counts.items() if triple[3 - len(known) :] == known)
  before = lambda *known: sum(n for triple, n in counts.items() if triple[2 - len(known) : 2] == known)
  total, votes = sum(counts.values()), [0, 0, 0]
  left = lambda count, among: (count - 1) / (among - 1) if among > 1 else 0
  for (a, b, c), count in counts.items():
    cases = [left(f(c), total), left(f(b, c), before(b)), left(count, before(a, b))]
    votes[max(range(3), key=lambda order: (cases[order], order))] += count
  weights = [vote / sum(votes) for vote in votes]

  def p(a, b, c):
    trigram = counts.get((a, b, c), 0) / before(a, b) if before(a, b) else 0
    return weights[0] * f(c) / total + weights[1] * f(b, c) / before(b) + weights[2] * trigram

  return weights, p, tags, f


def test_weights_and_transitions_are_those_of_deleted_interpolation(lexicon):
  params = jax.device_get(fitted(lexicon)[2])
  weights, p, tags, _ = brants()
  np.testing.assert_allclose(params["interpolation"], weights, rtol=1e-5)
  assert 0 < weights[0] < 1
  number = lambda tag: len(lexicon.tags) if tag == "#" else lexicon.tags.index(tag)
  for a, b, c in itertools.product(tags, repeat=3):
    row = lexicon.context[number(a), number(b)]
    found = params["bigram"][number(b), number(c)] + params["trigram"][row, number(c)]
    assert found == pytest.approx(p(a, b, c), rel=1e-5, abs=1e-7), (a, b, c)


def test_an_unknown_word_has_the_tags_of_its_suffix(lexicon):
  """By hand, from words that occur at most three times: in lower case see, see, swims and ducks; -s: swims, ducks."""
  _, _, params = fitted(lexicon, rare=3)
  counts = {"a": {"NN": 0, "VB": 2 + 1, "NNS": 1}, "s": {"VB": 1, "NNS": 1}}  # see see swims ducks; swims ducks
  rare = {"VB": 3, "NNS": 1, "PP": 2}  # and I I; duck (4 times), the (4) and the full stop (4) are not rare
  prior = {tag: rare.get(tag, 0) / 6 for tag in lexicon.tags}
  shape = {tag: (counts["a"].get(tag, 0) + 2 * prior[tag]) / (4 + 2) for tag in lexicon.tags}
  suffix = {tag: (counts["s"].get(tag, 0) + 2 * shape[tag]) / (2 + 2) for tag in lexicon.tags}
  frequency = {"AT": 4, "NN": 3, "VB": 4, "NNS": 1, "PP": 2, ".": 4}
  expected = {tag: math.log(suffix[tag] / frequency[tag]) for tag in lexicon.tags if suffix[tag] > 0}
  (symbol,) = lexicon.symbols(["runs"])
  pairs = zip(params["tags"][symbol].tolist(), params["scores"][symbol].tolist())
  found = {lexicon.tags[tag]: score for tag, score in pairs if tag >= 0}
  assert found, "it can have a tag"
  best = sorted(expected, key=lambda tag: -suffix[tag])[: len(found)]
  assert set(found) == set(best)
  for tag, score in found.items():
    assert score == pytest.approx(expected[tag], rel=1e-5)


@pytest.mark.parametrize(
  "sentence",
  ["the duck .", "I duck the ducks .", "The duck see the duck .", "duck duck duck", "I", "duck runs the zoos ."],
)
def test_tags_are_the_best_of_all_sequences(lexicon, sentence):
  family, _, params = fitted(lexicon)
  words = sentence.split()
  batch = batch_of(lexicon, [sentence, "I see the duck ."], [" ".join(["NN"] * len(words)), "PP VB AT NN ."])
  found = np.asarray(family.decode(params, batch))[0, : len(words)]
  _, p, _, f = brants()
  options = []
  for place, word in enumerate(words):
    word = word.lower() if place == 0 and word == "The" else word
    together = {tag: 0 for tag in lexicon.tags}
    for line, path in zip(WORDS, TAGS):
      for w, t in zip(line.lower().replace("i ", "I ").split(), path.split()):
        together[t] += w == word
    if sum(together.values()):
      options.append([(tag, math.log(n / f(tag))) for tag, n in together.items() if n])
    else:
      symbol = batch["inputs"][0, place]
      pairs = zip(params["tags"][symbol].tolist(), params["scores"][symbol].tolist())
      options.append([(lexicon.tags[tag], score) for tag, score in pairs if tag >= 0])

  def score(path):
    history = ["#", "#", *(tag for tag, _ in path), "#"]
    return sum(e for _, e in path) + sum(math.log(p(*triple)) for triple in zip(history, history[1:], history[2:]))

  scores = {tuple(tag for tag, _ in path): score(path) for path in itertools.product(*options)}
  # Two may be equally good.
  assert scores[tuple(lexicon.tags[tag] for tag in found)] == pytest.approx(max(scores.values()), abs=1e-5)


def test_padding_and_masked_sentences_count_for_nothing(lexicon):
  family, statistics, params = fitted(lexicon)
  batch = batch_of(lexicon, [*WORDS, "duck duck duck duck duck duck"], [*TAGS, "NN NN NN NN NN NN"])
  masked = {**batch, "mask": jnp.asarray([1.0, 1, 1, 1, 0])}
  jax.tree.map(np.testing.assert_array_equal, family.count({}, masked, None)[0], statistics)
  assert float(statistics["lexical"].sum()) == 18
  assert float(statistics["sequential"].sum()) == 18 + 4
  found = {name: (float(m.total), float(m.count)) for name, m in family.evaluate(params, masked).items()}
  assert found["accuracy"][1] == 18
  decoded = np.asarray(family.decode(params, batch))
  assert (decoded[0] >= 0).tolist() == [True] * 4 + [False] * 2


def test_statistics_of_batches_add_up(lexicon):
  family, statistics, _ = fitted(lexicon)
  parts = [family.count({}, batch_of(lexicon, WORDS[i : i + 2], TAGS[i : i + 2]), None)[0] for i in (0, 2)]
  jax.tree.map(np.testing.assert_array_equal, jax.tree.map(jnp.add, *parts), statistics)


def test_accuracy_counts_known_and_unknown_words_and_tags_never_seen(lexicon):
  family, _, params = fitted(lexicon)
  batch = batch_of(lexicon, ["I see the zoos .", "duck"], ["PP VB AT NNS .", "JJ"])
  found = {name: (float(m.total), float(m.count)) for name, m in family.evaluate(params, batch).items()}
  assert found["unknown"] == (1, 6)
  assert found["accuracy_known"] == (4, 5), "JJ was never seen: nothing is right"
  assert found["accuracy_unknown"][1] == 1
  assert found["accuracy"][0] == found["accuracy_known"][0] + found["accuracy_unknown"][0]


def test_what_is_saved_is_finite_even_before_anything_is_counted(lexicon):
  family, _, params = fitted(lexicon)
  for tree in (params, family.init(jax.random.key(0), {})):
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree))


def test_simplified_tags_forgive_what_they_leave_out(lexicon):
  base = np.array([0, 1, 2, 2, 3, 4])  # NN and NNS are one
  family = tagger(lexicon, base)
  params = family.maximise({}, family.count({}, batch_of(lexicon, WORDS, TAGS), None)[0])
  found = family.evaluate(params, batch_of(lexicon, ["the duck ."], ["AT NNS ."]))
  assert float(found["accuracy"].value()) == pytest.approx(2 / 3)
  assert float(found["accuracy_base"].value()) == 1


def test_no_sentences_are_refused():
  with pytest.raises(UserError, match="at least one"):
    lexicon_lib.build([], [])
