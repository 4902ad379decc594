"""RESULTS.md as Markdown, a function of the results alone."""

import json
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.results.collect import Result, changes, file_name, read, short_config
from research.errors import UserError


def render_collection(folder: pathlib.Path) -> str:
  """RESULTS.md: the preface, runs, benchmarks."""
  preface, benchmarks = folder / "preface.md", folder / "benchmarks.jsonl"
  lines = benchmarks.read_text().splitlines() if benchmarks.exists() else []
  return render(
    read(sorted(folder.glob("*.json"))),
    [json.loads(line) for line in lines if line.strip()],
    preface.read_text() if preface.exists() else "# Results\n",
  )


def render(
  results: Sequence[Result], benchmarks: Sequence[Mapping[str, Any]] = (), preface: str = "# Results\n"
) -> str:
  """Markdown; a function of its arguments alone, whatever order the results come in."""
  groups = grouped(results)
  blocks = [preface.rstrip()]
  if groups:
    lines = [headline(runs) for _, runs in sorted(groups.items())]
    rows = [(line.config, f"`{line.metric}`", *line[3:]) for line in lines]
    header = ("config", "metric", "measured (n)", "published", "bar", "met", "minutes")
    blocks.append("\n\n".join(["## All configs", markdown_table(header, rows), verdict(lines)]))
  for experiment in sorted({key[0] for key in groups}):
    blocks.append(_section(experiment, [runs for key, runs in sorted(groups.items()) if key[0] == experiment]))
  if benchmarks:
    blocks.append(_benchmark_section(benchmarks))
  return "\n\n".join(blocks) + "\n"


def grouped(results: Sequence[Result]) -> dict[tuple, list[Result]]:
  """Runs that differ in their seeds alone, by (experiment, config, overrides, device, unfinished)."""
  groups: dict[tuple, list[Result]] = {}
  for result in sorted(results, key=file_name):
    overrides = str(changes(result))
    key = (result["experiment"], short_config(result), overrides, result["device"], not result["finished"])
    groups.setdefault(key, []).append(result)
  return groups


class Headline(NamedTuple):
  """What a config comes to in one line.

  Attributes:
    experiment, config: which; the config with its variant and overrides.
    metric: a missed bar's, else the first that has a bar, else a published value, else the first of the test set.
    measured, published, bar: as text.
    met: `met`, `**MISSED**`, or `-` where there is no bar; of several bars one that is missed decides.
    minutes: mean wall time of a run.
  """

  experiment: str
  config: str
  metric: str
  measured: str
  published: str
  bar: str
  met: str
  minutes: str


def headline(runs: Sequence[Result]) -> Headline:
  """The line of runs that differ in their seeds alone."""

  def rank(name: str) -> tuple:
    metric = runs[0]["metrics"][name]
    missed = _compared(metric, _values(runs, name))[1].endswith("**MISSED**")
    return not missed, "bar" not in metric, "published" not in metric, not name.startswith("test_")

  measured = [name for name in runs[0]["metrics"] if _values(runs, name)]
  minutes = f"{np.mean([run['wall_seconds'] for run in runs]) / 60:.1f}"
  if not measured:
    return Headline(runs[0]["experiment"], _label(runs[0]), "-", "-", "-", "-", "-", minutes)
  name = min(measured, key=rank)
  values = _values(runs, name)
  published, compared = _compared(runs[0]["metrics"][name], values)
  bar, _, met = compared.rpartition(" ") if compared != "-" else ("-", "", "-")
  return Headline(runs[0]["experiment"], _label(runs[0]), name, mean_and_spread(values), published, bar, met, minutes)


def verdict(lines: Sequence[Headline]) -> str:
  """How many configs meet their bars, and which miss one."""
  missed = [f"`{line.config}`" for line in lines if line.met == "**MISSED**"]
  barred = sum(line.met != "-" for line in lines)
  names = f" ({', '.join(missed)})" if missed else ""
  return f"Of {barred} configs with a bar {barred - len(missed)} meet all of theirs; missed: {len(missed)}{names}."


