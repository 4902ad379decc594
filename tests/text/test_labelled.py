"""Tables of labelled texts, and what is wrong with one."""

import numpy as np
import pytest

from research.errors import UserError
from research.text import labelled, tokenizers

ROWS = [("pos", 'a "fine" film'), ("neg", "dull"), ("pos", "fine"), ("neg", "no, dull")] * 5


def test_every_kind_of_table_says_the_same(tmp_path):
  quoted = lambda text: '"' + text.replace('"', '""') + '"'
  (tmp_path / "a.csv").write_text("label,text\n" + "".join(f"{y},{quoted(x)}\n" for y, x in ROWS))
  (tmp_path / "a.tsv").write_text("sentence\tlabel\n" + "".join(f"{x}\t{y}\n" for y, x in ROWS))
  escape = lambda text: text.replace('"', '\\"')
  (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{escape(x)}", "label": "{y}"}}\n' for y, x in ROWS))
  for kind in ("csv", "tsv", "jsonl"):
    found = labelled.table(tmp_path / f"a.{kind}")
    assert found.texts == tuple(text for _, text in ROWS)
    assert found.class_names == ("neg", "pos")
    assert [found.class_names[i] for i in found.label] == [label for label, _ in ROWS]


def test_a_fifth_of_ones_own_table_is_held_out(tmp_path):
  (tmp_path / "a.tsv").write_text("text\tlabel\n" + "".join(f"{x} {i}\t{y}\n" for i, (y, x) in enumerate(ROWS)))
  train, test = (labelled.load("own", split, str(tmp_path / "a.tsv")) for split in ("train", "test"))
  assert (len(train), len(test)) == (16, 4)
  assert not set(train.texts) & set(test.texts)
  assert np.bincount(test.label).tolist() == [2, 2]


def test_sst2_is_scored_on_its_dev_set(tmp_path):
  for split, words in (("train", "abcdefgh"), ("dev", "xy")):
    rows = "".join(f"{i % 2}\t{word}\n" for i, word in enumerate(words))
    (tmp_path / f"{split}.tsv").write_text(f"label\ttext\n{rows}")
  assert labelled.load("sst2", "test", str(tmp_path)).texts == ("x", "y")
  train = labelled.load("sst2", "train", str(tmp_path))
  assert sorted(train.texts) == list("abcdefgh")
  assert train.texts != tuple("abcdefgh"), "its tail can be held out"
  assert all(label == (ord(text) - ord("a")) % 2 for text, label in zip(train.texts, train.label))


@pytest.mark.parametrize(
  ("contents", "match"),
  [
    ("text\tclass\na\tb\n", "no such column: choose one of text, class"),
    ("label\ttext\n0\ta\n0\tb\n", "one only"),
    ("label\ttext\n0\ta\n1\t \n", "empty"),
    ("label\ttext\n", "no rows"),
  ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, contents, match):
  (tmp_path / "a.tsv").write_text(contents)
  with pytest.raises(UserError, match=match):
    labelled.table(tmp_path / "a.tsv")


def test_files_of_other_kinds_are_refused(tmp_path):
  (tmp_path / "a.xls").touch()
  with pytest.raises(UserError, match=r"\.jsonl"):
    labelled.load("own", "train", str(tmp_path / "a.xls"))
  (tmp_path / "a.jsonl").write_text('{"text": "a", "label": 0}\n[1]\n')
  with pytest.raises(UserError, match="no JSON object"):
    labelled.table(tmp_path / "a.jsonl")
  with pytest.raises(UserError, match="choose sst2"):
    labelled.load("imdb", "train")


def test_tokens_are_padded_with_what_is_none():
  texts = labelled.LabelledTexts("x", ("a b", "c a b a"), np.array([0, 1]), ("n", "p"))
  tokenizer = tokenizers.Words(("<unk>", "a", "b"))
  assert labelled.encoded(texts, tokenizer, 3).inputs.tolist() == [[2, 3, 0], [1, 2, 3]]
