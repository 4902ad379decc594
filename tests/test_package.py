"""The package's files agree with each other, and the lock names no machine and no address."""

import pathlib
import re
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def normal(requirement: str) -> str:
  """The name of a requirement, as indices normalise it."""
  return re.sub(r"[-_.]+", "-", re.split(r"[\s\[<>=!~;]", requirement)[0]).lower()


def test_lock_holds_hashed_pins_and_nothing_else():
  assert not re.search(r"://|index|find-links|^-|/(home|root|work|opt|usr)/", LOCK, re.MULTILINE)
  for requirement in LOCK.replace("\\\n", " ").splitlines():
    assert re.match(r"[\w.-]+==[\w.]+ .*--hash=sha256:[0-9a-f]{64}", requirement), requirement[:80]


def test_lock_covers_what_the_package_needs():
  extras = PROJECT["project"]["optional-dependencies"]
  wanted = [*PROJECT["project"]["dependencies"], *extras["test"], *extras["dev"], *PROJECT["build-system"]["requires"]]
  locked = {normal(line) for line in LOCK.splitlines() if "==" in line}
  assert {normal(requirement) for requirement in wanted} <= locked


def test_every_dependency_is_justified():
  text = (ROOT / "pyproject.toml").read_text()
  for requirement in PROJECT["project"]["dependencies"]:
    line = next(line for line in text.splitlines() if f'"{requirement}"' in line)
    assert re.search(r"# \w", line), f"{requirement}: say in a comment why it is needed"


def test_tensorflow_is_an_extra_alone():
  assert not re.search(r"^(tensorflow|tf-nightly)==", LOCK, re.MULTILINE)
  assert PROJECT["project"]["optional-dependencies"]["prepare"] == ["tensorflow"]
