"""Preflights many configs for many topologies, each in a process of its own, and writes a table.

  python -m launch.preflight.survey --topologies=host:8,v5e:2x4 --output=runs/preflight.jsonl [CONFIG[:variant]...]

Without configs: the smoke variant of every one.  What is in the output already is not run again.
"""

import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.command import listing

TIMEOUT_SECONDS = 900


def one(config: str, topology: str, options: Sequence[str] = ()) -> dict[str, Any]:
  """The numbers of one preflight, or what stands in their place: exit code and last words."""
  begin = time.perf_counter()
  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder) / "found.json"
    command = [sys.executable, "-m", "launch.preflight", f"--config={config}", f"--topology={topology}"]
    command += ["--largest-batch=no", f"--workdir={folder}/run", f"--json={file}", *options]
    try:
      done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
      code, words = done.returncode, (done.stderr or done.stdout).strip()
    except subprocess.TimeoutExpired:
      code, words = None, f"not done after {TIMEOUT_SECONDS} s"
    report = json.loads(file.read_text()) if file.exists() else {"words": words[-300:]}
  wall = round(time.perf_counter() - begin, 1)
  return {"config": config, "topology": topology, "options": list(options), "exit": code, "wall_seconds": wall} | report


def table(rows: Iterable[Mapping[str, Any]]) -> str:
  """Markdown, one line a preflight."""
  lines = [
    "| config | topology | mode, batch | needs a device, MiB | MFLOP a step | traffic, MiB | collectives, KiB "
    "| at least, us | bound by |",
    "|---|---|---|---|---|---|---|---|---|",
  ]
  for row in rows:
    name = f"`{row['config'].removeprefix('configs/').replace('.py', '')}`"
    slices = f" ({row['slices']})" if row.get("slices") else ""
    if "needed" not in row:
      reason = (row.get("refusal") or row.get("words") or "").replace("\n", " ")[:160]
      lines.append(f"| {name} | {row['topology']}{slices} | exit {row['exit']}: {reason} | | | | | | |")
      continue
    operations = sum(row["operations"]["products"].values()) + row["operations"]["other"]
    sent = sum(collective["bytes"] for collective in row["collectives"]) / 2**10
    bound = row["roofline"] if "compute" in row["roofline"] else {}
    least = f"{1e6 * bound['seconds']:.3g} | {bound['bound_by']}" if bound else "- | -"
    lines.append(
      f"| {name} | {row['topology']}{slices} | {row['parallelism']}, {row['batch'].removeprefix('batch ')} "
      f"| {row['needed'] / 2**20:.3g}{'' if row['fits'] else ' DOES NOT FIT'} | {operations / 1e6:.3g} "
      f"| {row['traffic'] / 2**20:.3g} | {sent:.3g} | {least} |"
    )
  return "\n".join(lines)


def main() -> int:
  """Runs what is missing; prints the table."""
  parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
  parser.add_argument("configs", nargs="*")
  parser.add_argument("--topologies", default="host:8")
  parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("runs/preflight.jsonl"))
  parser.add_argument("--option", action="append", default=[], help="handed to every preflight, as --slices=2")
  arguments = parser.parse_args()
  configs = arguments.configs or [f"{entry.path}:smoke" for entry in listing.entries()]
  arguments.output.parent.mkdir(parents=True, exist_ok=True)
  rows = [json.loads(line) for line in arguments.output.read_text().splitlines()] if arguments.output.exists() else []
  done = {(row["config"], row["topology"], *row["options"]) for row in rows}
  for topology in arguments.topologies.split(","):
    for config in configs:
      if (config, topology, *arguments.option) not in done:
        rows.append(one(config, topology, arguments.option))
        with open(arguments.output, "a") as file:
          file.write(json.dumps(rows[-1]) + "\n")
        print(f"{config} {topology} exit {rows[-1]['exit']} {rows[-1]['wall_seconds']} s", file=sys.stderr, flush=True)
  print(table(rows))
  return int(any(row["exit"] != 0 for row in rows))


if __name__ == "__main__":
  sys.exit(main())
