"""Texts by name and a user's own; what is wrong with a file is said."""

import pytest

from research.errors import UserError
from research.text import corpora


def test_pythons_manual_is_there_and_its_parts_share_no_topic():
  text = corpora.load()
  assert len(text.train) > 100_000
  assert len(text.test) > 10_000
  assert text.validation == ""
  assert "assert" in text.train


def test_shakespeare_is_divided_as_nanogpt_does(tmp_path, monkeypatch):
  whole = "".join(chr(97 + i % 26) for i in range(1003))
  (tmp_path / "tinyshakespeare").mkdir()
  (tmp_path / "tinyshakespeare" / "input.txt").write_text(whole)
  monkeypatch.setenv("GENERA_DATA_DIR", str(tmp_path))
  text = corpora.load("shakespeare")
  assert (text.train, text.validation, text.test) == (whole[:902], "", whole[902:])
  assert corpora.load("shakespeare", str(tmp_path / "tinyshakespeare")) == text


def test_a_folder_of_files_is_read_in_order(tmp_path):
  (tmp_path / "sub").mkdir()
  (tmp_path / "b.txt").write_text("second " * 10)
  (tmp_path / "a.txt").write_text("first " * 10)
  (tmp_path / "sub" / "c.txt").write_text("third")
  (tmp_path / "notes.md").write_text("not this")
  whole = "first " * 10 + "\n" + "second " * 10 + "\nthird"
  assert corpora.own(str(tmp_path)) == whole
  text = corpora.load(path=str(tmp_path))
  assert text.train + text.test == whole
  assert len(text.test) == len(whole) - int(0.9 * len(whole))


def test_what_is_wrong_with_a_file_is_said(tmp_path):
  with pytest.raises(UserError, match="no such file"):
    corpora.own(str(tmp_path / "none.txt"))
  with pytest.raises(UserError, match=r"reads a \.txt file"):
    corpora.own(str(tmp_path))
  (tmp_path / "latin.txt").write_bytes("naïve".encode("latin-1"))
  with pytest.raises(UserError, match="not UTF-8"):
    corpora.own(str(tmp_path / "latin.txt"))
  (tmp_path / "blank.txt").write_text(" \n")
  with pytest.raises(UserError, match="no text"):
    corpora.own(str(tmp_path / "blank.txt"))
  with pytest.raises(UserError, match="choose one of pydoc"):
    corpora.load("bible")
