"""Word2Vec by scikit-learn's interface, on a language in which two kinds of words stand in two kinds of company."""

import numpy as np
import pytest
from sklearn.base import clone

from research.errors import UserError
from research.estimators.word2vec import Word2Vec

RNG = np.random.default_rng(0)
ANIMALS, TOOLS = ("cat", "dog", "cow"), ("saw", "axe", "drill")


def texts(count: int) -> list[str]:
  """Animals eat and sleep, tools cut and rust."""
  kinds = [(ANIMALS, ("eats", "sleeps", "drinks")), (TOOLS, ("cuts", "rusts", "breaks"))]
  chosen = (kinds[i % 2] for i in range(count))
  return [
    f"The {RNG.choice(names)} {RNG.choice(verbs)}. A {RNG.choice(names)} {RNG.choice(verbs)}!"
    for names, verbs in chosen
  ]


@pytest.fixture(scope="module")
def fitted():
  options = {"window": 2, "min_count": 1, "sample": 0, "epochs": 20, "random_state": 0}
  return Word2Vec(8, learning_rate=0.05, **options).fit(texts(300))


def test_words_in_like_company_are_alike(fitted):
  for kind in (ANIMALS, TOOLS):
    nearest = {word for word, _ in fitted.most_similar(kind[0], topn=2)}
    assert nearest == {*kind[1:]}
  vectors = fitted.transform(["cat eats", "the dog sleeps", "saw cuts", "nothing"])
  assert vectors.shape == (4, 8)
  assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
  np.testing.assert_array_equal(vectors[3], 0)


def test_it_goes_on_with_further_texts(fitted):
  more = clone(fitted).set_params(epochs=1)
  more.partial_fit(texts(20))
  before, words = more.vectors_.vectors.copy(), more.vectors_.words
  more.partial_fit(["The cat eats. The unicorn sleeps."])
  assert more.vectors_.words == words
  moved = np.abs(more.vectors_.vectors - before).max(1) > 0
  assert moved[words.index("cat")]
  assert not moved[words.index("drill")], "the tables are gone on from, and only what the texts name is moved"


def test_text_like_that_learnt_scores_higher_than_words_at_random(fitted):
  held_out = texts(40)
  words = " ".join(held_out).replace("A", "").replace(".", "").replace("!", "").split()
  shuffled = " ".join(RNG.permutation(words))
  assert fitted.score(held_out) > fitted.score([shuffled]) + 0.1
  assert fitted.components_.shape == (len(fitted.vectors_.words), 8)
  np.testing.assert_array_equal(fitted.components_[fitted.vectors_.words.index("cat")], fitted.vectors_.vector("cat"))


def test_a_seed_is_a_run():
  first, second = (Word2Vec(4, min_count=1, epochs=1, random_state=3).fit(TEXTS) for _ in range(2))
  np.testing.assert_array_equal(first.vectors_.vectors, second.vectors_.vectors)


TEXTS = texts(10)


def test_bad_input_is_refused_in_a_sentence(fitted):
  with pytest.raises(UserError, match="nearest spellings: cat"):
    fitted.most_similar("catt")
  with pytest.raises(UserError, match="give 1 or more"):
    Word2Vec(0).fit(TEXTS)
  with pytest.raises(UserError, match="list of texts"):
    Word2Vec().fit("a text")
