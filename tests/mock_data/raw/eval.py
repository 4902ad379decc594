"""What vectors of words are held against: judged pairs and analogies."""

from pathlib import Path


def write(folder: Path) -> None:
  """`wordsim353.tsv`, `simlex999.txt` and `questions-words.txt`: of words that the corpus in `brown.py` has."""
  pairs = "# pairs\ndog\tcat\t9.1\nmill\twalk\t1.5\nsees\thears\t7\ntakes\tpainter\t2\nking\tqueen\t8\n"
  for name in ("wordsim353.tsv", "simlex999.txt"):
    (folder / name).write_text(pairs)
  (folder / "questions-words.txt").write_text(": animals\ndog cat sees hears\n: people\nking queen man woman\n")
