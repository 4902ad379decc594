"""What must be set before jax is imported, and nothing else."""

import os
import platform
import sys

TUNABLE = "glibc.malloc.hugetlb=1"


def tune_allocator() -> None:
  """Restarts the process with huge pages for malloc, on Linux with glibc >= 2.35, unless that is already chosen.

  XLA's CPU backend takes a fresh buffer for every temporary; with 4 KiB pages half the time of a convolutional training
  step goes into page faults.  glibc reads the setting only at process start, hence the restart, which costs some
  milliseconds because nothing is imported yet.  GENERA_TUNE=0 turns it off.
  """
  if "jax" in sys.modules or os.environ.get("GENERA_TUNE") == "0" or platform.system() != "Linux":
    return
  before = os.environ.get("GLIBC_TUNABLES", "")
  name, version = platform.libc_ver()
  numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
  if "glibc.malloc.hugetlb" in before or name != "glibc" or numbers < (2, 35):
    return
  os.environ["GLIBC_TUNABLES"] = f"{before}:{TUNABLE}" if before else TUNABLE
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
