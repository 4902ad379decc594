"""What holds the code together (DESIGN): imports point one way, no TensorFlow, functions that fit a screen."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PACKAGES = ("research", "experiments", "configs", "launch")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
MAX_LINES = 70
WEAK_NAMES = {"found", "made", "shown", "wanted", "drawn", "said", "got"}  # participles: of what?
MAX_EXPERIMENT = 150  # below its docstring

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


def test_names_say_what_they_hold():
  stores = {
    (str(path.relative_to(ROOT)), node.lineno, name)
    for path in FILES
    for node in ast.walk(ast.parse(path.read_text()))
    for name in {_bound_name(node)} & WEAK_NAMES
  }
  assert not stores, "a field's term that carries the type, please"


def _bound_name(node: ast.AST) -> str | None:
  """The variable or argument that a node binds."""
  if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
    return node.id
  return node.arg if isinstance(node, ast.arg) else None


def test_functions_fit_a_screen():
  problems = []
  for file in FILES:
    problems += long_functions(file.relative_to(ROOT).as_posix(), file.read_text())
  assert not problems, "\n".join(problems)


EXPERIMENTS = sorted(path for path in (ROOT / "experiments").glob("*.py") if not path.stem.startswith("_"))


def without_docstring(source: str) -> list[str]:
  """The lines of a module below its docstring."""
  first = ast.parse(source).body[0]
  documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
  return source.splitlines()[first.end_lineno if documented else 0 :]


def is_experiment(source: str) -> bool:
  """Whether a module has a DEFAULT config and `experiment()`."""
  body = ast.parse(source).body
  targets = {target.id for node in body if isinstance(node, ast.Assign) for target in node.targets}
  return "DEFAULT" in targets and "experiment" in {node.name for node in body if isinstance(node, ast.FunctionDef)}


def test_the_top_of_experiments_has_experiments_alone_and_each_fits_150_lines():
  assert EXPERIMENTS
  assert not [path.name for path in EXPERIMENTS if not is_experiment(path.read_text())]
  lengths = {path.name: len(without_docstring(path.read_text())) for path in EXPERIMENTS}
  assert not {name: length for name, length in lengths.items() if length > MAX_EXPERIMENT}
  folders = {path.parent.name for path in (ROOT / "experiments").glob("*/__init__.py")}
  assert {"parts", "reports", "command"} <= folders


def test_readme_names_every_experiment():
  table = (ROOT / "README.md").read_text().partition("## Start")[0]
  names = {path.stem for path in (ROOT / "experiments").glob("*.py")} - {"__init__", "__main__"}
  assert not {name for name in names if f"`{name}`" not in table}


def test_no_family_imports_another_s_experiment():
  """What families share is in `parts`; a report is of its own family, or shared."""
  names = {f"experiments.{path.stem}" for path in EXPERIMENTS}
  files = [*EXPERIMENTS, *(ROOT / "experiments" / "parts").glob("*.py"), *(ROOT / "experiments/reports").glob("*.py")]
  problems = {path.name: sorted(names & imported(ast.parse(path.read_text()))) for path in files}
  assert not {name: found for name, found in problems.items() if found}


def test_configs_share_bases_by_name():
  """A family's fields are in `_base.py`; what every config shares fits a screen and a half."""
  assert len((ROOT / "configs" / "common.py").read_text().splitlines()) < 100
  shared = {path.name for path in (ROOT / "configs").glob("*/_*.py")}
  assert shared == {"__init__.py", "_base.py"}
  for experiment in EXPERIMENTS:
    assert (ROOT / "configs" / experiment.stem / "_base.py").exists(), experiment.stem


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


def test_what_an_experiment_is():
  assert is_experiment('DEFAULT = "x"\n\ndef experiment(config):\n  return 1')
  assert not is_experiment("def experiment(config):\n  return 1")
  assert not is_experiment('DEFAULT = "x"')
  assert without_docstring('"""A.\n\nB."""\nx = 1') == without_docstring("x = 1") == ["x = 1"]


def test_length_rule_catches_a_long_function():
  assert long_functions("x.py", "def f():\n" + "  x = 1\n" * MAX_LINES)


def test_every_number_of_a_config_has_a_range():
  """A new field is entered in `experiments/command/ranges.py`; what a config has by default is within its range."""
  from experiments.command import cli, ranges

  for file in cli.config_files(ROOT):
    flat = cli.flattened(cli.load_config(str(file)))
    ranges.check(flat)
    own = {
      name: value for name, value in flat.items() if not name.startswith(("published.", "bars.", "report.reference."))
    }
    missing = [name for name, value in own.items() if list(ranges.numbers(value)) and ranges.interval(name) is None]
    assert not missing, f"{file}: enter {', '.join(missing)} in experiments/command/ranges.py"
