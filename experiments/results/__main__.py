"""RESULTS.md, written from what runs left behind: measured beside published, bars met or missed.

python -m experiments.results                       write RESULTS.md, and README's table, from results/
python -m experiments.results --collect RUNDIR...   first copy the finished runs found under RUNDIR into results/
python -m experiments.results RUNDIR... [--output=FILE]   a table of these runs alone, to FILE or the screen
"""

import argparse
import pathlib
import sys
from collections.abc import Sequence

from experiments.results.collect import collect, find, read
from experiments.results.tables import render, render_collection, with_best_lines
from research.errors import UserError

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main(argv: Sequence[str] | None = None) -> int:
  """The command line; returns the exit code, 2 for bad input."""
  parser = argparse.ArgumentParser(prog="python -m experiments.results", description=(__doc__ or "").partition("\n")[0])
  parser.add_argument("rundirs", nargs="*", type=pathlib.Path, help="run folders, or folders of run folders")
  parser.add_argument("--collect", action="store_true", help="copy finished runs into --results, then write from there")
  parser.add_argument("--results", type=pathlib.Path, default=ROOT / "results", help="the collection (results/)")
  parser.add_argument("--output", type=pathlib.Path, help="file to write (RESULTS.md)")
  flags = parser.parse_args(argv)
  try:
    if flags.rundirs and not flags.collect:
      text = render(read(find(flags.rundirs)))
      if flags.output is None:
        print(text, end="")
        return 0
    else:
      if flags.collect:
        collect(flags.rundirs, flags.results)
      text = render_collection(flags.results)
    if flags.output is None:
      page, results = ROOT / "README.md", read(sorted(flags.results.glob("*.json")))
      page.write_text(with_best_lines(page.read_text(), results))
    output = flags.output or ROOT / "RESULTS.md"
    output.write_text(text)
    print(f"wrote {output}")
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return 2
  return 0


if __name__ == "__main__":
  sys.exit(main())
