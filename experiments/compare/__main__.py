"""Several runs beside one another, in one HTML file that needs nothing else.

  python -m experiments.compare RUN RUN... [--output=compare.html]

Final metrics with their definitions, curves over one another, what differs in the configs, figures side by side.
"""

import base64
import html
import io
import itertools
import json
import math
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from experiments.command import cli, runs
from research.errors import UserError
from research.training import rundir

STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; color: #222; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
td, th { border-bottom: 1px solid #ddd; padding: .3em .8em; text-align: left; vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; text-align: right; }
img { max-width: 100%; } figure { margin: 0; } figcaption { font-size: .85em; color: #666; }
.side { display: grid; grid-auto-flow: column; grid-auto-columns: minmax(280px, 1fr); gap: 1em; overflow-x: auto; }
.definition { color: #666; font-size: .85em; }
"""


class Shown(NamedTuple):
  """What is shown of a run."""

  name: str
  path: pathlib.Path
  config: Mapping[str, Any]
  result: Mapping[str, Any]
  rows: Sequence[Mapping[str, Any]]


def load(paths: Sequence[str]) -> list[Shown]:
  """Runs by their folders, with the shortest names that tell them apart.

  Raises:
    UserError: fewer than one, or a folder of none.
  """
  if not paths:
    raise UserError("RUN", "", "name the folders of the runs: python -m experiments.compare runs/a runs/b")
  for path in paths:
    if not runs.holds_one(path):
      raise UserError("RUN", path, "it is no folder of a run: it has no config.json.")
  places = [pathlib.Path(path) for path in paths]
  parts = [place.absolute().parts for place in places]
  depth = next(n for n in itertools.count(1) if len({p[-n:] for p in parts}) == len({*parts}) or n > 20)
  read = lambda place, name: runs._read(place / name) or {}
  return [
    Shown(
      "/".join(p[-depth:]),
      place,
      read(place, "config.json"),
      read(place, "result.json"),
      rundir.read_rows(place / "metrics.jsonl"),
    )
    for p, place in zip(parts, places)
  ]


def page(runs: Sequence[Shown]) -> str:
  """The HTML."""
  names = ", ".join(html.escape(run.name) for run in runs)
  sections = [_metrics(runs), _curves(runs), _differences(runs), _figures(runs)]
  head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{names}</title><style>{STYLE}</style>'
  return f"{head}<h1>{len(runs)} runs</h1>{''.join(sections)}</html>\n"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
  cells = lambda row: "".join(row)
  top = "".join(f"<th>{html.escape(name)}</th>" for name in header)
  return f"<table><tr>{top}</tr>{''.join(f'<tr>{cells(row)}</tr>' for row in rows)}</table>"


def _metrics(runs) -> str:
  metrics_of_runs = [run.result.get("metrics", {}) for run in runs]
  rows = []
  for name in dict.fromkeys(name for metrics in metrics_of_runs for name in metrics):
    definition = next((m[name].get("definition", "") for m in metrics_of_runs if name in m), "")
    values = [m.get(name, {}).get("value") for m in metrics_of_runs]
    text = [f"{value:.5g}" if isinstance(value, int | float) else "" for value in values]
    label = f'{html.escape(name)}<div class="definition">{html.escape(definition)}</div>'
    rows.append([f"<td>{label}</td>", *(f'<td class="number">{value}</td>' for value in text)])
  for name in ("step", "seed", "wall_seconds", "device", "commit"):
    rows.append(
      [f"<td>{name}</td>", *(f'<td class="number">{html.escape(str(run.result.get(name, "")))}</td>' for run in runs)]
    )
  return "<h2>Final metrics</h2>" + _table(["", *(run.name for run in runs)], rows)


def _curves(runs) -> str:
  """One picture: a panel for each kind and metric that at least one run has twice."""
  from matplotlib.figure import Figure

  series: dict[str, dict[str, list[tuple[int, float]]]] = {}
  for run in runs:
    for row in run.rows:
      for name, value in row.items():
        if name not in ("step", "kind") and isinstance(value, int | float) and math.isfinite(value):
          series.setdefault(f"{row['kind']} {name}", {}).setdefault(run.name, []).append((row["step"], value))
  panels = {name: lines for name, lines in series.items() if max(map(len, lines.values())) > 1}
  if not any(value for points in panels.get("train skipped", {}).values() for _, value in points):
    panels.pop("train skipped", None)  # as it should be
  if not panels:
    return ""
  columns = min(3, len(panels))
  rows = -(-len(panels) // columns)
  figure = Figure(figsize=(4 * columns, 2.8 * rows + 0.5), layout="constrained")
  colours = {run.name: f"C{i}" for i, run in enumerate(runs)}
  handles: dict[str, Any] = {}
  places = figure.subplots(rows, columns, squeeze=False).ravel()
  for axes in places[len(panels) :]:
    axes.set_axis_off()
  for axes, (title, lines) in zip(places, panels.items()):
    for name, points in lines.items():
      # The later the thinner, so that one that lies over another hides none.
      width = 1.3 + 2.4 * (len(runs) - 1 - [run.name for run in runs].index(name)) / len(runs)
      handles[name] = axes.plot(*zip(*points), color=colours[name], linewidth=width)[0]
    axes.set_title(title, fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
  layout: Any = figure.get_layout_engine()
  layout.set(hspace=0.08)
  listed = [run.name for run in runs if run.name in handles]
  figure.legend([handles[name] for name in listed], listed, loc="outside upper left", frameon=False)
  buffer = io.BytesIO()
  figure.savefig(buffer, format="png", dpi=110)
  return f"<h2>Curves, by step</h2>{_image(buffer.getvalue(), 'curves')}"


def _differences(runs) -> str:
  flat = [cli.flattened(run.config) for run in runs]
  fields = dict.fromkeys(field for config in flat for field in config)
  differ = [field for field in fields if len({json.dumps(config.get(field)) for config in flat}) > 1]
  text = lambda config, field: html.escape(json.dumps(config[field])) if field in config else ""
  rows = [
    [f"<td>{html.escape(field)}</td>", *(f"<td>{text(config, field)}</td>" for config in flat)] for field in differ
  ]
  body = _table(["", *(run.name for run in runs)], rows) if rows else "<p>None.</p>"
  return f"<h2>Differences of the configs</h2>{body}"


def _figures(runs) -> str:
  names = dict.fromkeys(file.stem for run in runs for file in sorted((run.path / "figures").glob("*.png")))
  parts = ["<h2>Figures</h2>"] if names else []
  for name in names:
    files = [(run.name, run.path / "figures" / f"{name}.png") for run in runs]
    parts.append(f"<h3>{html.escape(name)}</h3>")
    # A run that has none keeps its column.
    pictures = (_image(file.read_bytes(), label) if file.exists() else _absent(label) for label, file in files)
    parts.append(f'<div class="side">{"".join(pictures)}</div>')
  return "".join(parts)


def _absent(caption: str) -> str:
  return f"<figure><figcaption>{html.escape(caption)}: none</figcaption></figure>"


def _image(png: bytes, caption: str) -> str:
  data, text = base64.b64encode(png).decode(), html.escape(caption)
  return f'<figure><img alt="{text}" src="data:image/png;base64,{data}"><figcaption>{text}</figcaption></figure>'


def main(argv: Sequence[str] | None = None) -> int:
  """The command line; the exit code."""
  words = list(sys.argv[1:] if argv is None else argv)
  if any(word in ("-h", "--help") for word in words):
    print((__doc__ or "").strip())
    return 0
  output, paths = "compare.html", []
  try:
    for word in words:
      if word.startswith("--output="):
        output = word.removeprefix("--output=")
      elif word.startswith("--"):
        raise UserError("flag", word, "no such flag: there is --output=FILE.")
      else:
        paths.append(word)
    contents = page(load(paths))
    try:
      pathlib.Path(output).write_text(contents, encoding="utf-8")
    except OSError as error:
      raise UserError("--output", output, f"it cannot be written ({error.strerror}).") from error
  except UserError as error:
    print(f"error: {error}", file=sys.stderr)
    return cli.EXIT_USER_ERROR
  print(f"comparison {output}")
  return 0


if __name__ == "__main__":
  sys.exit(main())
