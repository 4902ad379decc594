"""Reviews of one sentence each."""

from pathlib import Path


def write(folder: Path) -> None:
  """`train.tsv` and `dev.tsv`: sixty reviews each, of two classes that one word tells."""
  reviews = "".join(f"{i % 2}\ta {('dull', 'fine')[i % 2]} film number {i % 7}\n" for i in range(60))
  for split in ("train", "dev"):
    (folder / f"{split}.tsv").write_text(f"label\tcontent\n{reviews}")
