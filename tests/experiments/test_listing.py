import subprocess
import sys

import pytest

from experiments.command import listing
from research.errors import UserError

CONFIG = '''"""The Flax example's network on MNIST.

Why it is here, in prose: not a field.

Paper: LeCun et al. 1998, Gradient-based learning applied to document recognition,
  Proceedings of the IEEE 86(11), a reference so long that it goes on over the next line.
Command: `python -m experiments.cnn --config=configs/cnn/mnist.py --workdir=runs/cnn/mnist --config.seed=0 --and=more`
Hardware: 2-core CPU
Time: 12 minutes
Expected: test accuracy 99.55 %

Afterthoughts.
"""
raise RuntimeError("a listing imports nothing")
'''


@pytest.fixture
def tree(tmp_path):
  files = {
    "configs/__init__.py": "",
    "configs/common.py": '"""Shared."""',
    "configs/cnn/__init__.py": "",
    "configs/cnn/mnist.py": CONFIG,
    "configs/cnn/bare.py": "x = 1",
    "configs/gan/broken.py": "def (",
    "experiments/__init__.py": "",
    "experiments/cli.py": '"""The command line."""',
    "experiments/cnn.py": '"""Convolutional networks.\n\nMore."""\nimport nowhere\nDEFAULT = "configs/cnn/x.py"\n',
  }
  for name, text in files.items():
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
  return tmp_path


def test_fields_are_read_without_importing(tree):
  broken, mnist = (next(e for e in listing.entries(tree) if e.path.endswith(n)) for n in ("broken.py", "mnist.py"))
  assert mnist.family == "cnn"
  assert mnist.title == "The Flax example's network on MNIST"
  assert list(mnist.fields) == list(listing.FIELDS)
  assert mnist.fields["Paper"].endswith(
    "recognition, Proceedings of the IEEE 86(11), a reference so long that it goes on over the next line."
  )
  assert mnist.fields["Expected"] == "test accuracy 99.55 %"
  assert (broken.title, broken.fields) == ("", {})
  assert listing.experiments(tree) == {"cnn": "Convolutional networks."}


def test_page(tree):
  page = listing.listing(tree)
  assert "cnn: Convolutional networks\n" in page
  assert "gan: no experiment file yet" in page
  assert "  configs/cnn/bare.py\n    (no docstring)" in page
  assert "common" not in page
  assert "    time      12 minutes" in page
  # The command is whole, to be copied; everything else fits.
  assert "--config=configs/cnn/mnist.py --workdir=runs/cnn/mnist --config.seed=0 --and=more\n" in page
  assert all(len(line) <= 100 for line in page.splitlines() if "command" not in line and "Run one" not in line)


def test_some(tree):
  assert "gan" not in listing.listing(tree, only=["cnn"])
  with pytest.raises(UserError, match="did you mean cnn"):
    listing.listing(tree, only=["cn"])


def test_every_config_of_the_repository_says_what_it_reproduces_and_costs():
  for entry in listing.entries():
    assert entry.title, entry.path
    missing = [field for field in listing.FIELDS if not entry.fields.get(field)]
    assert not missing, f"{entry.path}: its docstring lacks {missing}"
    assert entry.path in entry.fields["Command"] or f"experiments.{entry.family}" in entry.fields["Command"]


def test_the_command_is_quick_and_names_what_is_unknown():
  run = subprocess.run(
    [sys.executable, "-X", "importtime", "-m", "experiments"],
    capture_output=True,
    text=True,
    check=True,
    cwd=listing.ROOT,
  )
  assert "Run one:" in run.stdout
  assert " jax" not in run.stderr
  assert listing.main(["no-such-experiment"]) == 2
