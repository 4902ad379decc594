"""Captions in two languages."""

from pathlib import Path

import numpy as np

WORDS = (("ein", "a"), ("mann", "man"), ("hund", "dog"), ("rennt", "runs"), ("und", "and"), ("schwimmt", "swims"))


def write(folder: Path) -> None:
  """`{train,val,test2016}.{de,en}`: forty captions each of two to six words, translated word by word."""
  rng = np.random.default_rng(0)
  for split in ("train", "val", "test2016"):
    captions = [rng.integers(0, len(WORDS), rng.integers(2, 7)) for _ in range(40)]
    for side, language in enumerate(("de", "en")):
      lines = [" ".join(WORDS[word][side] for word in caption) for caption in captions]
      (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n")
