"""Eight fake CPU devices for every test, set before jax is imported anywhere; compiled programs are shared."""

import importlib.metadata
import os
import tempfile

# XLA's CPU pool must be larger than the number of devices, or collectives dead-lock on a small machine.
os.environ.setdefault("NPROC", "32")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
_DEVICES = "--xla_force_host_platform_device_count=8"
if "xla_force_host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
  os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_DEVICES}".strip()
# What compiles in half the time and runs slower: tests compile much and compute little.  (Level 0 is quicker still, and
# miscompiles: cnn/own under pmap.)  An XLA that does not know a flag ends the process, so only the one that they were
# tried with is given them.
_QUICK = "--xla_cpu_use_fusion_emitters=false --xla_backend_optimization_level=1"
_QUICK += " --xla_llvm_disable_expensive_passes=true"
_QUICK += " --xla_cpu_parallel_codegen_split_count=1"  # there is a test process for every core
if importlib.metadata.version("jaxlib").startswith("0.10."):
  os.environ["XLA_FLAGS"] = f"{_QUICK} {os.environ['XLA_FLAGS']}"
# Runs that are compared compile the same programs: each is compiled once a session.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", tempfile.mkdtemp(prefix="genera-xla-"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# Decoded data sets of a test are the test's own.
os.environ.setdefault("GENERA_CACHE", tempfile.mkdtemp(prefix="genera-data-"))