MARKERS = "<!-- written by `make results` -->", "<!-- until here -->"


def with_best_lines(page: str, results: Sequence[Result]) -> str:
  """A page, with the best line of each family and the misses' count between `MARKERS`.

  The best line is one that meets its bar, then one with a published value, then of most seeds, then the first.

  Raises:
    UserError: the page has no place for them.
  """
  before, begin, rest = page.partition(MARKERS[0])
  _, end, after = rest.partition(MARKERS[1])
  if not (begin and end):
    raise UserError("README.md", " ".join(MARKERS), "it needs these two lines, the table stands between them.")
  finished = {key: runs for key, runs in grouped(results).items() if not key[-1]}
  pairs = [(headline(runs), len(runs)) for _, runs in sorted(finished.items())]
  rank = lambda pair: (pair[0].met != "met", pair[0].published == "-", -pair[1])
  best = {}
  for line, _ in sorted(pairs, key=rank):
    best.setdefault(line.experiment, line)
  rows = [(name, line.config, f"`{line.metric}`", *line[3:]) for name, line in sorted(best.items())]
  header = ("family", "config", "metric", "measured (n)", "published", "bar", "met", "minutes")
  table = markdown_table(header, rows)
  return f"{before}{begin}\n\n{table}\n\n{verdict([line for line, _ in pairs])}\n\n{end}{after}"


def _section(experiment: str, groups: Sequence[Sequence[Result]]) -> str:
  """A table of what has a published value or a bar, else of one; all else measured; definitions."""
  header = ("config", "metric", "measured (n)", "published", "bar", "steps", "wall time", "hardware", "commit")
  rows, others, notes = [], [], {}
  for runs in groups:
    measured = {
      name: (metric, values) for name, metric in runs[0]["metrics"].items() if (values := _values(runs, name))
    }
    headlines = [name for name, (metric, _) in measured.items() if "published" in metric or "bar" in metric]
    headlines = headlines or sorted(measured, key=lambda name: not name.startswith("test_"))[:1]
    for name in headlines:
      metric, values = measured[name]
      cells = f"`{name}`", mean_and_spread(values), *_compared(metric, values)
      rows.append([_label(runs[0]), *cells, *_circumstances(runs)])
    if not measured:
      rows.append([_label(runs[0]), "-", "-", "-", "-", *_circumstances(runs)])
    rest = [f"`{name}` {mean_and_spread(measured[name][1])}" for name in measured if name not in headlines]
    if rest:
      others.append(f"- {_label(runs[0])}, {runs[0]['device']}: {'; '.join(rest)}")
    for name, (metric, _) in measured.items():
      notes.setdefault(f"- `{name}`: {(metric.get('definition') or 'not defined').rstrip('.')}.", None)
  parts = [f"## {experiment}", markdown_table(header, rows)]
  if others:
    parts.append("Also measured:\n\n" + "\n".join(others))
  remarks = dict.fromkeys(f"- {_label(run)}: {run['note']}" for runs in groups for run in runs if run.get("note"))
  if remarks:
    parts.append("Notes:\n\n" + "\n".join(remarks))
  return "\n\n".join([*parts, "Definitions:\n\n" + "\n".join(notes)] if notes else parts)


def _label(result: Result) -> str:
  overrides = " ".join(f"{k}={v}" for k, v in changes(result))
  return f"{short_config(result)} {overrides}".strip() + ("" if result["finished"] else " (unfinished)")


def _values(runs: Sequence[Result], name: str) -> list[float]:
  # A value that is not a number is written as None; it must not vanish from a mean.
  values = [run["metrics"][name]["value"] for run in runs if name in run["metrics"]]
  values = [float("nan") if v is None else v for v in values]
  return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]


def _compared(metric: Mapping[str, Any], values: Sequence[float]) -> tuple[str, str]:
  """Published value and its source; bar, and whether the mean over the seeds meets it."""
  source = f" ({metric['source']})" if metric.get("source") else ""
  published = _number(metric["published"]) + source if "published" in metric else "-"
  bar = metric.get("bar") or {}
  if not bar:
    return published, "-"
  mean = np.mean(values)
  met = mean >= bar.get("min", -float("inf")) and mean <= bar.get("max", float("inf"))  # a NaN meets nothing
  limits = ", ".join(f"{sign} {_number(bar[side])}" for side, sign in (("min", "≥"), ("max", "≤")) if side in bar)
  return published, f"{limits} met" if met else f"{limits} **MISSED**"


