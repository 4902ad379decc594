"""A text of one sentence."""

from pathlib import Path


def write(folder: Path) -> None:
  """`input.txt`: ninety lines."""
  (folder / "input.txt").write_text("The king doth keep his revels here to-night.\n" * 90)
