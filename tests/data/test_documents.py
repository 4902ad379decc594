"""Documents as counts."""

import numpy as np
import pytest

from research.data import documents
from research.errors import UserError


def test_counts_are_of_words_that_are_neither_rare_nor_everywhere():
  texts = [["cat", "cat", "dog"], ["cat", "bird"], ["cat", "dog"], ["fish"]]
  vocabulary = documents.choose_vocabulary(texts, least=2, most=0.5)
  assert vocabulary == ("dog",), "cat stands in three of four, fish in one"
  words, counts = documents.count([["dog", "bird", *of_text] for of_text in texts], ("bird", "cat", "dog"))
  assert words.tolist() == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 2, 0]]
  assert counts.tolist() == [[1, 2, 2], [2, 1, 1], [1, 1, 2], [1, 1, 0]]
  words, counts = documents.count([["fish"], []], ("cat",))
  assert (words.tolist(), counts.tolist()) == ([[0], [0]], [[0], [0]]), "of no known word: one empty place"


def test_pythons_help_is_always_there():
  train, test = documents.load("python_help")
  assert train.vocabulary == test.vocabulary
  assert len(train) > 8 * len(test) > 0
  assert train.counts.sum(1).min() > 0 or len(train) > 20


def test_own_folder_and_own_lines_are_the_same(tmp_path):
  lines = [f"alpha beta gamma word{'abc'[i % 3]}" for i in range(20)]
  (tmp_path / "docs").mkdir()
  for i, line in enumerate(lines):
    (tmp_path / "docs" / f"{i:02}.txt").write_text(line)
  (tmp_path / "lines.txt").write_text("\n".join(lines) + "\n\n")
  one, other = (documents.load("own", str(tmp_path / name), most=1.0)[0] for name in ("docs", "lines.txt"))
  np.testing.assert_array_equal(one.words, other.words)
  np.testing.assert_array_equal(one.counts, other.counts)


def test_halves_are_a_division_of_the_words():
  train, _ = documents.load("python_help")
  observed, held_out = documents.completion(train)
  np.testing.assert_array_equal(observed + held_out, train.counts)
  assert observed.min() >= 0 <= held_out.min()
  np.testing.assert_allclose(observed.sum() / train.counts.sum(), 0.5, atol=0.01)
  # Empty places draw nothing: rows of another length, or of every word of the vocabulary, have the same halves.
  table = np.zeros((len(train), len(train.vocabulary)), int)
  np.add.at(table, (np.arange(len(train))[:, None], train.words), train.counts.astype(int))
  of_table = np.random.Generator(np.random.Philox(key=0)).binomial(table, 0.5)
  np.testing.assert_array_equal(of_table[table > 0], observed[train.counts > 0])


@pytest.mark.parametrize(
  ("text", "options", "remedy"),
  [
    ("one line alone\n", {}, "ten or more"),
    ("some words here\n" * 20, {"most": 0.1}, "no word stands"),
    (None, {}, "folder of .txt files"),
  ],
)
def test_what_makes_no_topics_is_refused(tmp_path, text, options, remedy):
  file = tmp_path / "x.txt"
  if text:
    file.write_text(text)
  with pytest.raises(UserError, match=remedy):
    documents.load("own", str(file), **options)


def test_what_is_no_text_is_refused(tmp_path):
  (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00caf\xe9\n" * 20)
  with pytest.raises(UserError, match="UTF-8"):
    documents.load("own", str(tmp_path / "x.txt"))