def _circumstances(runs: Sequence[Result]) -> tuple[str, ...]:
  """Steps, wall time, hardware, commit."""

  def several(values) -> str:
    return ", ".join(dict.fromkeys(str(v) for v in values))

  wall = wall_time(np.mean([run["wall_seconds"] for run in runs]))
  compiled = [run["compile_seconds"] for run in runs if run.get("compile_seconds") is not None]
  compiling = f" (compiling {wall_time(np.mean(compiled))})" if compiled else ""
  # Forty digits are cut to ten; `-dirty` after fewer is kept, it must be seen.
  commits = several(re.sub(r"\b([0-9a-f]{10})[0-9a-f]{30}", r"\1", run.get("commit") or "unknown") for run in runs)
  return several(run["step"] for run in runs), wall + compiling, runs[0]["device"], commits


def _benchmark_section(rows: Sequence[Mapping[str, Any]]) -> str:
  """Ours beside the fastest peer's, of each workload, and how many times as fast ours is."""
  ours, peers = {}, {}
  for row in rows:
    if "error" in row:
      continue
    name = str(row.get("peer", "genera"))
    if name.startswith("genera"):
      ours[row["workload"]] = row
    else:
      peers.setdefault(row["workload"], {})[name] = row
  table, remarks = [], []
  for workload in sorted({*ours, *peers}):
    our, peer = ours.get(workload), _fastest(peers.get(workload, {}).values())
    row = our or peer or {}
    if our and peer and (our.get("metric"), our.get("unit")) != (peer.get("metric"), peer.get("unit")):
      raise UserError("benchmarks", workload, "our row and the peer's differ in metric or unit: measure the same thing")
    ratio = "-"
    if our and peer and our["value"] and peer["value"]:
      ratio = f"{our['value'] / peer['value'] if _is_rate(our) else peer['value'] / our['value']:.2f}"
    quantity = f"{row.get('metric', 'value')}, {row.get('unit', '')}".replace("_", " ")
    values = [f"{side['value']:.4g}" if side else "-" for side in (our, peer)]
    detail = our.get("device") or our.get("detail", {}).get("device") if our else None
    table.append([f"`{workload}`", quantity, *values, ratio, peer["peer"] if peer else "-", detail or "-"])
    if row.get("note"):
      remarks.append(f"- `{workload}`: {row['note']}")
  header = ("workload", "quantity", "genera", "peer", "times as fast", "the peer", "hardware")
  return "## Speed\n\nAbove 1 in the fifth column: faster than the peer.\n\n" + "\n\n".join(
    [markdown_table(header, table), *(["Notes:\n\n" + "\n".join(remarks)] if remarks else [])]
  )


def _is_rate(row: Mapping[str, Any]) -> bool:
  """Whether more is better."""
  return str(row.get("unit", "")).endswith("/s")


def _fastest(rows: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
  return max(rows, key=lambda row: row["value"] * (1 if _is_rate(row) else -1), default=None)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  lines = [header, ["---"] * len(header), *rows]
  return "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)


def mean_and_spread(values: Sequence[float]) -> str:
  """`0.9953 ± 0.0004 (3)`: mean, sample standard deviation, number of seeds."""
  spread = f" ± {_number(np.std(values, ddof=1))}" if len(values) > 1 else ""
  return f"{_number(np.mean(values))}{spread} ({len(values)})"


def _number(value: float | np.floating | str) -> str:
  """Four decimals for what is of the order of a fraction, four digits otherwise."""
  if isinstance(value, str):
    return value
  return f"{value:.4f}" if 1e-3 <= abs(value) < 10 or value == 0 else f"{value:.4g}"


def wall_time(seconds: float | np.floating) -> str:
  return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
