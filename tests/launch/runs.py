"""What a run left behind, as numbers that must not depend on how often it was stopped."""

import json

from research.training.rundir import read_rows


def numbers(workdir):
  """Every row but those of times, and the final metrics."""
  rows = [row for row in read_rows(workdir / "metrics.jsonl") if row["kind"] != "timing"]
  return rows, json.loads((workdir / "result.json").read_text())["metrics"]
