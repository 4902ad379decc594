"""Eight fake CPU devices for every test, set before jax is imported anywhere; compiled programs are kept."""

import atexit
import gc
import importlib.metadata
import os
import pathlib
import platform
import shutil
import tempfile
import zlib

# XLA's CPU pool must be larger than the number of devices, or collectives dead-lock on a small machine.
os.environ.setdefault("NPROC", "32")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
_DEVICES = "--xla_force_host_platform_device_count=8"
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
  os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}".strip()
# What compiles in a third of the time and runs slower: tests compile much and compute little.  (Level 0 is quicker
# still, and miscompiles cnn/own on four devices; so does what it adds, LLVM's -fast-isel.)  An XLA that does not know a
# flag ends the process, so only those that they were tried with are given them.
_VERSION = importlib.metadata.version("jaxlib")
_QUICK = "--xla_backend_optimization_level=1 --xla_llvm_disable_expensive_passes=true"
_QUICK += " --xla_cpu_parallel_codegen_split_count=1"  # there is a test process for every core
# LLVM's own options: what makes loops fast is not worth its while here.
_LLVM = "-vectorize-loops=false,-vectorize-slp=false,-unroll-count=1,-enable-misched=false,-disable-lsr,"
_LLVM += "-disable-machine-licm,-disable-machine-cse,-disable-machine-sink,-disable-cgp"
_QUICK += f" --xla_backend_extra_options={_LLVM}"
if _VERSION.startswith("0.10."):
  _QUICK += " --xla_cpu_use_fusion_emitters=false"  # 0.11 no longer knows it
if _VERSION.startswith(("0.10.", "0.11.")):
  os.environ["XLA_FLAGS"] = f"{_QUICK} {os.environ['XLA_FLAGS']}"
# Tracing makes a million objects that live on: to look through them for cycles took a tenth of the time.
gc.set_threshold(100_000, 50, 100)


def _programs() -> pathlib.Path:
  """Where compiled programs are kept from one test run to the next: a folder for each kind of processor."""
  base = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
  info = pathlib.Path("/proc/cpuinfo")
  features = info.read_text().partition("\nflags")[2].partition("\n")[0] if info.exists() else ""
  return base / "genera" / f"xla-tests-{zlib.crc32((platform.machine() + features).encode()):08x}"


# Runs that are compared compile the same programs, and so does the next run of the tests.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(_programs()))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Decoded data sets of a test are the test's own, and go with it.
if "GENERA_CACHE" not in os.environ:
  os.environ["GENERA_CACHE"] = tempfile.mkdtemp(prefix="genera-data-")
  atexit.register(shutil.rmtree, os.environ["GENERA_CACHE"], ignore_errors=True)
