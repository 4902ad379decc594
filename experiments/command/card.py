"""The model card of an exported run: what it is, what was measured and how, what it misses, how to use it."""

from collections.abc import Mapping
from typing import Any

import numpy as np

_USE = """```python
import pathlib

{imports}
from safetensors.numpy import load_file

{setting}program = export.deserialize(pathlib.Path("predict.stablehlo").read_bytes())
outputs = program.call(load_file("model.safetensors"), {{{arguments}}})
```"""


def text(result: Mapping[str, Any], weights: Mapping[str, np.ndarray], inputs: Mapping[str, str], outputs: str) -> str:
  """Markdown.

  Args:
    result: `result.json`.
    weights: what is exported.
    inputs, outputs: of the program, in words; no inputs where there is none.
  """
  overrides = " ".join(f"--config.{name}={value}" for name, value in result.get("overrides", {}).items())
  title = result["config"].removeprefix("configs/").replace(".py", "")
  count = sum(array.size for array in weights.values())
  trained = f"python -m experiments.{result['experiment']} --config={result['config']} {overrides}".strip()
  parts = [
    f"# {title}",
    f"Trained by `{trained}`: seed {result['seed']}, {result['step']:,} steps, {result['wall_seconds'] / 60:.1f} "
    f"minutes on {result['device']}, commit {result['commit'] or 'unknown'}.  One run: the numbers have no spread.",
    "## Measured",
    _measured(result["metrics"]),
    "## Missed",
    _missed(result["metrics"]),
    "## Use",
    f"`model.safetensors` holds {len(weights)} arrays of {count:,} numbers, by name; `config.json` is the config.",
    *_use(inputs, outputs, any(array.dtype.itemsize == 8 for array in weights.values())),
  ]
  return "\n\n".join(parts) + "\n"


def _measured(metrics: Mapping[str, Mapping[str, Any]]) -> str:
  rows = ["| metric | value | published | what it is |", "|---|---|---|---|"]
  for name, metric in metrics.items():
    published = f"{metric['published']:.4g} ({metric['source']})" if "published" in metric else ""
    rows.append(f"| `{name}` | {_number(metric['value'])} | {published} | {metric['definition']} |")
  return "\n".join(rows)


def _missed(metrics: Mapping[str, Mapping[str, Any]]) -> str:
  """The bars that were set for the config and are not reached."""
  missed = []
  for name, metric in metrics.items():
    low, high = metric.get("bar", {}).get("min", -np.inf), metric.get("bar", {}).get("max", np.inf)
    if not low <= metric["value"] <= high:
      aim = f"at least {low:.4g}" if metric["value"] < low else f"at most {high:.4g}"
      missed.append(f"- `{name}` is {_number(metric['value'])}; {aim} was aimed at.")
  barred = any("bar" in metric for metric in metrics.values())
  return "\n".join(missed) or ("Nothing: every aim is met." if barred else "The config sets no aim.")


def _use(inputs: Mapping[str, str], outputs: str, double: bool) -> list[str]:
  if not inputs:
    return ["There is no program: this family's function is not one of single examples. The weights are as trained."]
  taken = "\n".join(f"- `{name}`: {kind}" for name, kind in inputs.items())
  double = double or "64[" in outputs or any("64 [" in kind for kind in inputs.values())
  used = _USE.format(
    imports="import jax\nfrom jax import export" if double else "from jax import export",
    setting='jax.config.update("jax_enable_x64", True)  # before anything is computed\n' if double else "",
    arguments=", ".join(f'"{name}": {name}' for name in inputs),
  )
  return [used, f"It takes, for any number of rows on CPU, GPU or TPU,\n\n{taken}", f"and gives `{outputs}`."]


def _number(value: Any) -> str:
  return f"{value:.6g}" if isinstance(value, float) else str(value)
