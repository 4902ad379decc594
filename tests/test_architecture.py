"""What holds the code together (DESIGN): imports point one way, no TensorFlow, functions that fit a screen."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("research", "experiments", "configs", "launch")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_LINES = 70

# Folder -> what its files must not import.
FORBIDDEN = {
  "research": ("experiments", "configs", "launch", "absl.flags", "absl.app", "ml_collections.config_flags"),
  "research/graphs": ("research.training", "research.networks", "research.families", "research.data"),
  "research/networks": ("research.training", "research.families", "research.data"),
  "research/families": ("research.training", "research.networks"),
  "research/data": ("research.training", "research.networks", "research.families"),
  "research/evaluation": ("research.training", "research.networks"),
  "experiments": ("launch",),
  # A config is data: it names what it wants, experiments build it.
  "configs": ("experiments", "launch", "research", "jax", "flax", "optax"),
  "": ("tensorflow", "clu", "tensorflow_probability"),
}
# The one line a project needs of matplotlib.pyplot's global state is none.
FORBIDDEN[""] += ("matplotlib.pyplot",)


def imported(tree: ast.AST) -> set[str]:
  """Dotted names that a module imports, inside functions too; relative imports are not used here."""
  names = set()
  for node in ast.walk(tree):
    if isinstance(node, ast.Import):
      names |= {alias.name for alias in node.names}
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"line {node.lineno}: relative import"
      names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
  return names


def violations(path: str, source: str) -> list[str]:
  """What the file at `path` (relative to the root) imports against the rules."""
  names = imported(ast.parse(source))
  found = []
  for folder, forbidden in FORBIDDEN.items():
    if folder and not path.startswith(folder + "/"):
      continue
    found += [
      f"{path} imports {name}" for name in sorted(names) for bad in forbidden if f"{name}.".startswith(f"{bad}.")
    ]
  return found


def long_functions(path: str, source: str) -> list[str]:
  functions = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
  lengths = [(f"{path}:{n.name}", (n.end_lineno or n.lineno) - n.lineno + 1) for n in functions]
  return [f"{name} has {length} lines" for name, length in lengths if length > MAX_LINES]


def test_imports_point_one_way():
  assert FILES
  problems = []
  for file in FILES:
    problems += violations(file.relative_to(ROOT).as_posix(), file.read_text())
  assert not problems, "\n".join(problems)


def test_functions_fit_a_screen():
  problems = []
  for file in FILES:
    problems += long_functions(file.relative_to(ROOT).as_posix(), file.read_text())
  assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
  ("path", "source"),
  [
    ("research/data/x.py", "from research.training import loop"),
    ("research/networks/x.py", "def f():\n  import research.training.loop"),
    ("research/training/x.py", "from experiments import cnn"),
    ("experiments/x.py", "import launch.slurm"),
    ("launch/x.py", "import tensorflow as tf"),
    ("configs/x.py", "import research"),
  ],
)
def test_rules_catch_a_violation(path, source):
  assert violations(path, source)


def test_rules_allow_what_is_meant():
  assert not violations("experiments/x.py", "from research.training import loop\nimport tensorflow_datasets as tfds")
  assert not violations("research/training/x.py", "from research import axes")


def test_length_rule_catches_a_long_function():
  assert long_functions("x.py", "def f():\n" + "  x = 1\n" * MAX_LINES)
