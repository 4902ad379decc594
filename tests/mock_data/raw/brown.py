"""A tagged corpus."""

from pathlib import Path

import numpy as np


def write(folder: Path, sentences: int = 60) -> None:
  """`brown.txt` and `brown_pos.txt`: sentences of a grammar that a tagger can learn."""
  rng = np.random.default_rng(0)
  nouns = ["dog", "cat", "mill", "walk", "Town-hall", "3rd", "running", "talking", "painter", "hunter"]
  verbs = ["sees", "takes", "walk", "hears", "calls"]
  words, tags = [], []
  for _ in range(sentences):
    one, other = rng.choice(nouns), "".join(rng.choice(list("abcdefgh"), 6))  # the other is a word of its own
    end, subject = rng.choice(["", "today "]), "NN-TL" if one == "Town-hall" else "NN"
    words.append(f"{rng.choice(['The', 'A'])} {one} {rng.choice(verbs)} the {other} {end}.")
    tags.append(f"AT {subject} VBZ AT NN {'NR ' if end else ''}.")
  (folder / "brown.txt").write_text("\n".join(words) + "\n")
  (folder / "brown_pos.txt").write_text("\n".join(tags) + "\n")
