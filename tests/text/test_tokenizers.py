"""What is encoded comes back; a vocabulary is of the training part; a tokenizer survives its JSON."""

import numpy as np
import pytest

from research.errors import UserError
from research.text import tokenizers

TEXT = "To be, or not to be:\nthat is the question. Don't — 'tis naïve 🙂\t\n"


@pytest.mark.parametrize("kind", ["characters", "bytes", "bpe"])
def test_any_text_comes_back_as_it_was(kind):
  if kind == "bpe":
    pytest.importorskip("tokenizers")
  tokenizer = tokenizers.learned(kind, TEXT, 300)
  tokens = tokenizer.encode(TEXT)
  assert tokens.dtype == np.int32
  assert 0 <= tokens.min() <= tokens.max() < tokenizer.size
  assert tokenizer.decode(tokens) == TEXT
  again = tokenizers.loads(tokenizers.dumps(tokenizer))
  assert again == tokenizer
  np.testing.assert_array_equal(again.encode(TEXT), tokens)


@pytest.mark.parametrize("kind", ["bytes", "bpe"])
def test_texts_of_any_code_points_come_back(kind):
  """Random ones from all planes, which the training text had none of."""
  if kind == "bpe":
    pytest.importorskip("tokenizers")
  tokenizer, rng = tokenizers.learned(kind, TEXT, 300), np.random.default_rng(0)
  for size in range(30):
    points = rng.integers(0, 0x110000, size)
    text = "".join(chr(p) for p in points if not 0xD800 <= p < 0xE000)
    assert tokenizer.decode(tokenizer.encode(text)) == text


def test_bytes_that_are_no_utf8_are_decoded_all_the_same():
  assert tokenizers.Bytes().decode([0x41, 0xFF, 0x42]) == "A\ufffdB"


def test_byte_pairs_are_merged():
  pytest.importorskip("tokenizers")
  tokenizer = tokenizers.learned("bpe", "low lower lowest " * 20, 270)
  assert tokenizer.size == 270 or len(tokenizer.encode("lower")) < 5
  assert len(tokenizer.encode("lower")) < 5
  with pytest.raises(UserError, match="256"):
    tokenizers.learned("bpe", TEXT, 100)


def test_words_of_the_training_part_are_the_most_frequent_ones():
  tokenizer = tokenizers.Words.learned("a b b c c c. D", size=3)
  assert tokenizer.vocabulary == ("<unk>", "c", "b")
  assert tokenizer.encode("b c zebra").tolist() == [2, 1, 0]
  assert tokenizer.decode([2, 1, 0]) == "b c <unk>"
  assert tokenizers.loads(tokenizers.dumps(tokenizer)) == tokenizer
  lower = tokenizers.Words.learned("The the cat\ndon't", lower=True)
  assert lower.vocabulary == ("<unk>", "the", "\n", "cat", "don't")
  assert lower.decode(lower.encode("The cat\nthe cat")) == "the cat\nthe cat"
  assert tokenizers.Words.learned("a a b", least=2).vocabulary == ("<unk>", "a")


def test_characters_that_training_lacks_are_named():
  with pytest.raises(UserError, match="leave them out") as refused:
    tokenizers.learned("characters", "abc").encode("abcz")
  assert refused.value.value == "z"


def test_no_text_and_no_such_kind_are_refused():
  with pytest.raises(UserError, match="empty"):
    tokenizers.learned("characters", "")
  with pytest.raises(UserError, match="choose one of"):
    tokenizers.learned("letters", "abc")
