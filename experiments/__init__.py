"""One file per family; `python -m experiments` lists them."""

import sys

from research.training import host

# `python -m experiments.x` executes this file first, before anything slow is imported.
if len(sys.orig_argv) > 2 and "-m" in sys.orig_argv and any(a.startswith("experiments.") for a in sys.orig_argv):
  host.tune_cpu()
