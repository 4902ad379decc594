"""Vectors of words in use and in files, against gensim where it is installed; vocabulary, phrases, subwords."""

import numpy as np
import pytest

from experiments.reports.word2vec import terms
from research.errors import UserError
from research.evaluation import words as measures
from research.text import vocabulary, word_vectors
from research.text.vocabulary import Subwords
from research.text.word_vectors import WordVectors

RNG = np.random.default_rng(0)
WORDS = ("the", "straße", "new_york", "king", "queen", "man", "woman")
VECTORS = WordVectors(WORDS, RNG.normal(size=(7, 5)).astype(np.float32))


@pytest.mark.parametrize("binary", [False, True])
def test_files_come_back_as_they_were(binary, tmp_path):
  file = tmp_path / "vectors"
  file.write_bytes(word_vectors.dumps(VECTORS, binary))
  found = word_vectors.read(file)
  assert found.words == WORDS
  np.testing.assert_array_equal(found.vectors, VECTORS.vectors)


@pytest.mark.parametrize("binary", [False, True])
def test_gensim_opens_ours_and_we_open_gensims(binary, tmp_path):
  models = pytest.importorskip("gensim.models")
  file = tmp_path / "vectors"
  file.write_bytes(word_vectors.dumps(VECTORS, binary))
  theirs = models.KeyedVectors.load_word2vec_format(str(file), binary=binary)
  assert tuple(theirs.index_to_key) == WORDS
  np.testing.assert_array_equal(theirs.vectors, VECTORS.vectors)
  theirs.save_word2vec_format(str(file), binary=binary)
  np.testing.assert_allclose(word_vectors.read(file).vectors, VECTORS.vectors, rtol=1e-6)


def test_neighbours_and_analogies_are_gensims():
  models = pytest.importorskip("gensim.models")
  theirs = models.KeyedVectors(5)
  theirs.add_vectors(list(WORDS), VECTORS.vectors)
  query = {"positive": ["king", "woman"], "negative": ["man"]}
  for ours, expected in (
    (VECTORS.most_similar(**query), theirs.most_similar(**query)),
    (VECTORS.most_similar(**query, multiply=True), theirs.most_similar_cosmul(**query)),
    (VECTORS.most_similar(["the"], count=3), theirs.most_similar("the", topn=3)),
  ):
    assert [word for word, _ in ours] == [word for word, _ in expected]
    np.testing.assert_allclose([s for _, s in ours], [s for _, s in expected], rtol=1e-2)  # their ε is smaller


@pytest.mark.parametrize(
  "contents", [b"", b"words\n", b"3 2\nthe 1 2\nking 1 2\n", b"2 2\nthe 1 2\nking 1 x\n", b"2 3\nthe \0\0\0\0"]
)
def test_damaged_files_are_refused_in_a_sentence(contents, tmp_path):
  (tmp_path / "vectors").write_bytes(contents)
  with pytest.raises(UserError, match=r"vectors = "):
    word_vectors.read(tmp_path / "vectors")
  with pytest.raises(UserError, match="no such file"):
    word_vectors.read(tmp_path / "none")


def test_an_unknown_word_is_answered_with_the_nearest_spellings():
  with pytest.raises(UserError, match=r"queeen.*nearest spellings: queen"):
    VECTORS.vector("queeen")
  with pytest.raises(UserError, match="no word is spelt like it"):
    VECTORS.most_similar(["zzzzzzzz"])


def test_an_unknown_word_has_the_mean_of_its_subwords():
  subwords, buckets = Subwords(3, 4, 50), RNG.normal(size=(50, 5))
  known = WordVectors(WORDS, VECTORS.vectors, subwords, buckets)
  np.testing.assert_allclose(known.vector("kings"), buckets[subwords.of("kings")].mean(0))
  assert len(subwords.of("kings")) == 5 + 4, "<ki kin ing ngs gs> and <kin king ings ngs>"
  np.testing.assert_array_equal(known.vector("king"), VECTORS.vectors[3])


