"""What must be set before jax is imported, and nothing else."""

import importlib.metadata
import os
import platform
import sys

TUNABLE = "glibc.malloc.hugetlb=1"
# XLA hands CPU convolutions to a library (YNN) that is two to three times slower than Eigen's, forward and backward;
# this leaves it the matrix products.  An unknown flag ends the process, so only for the versions where it was tried.
CONVOLUTION_FLAG = "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT"
CONVOLUTION_FLAG_VERSIONS = ("0.10.",)


def tune_cpu() -> None:
  """Settings that make XLA's CPU backend train convolutional networks about three times faster.  GENERA_TUNE=0: none.

  It sets an XLA flag (see `CONVOLUTION_FLAG`), and restarts the process with huge pages for malloc on Linux with glibc
  2.35 or newer: XLA takes a fresh buffer for every temporary, and with 4 KiB pages half the time of a convolutional
  training step goes into page faults.  glibc reads the setting only at process start; the restart costs some
  milliseconds because nothing is imported yet.  What the user has set already stays.
  """
  if "jax" in sys.modules or os.environ.get("GENERA_TUNE") == "0":
    return
  flags = os.environ.get("XLA_FLAGS", "")
  if importlib.metadata.version("jaxlib").startswith(CONVOLUTION_FLAG_VERSIONS) and "ynn_fusion_type" not in flags:
    os.environ["XLA_FLAGS"] = f"{flags} {CONVOLUTION_FLAG}".strip()
  before = os.environ.get("GLIBC_TUNABLES", "")
  name, version = platform.libc_ver()
  numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
  if "glibc.malloc.hugetlb" in before or name != "glibc" or numbers < (2, 35):
    return
  os.environ["GLIBC_TUNABLES"] = f"{before}:{TUNABLE}" if before else TUNABLE
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
