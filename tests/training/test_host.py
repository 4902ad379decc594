"""What is set before jax is imported: programs under those flags compute what NumPy does."""

import importlib.metadata
import os
import subprocess
import sys

import pytest

from research.training import host

_PROGRAM = """
import numpy as np
from research.training import host
host.tune_cpu()
import jax, jax.numpy as jnp
x = np.random.default_rng(0).normal(size=(512, 1000)).astype(np.float32)
x[3, 5] = np.nan
for name in ("max", "min", "sum"):
  for axis in (0, 1):
    ours = jax.jit(lambda x: getattr(jnp, name)(x, axis=axis))(x)
    np.testing.assert_allclose(ours, getattr(np, name)(x, axis=axis), rtol=1e-3, atol=1e-3, err_msg=name)
"""


@pytest.mark.skipif(
  not importlib.metadata.version("jaxlib").startswith(host.FLAG_VERSIONS), reason="the flags are for other versions"
)
def test_what_is_not_a_number_is_seen_by_every_reduction():
  """A library of XLA's, to which jax 0.10 hands reductions where no flag is set, leaves it out of maxima."""
  environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "GENERA_TUNE")}
  done = subprocess.run([sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr[-2000:]