def test_hashes_are_fasttexts():
  """Those of gensim, and FNV's published value of "a"."""
  assert vocabulary.fnv1a("a") == 0xE40C292C
  hashes = pytest.importorskip("gensim.models.fasttext_inner")
  grams = ["<ki", "straße", "日本"]
  assert [vocabulary.fnv1a(gram) % 2000 for gram in grams] == [
    hashes.ft_hash_bytes(gram.encode()) % 2000 for gram in grams
  ]


def test_phrases_are_gensims():
  phrases = pytest.importorskip("gensim.models.phrases")
  text = [["new", "york", "is", "in", "new", "england"], ["old", "york", "is", "not"], ["new", "york", "new", "york"]]
  found = vocabulary.phrases(text * 5, least=2, threshold=1.0)
  theirs = phrases.Phrases(text * 5, min_count=2, threshold=1.0)
  assert {"_".join(pair): pytest.approx(score) for pair, score in found.items()} == theirs.export_phrases()
  assert vocabulary.joined(text, found) == [list(theirs[sentence]) for sentence in text]


def test_the_stream_leaves_out_rare_words():
  sentences = [["a", "b", "a"], ["b", "c"], ["a"]]
  stream = vocabulary.stream(sentences, least=2)
  assert stream.words == ("a", "b")
  np.testing.assert_array_equal(stream.counts, [3, 2])
  np.testing.assert_array_equal(stream.tokens, [0, 1, 0, 1, 0])
  np.testing.assert_array_equal(stream.units, [0, 0, 0, 1, 2])
  assert stream.total == 6
  with pytest.raises(UserError, match="lower it"):
    vocabulary.stream(sentences, least=3)
  assert vocabulary.in_blocks(sentences, 4) == [["a", "b", "a", "b"], ["c", "a"]]


def test_texts_are_cut_into_sentences(tmp_path):
  (tmp_path / "one.txt").write_text("A cat's tail.  Well-known, I THINK!\n\nNo end\nhere")
  assert vocabulary.load("own", str(tmp_path)) == [
    ["a", "cat's", "tail"],
    ["well-known", "i", "think"],
    ["no", "end", "here"],
  ]
  (tmp_path / "one.txt").write_text("word")
  with pytest.raises(UserError, match="fewer than two words"):
    vocabulary.load("own", str(tmp_path))
  with pytest.raises(UserError, match="choose one of"):
    vocabulary.load("nothing")


def test_agreement_with_people(tmp_path):
  """Four vectors in the plane, their cosines in the order of what people said, but for one pair."""
  angles = np.deg2rad([0, 10, 40, 100])
  vectors = WordVectors(("a", "b", "c", "d"), np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32))
  file = tmp_path / "pairs"
  file.write_text("# x\nA\tb\t9\na\tc\t7\na\td\t1\nb\tc\t8\na\tzebra\t5\n")
  found = measures.similarity(vectors, measures.pairs(file))
  assert (found.covered, found.pairs) == (4, 5)
  assert found.spearman == pytest.approx(1)
  assert np.isnan(measures.similarity(vectors, [("a", "b", 1.0)]).spearman)
  file.write_text("one two\n")
  with pytest.raises(UserError, match="by tabs"):
    measures.pairs(file)


def test_analogies_are_most_similar_s_first_answers(tmp_path):
  file = tmp_path / "questions"
  file.write_text(": royal\nman king woman Queen\nman king woman paris\n: other\nthe the the the\n")
  first = VECTORS.most_similar(["king", "woman"], ["man"], 1)[0][0]
  assert measures.questions(file)["royal"][0] == ["man", "king", "woman", "queen"]
  sections = {"one": [["man", "king", "woman", first], ["man", "king", "woman", "the"]]}
  assert measures.analogies(VECTORS, sections) == {"one": (1 + (first == "the"), 2)}


def test_what_an_analogy_asks_for():
  assert terms("king - man + woman") == (["king", "woman"], ["man"])
  assert terms("King -man woman+child") == (["king", "woman", "child"], ["man"])
  assert terms("well-known") == (["well-known"], [])
