"""What a person sees of a run: a bar on a terminal, lines elsewhere."""

import io
import sys

from research.training import loop


class Terminal(io.StringIO):
  def isatty(self):
    return True


class Rows:
  """A writer of metrics that keeps nothing."""

  def write(self, *row):
    pass


def said(stream, monkeypatch) -> str:
  monkeypatch.setattr(sys, "stderr", stream)
  monkeypatch.setenv("TERM", "xterm")
  monkeypatch.setenv("COLUMNS", "100")
  progress = loop._Progress(loop.Settings(total_steps=40), Rows(), 0, 0)  # ty: ignore[invalid-argument-type]
  progress.say(0, "train", {"loss": 2.5}, 4.0)
  progress.say(10, "eval", {"accuracy": 0.75})
  progress.close()
  return stream.getvalue()


def test_lines_in_a_file(monkeypatch):
  lines = said(io.StringIO(), monkeypatch).splitlines()
  assert lines[0].startswith("train       0/40  loss 2.5  | 4 steps/s  ETA 0:10")
  assert lines[1:] == ["eval       10/40  accuracy 0.75"]


def test_a_bar_on_a_terminal(monkeypatch):
  text = said(Terminal(), monkeypatch)
  assert "0/40" in text
  assert "10/40" in text
  assert "loss 2.5" in text
  assert "eval       10/40  accuracy 0.75" in text
  assert "\x1b[" in text, "it is drawn again in its place"
