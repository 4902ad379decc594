"""The peers' own tests, read from the installed packages, with our class in place of theirs and nothing else changed.

`python -m tests.peers.swap [naive_bayes|gaussian_mixture|...] [flags of pytest]` runs all of one, or of all; what then
fails, and why, is listed in docs/estimators.md.
"""

import importlib.util
import pathlib
import re
import subprocess
import sys
import tempfile
from typing import NamedTuple


class Peer(NamedTuple):
  """A file of tests.

  Attributes:
    module: where it is installed.
    replaced: the module that it imports its classes from -> ours.
  """

  module: str
  replaced: dict[str, str]


_HMM = {"..": "research.estimators", "hmmlearn": "research.estimators"}
_MIXTURES = {"sklearn.mixture": "research.estimators.gaussian_mixture"}
PEERS = {
  "naive_bayes": Peer("sklearn.tests.test_naive_bayes", {"sklearn.naive_bayes": "research.estimators.naive_bayes"}),
  "gaussian_mixture": Peer("sklearn.mixture.tests.test_gaussian_mixture", _MIXTURES),
  "bayesian_mixture": Peer("sklearn.mixture.tests.test_bayesian_mixture", _MIXTURES),
  "hmm_categorical": Peer("hmmlearn.tests.test_categorical_hmm", _HMM),
  "hmm_gaussian": Peer("hmmlearn.tests.test_gaussian_hmm", _HMM),
  "hmm_gmm": Peer("hmmlearn.tests.test_gmm_hmm", _HMM),
  "hmm_multinomial": Peer("hmmlearn.tests.test_multinomial_hmm", _HMM),
  "hmm_poisson": Peer("hmmlearn.tests.test_poisson_hmm", _HMM),
}


# Of scikit-learn's own conftest, which seeds by it; theirs are tried with one.
_FIXTURE = """
import pytest

@pytest.fixture
def global_random_seed():
  return 42

@pytest.fixture
def global_dtype():
  return "float64"
"""


def source(peer: Peer) -> str | None:
  """The file with its imports swapped; None where the package is not installed, or without its tests."""
  try:
    spec = importlib.util.find_spec(peer.module)
  except ModuleNotFoundError:
    return None
  if spec is None or spec.origin is None:
    return None
  text = pathlib.Path(spec.origin).read_text()
  for old, new in peer.replaced.items():
    text = re.sub(rf"^from {re.escape(old)} import", f"from {new} import", text, flags=re.MULTILINE)
  package = peer.module.rpartition(".")[0]
  return re.sub(r"^from \. import", f"from {package} import", text, flags=re.MULTILINE)


def main(argv: list[str]) -> int:
  """Runs the files; pytest's exit code."""
  names = [name for name in argv if name in PEERS] or list(PEERS)
  with tempfile.TemporaryDirectory() as folder:
    (pathlib.Path(folder) / "conftest.py").write_text(_FIXTURE)
    files = []
    for name in names:
      if (text := source(PEERS[name])) is None:
        print(f"{name}: its package is not installed, or without tests")
        continue
      files.append(pathlib.Path(folder) / f"test_swapped_{name}.py")
      files[-1].write_text(text)
    flags = [word for word in argv if word not in PEERS]
    command = [
      sys.executable,
      "-m",
      "pytest",
      "-p",
      "no:cacheprovider",
      "-W",
      "ignore",
      "--rootdir",
      folder,
      "-c",
      "/dev/null",
    ]
    return subprocess.run([*command, *flags, *map(str, files)], check=False).returncode


if __name__ == "__main__":
  sys.exit(main(sys.argv[1:]))
