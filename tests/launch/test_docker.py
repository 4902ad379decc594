"""The images' recipes against the project that they install; no image is built here."""

import pathlib
import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from launch.tpu import __main__ as tpu

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = sorted((ROOT / "launch" / "docker").glob("*.Dockerfile"))


def test_one_for_each_platform():
  assert [file.stem for file in FILES] == ["cpu", "cuda", "tpu"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_installs_this_project_and_passes_signals_on(file):
  text = file.read_text()
  python = re.search(r"^FROM python:([\d.]+)", text, re.MULTILINE)[1]
  assert SpecifierSet(PROJECT["requires-python"]).contains(python)
  extras = re.findall(r"-e '?\.(?:\[(\w+)\])?", text)
  assert len(extras) == 1
  assert not extras[0] or extras[0] in PROJECT["optional-dependencies"]
  assert 'ENTRYPOINT ["tini", "--"]' in text
  assert all((ROOT / name).exists() for name in re.findall(r"sh (\S+\.sh)", text))
  assert f"-f {file.relative_to(ROOT)}" in text, "how to build it"


def test_constraints_are_the_locks_versions():
  words = ["sh", "launch/constraints.sh"]
  text = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
  made = [Requirement(line) for line in text.splitlines()]
  lock = (ROOT / "requirements.lock").read_text()
  assert len(made) == len(re.findall(r"^\S+==", lock, re.MULTILINE))
  assert all(str(requirement.specifier).startswith("==") for requirement in made)
  assert "launch/constraints.sh" in tpu.INSTALL
