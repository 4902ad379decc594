"""A part of the peers' own tests, with our classes in place of theirs; `python -m tests.peers.swap` runs them all."""

import subprocess
import sys

import pytest

from tests.peers import swap

KNOWN = "no_data or provide_prior or check_alpha or alpha_vector"  # docs/estimators.md says why


@pytest.mark.parametrize("name", swap.PEERS)
def test_our_class_is_what_is_imported(name):
  text = swap.source(swap.PEERS[name])
  if text is None:
    pytest.skip("its package is not installed, or without tests")
  assert "import research" in text or "from research.estimators" in text


def test_scikit_learn_s_tests_of_naive_bayes_pass():
  if swap.source(swap.PEERS["naive_bayes"]) is None:
    pytest.skip("scikit-learn is installed without its tests")
  chosen = f"(discretenb or bnb or cnb or categoricalnb) and not ({KNOWN})"
  command = [sys.executable, "-m", "tests.peers.swap", "naive_bayes", "-q", "-k", chosen]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stdout[-3000:]


def test_hmmlearn_s_tests_of_counts_pass():
  chosen = "(attributes or sample or compare) and not scaling"
  command = [sys.executable, "-m", "tests.peers.swap", "hmm_multinomial", "hmm_poisson", "-q", "-k", chosen]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stdout[-3000:]
