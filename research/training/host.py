"""What must be set before jax is imported, and nothing else."""

import importlib.metadata
import os
import platform
import sys

# Huge pages; and blocks of up to a GiB are kept when freed, for the next step asks for the same again.
TUNABLES = "glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=17179869184"
# What XLA hands to its library (YNN): products; not convolutions, at which Eigen is two to three times faster, and not
# reductions, though XLA's own maximum takes ten times as long: the library's, which is the default of jax 0.10, leaves
# out what is not a number, and that must be seen.  Loops use the whole width of AVX-512 where there is one.  An unknown
# flag ends the process, so only for the versions where they were tried.
FLAGS = {
  "--xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT",
  "--xla_cpu_prefer_vector_width": "512",
}
FLAG_VERSIONS = ("0.10.",)


def tune_cpu() -> None:
  """Settings that make XLA's CPU backend train convolutional networks about three times faster.  GENERA_TUNE=0: none.

  It sets XLA's flags (see `FLAGS`), and restarts the process with `TUNABLES` for malloc on Linux with glibc 2.35 or
  newer: XLA takes a fresh buffer for every temporary, and with 4 KiB pages half the time of a convolutional training
  step goes into page faults; a buffer given back to the system costs a Transformer's step another tenth.  glibc reads
  the settings only at process start; the restart costs some milliseconds because nothing is imported yet.  What the
  user has set already stays.
  """
  if "jax" in sys.modules or os.environ.get("GENERA_TUNE") == "0":
    return
  if importlib.metadata.version("jaxlib").startswith(FLAG_VERSIONS):
    flags = os.environ.get("XLA_FLAGS", "")
    unset = (f"{name}={value}" for name, value in FLAGS.items() if name not in flags)
    os.environ["XLA_FLAGS"] = " ".join([*flags.split(), *unset])
  before = os.environ.get("GLIBC_TUNABLES", "")
  name, version = platform.libc_ver()
  numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
  if "glibc.malloc.hugetlb" in before or name != "glibc" or numbers < (2, 35):
    return
  os.environ["GLIBC_TUNABLES"] = f"{before}:{TUNABLES}" if before else TUNABLES
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
