"""What `config.train.precision` means: the type that networks compute in, and whether 64-bit numbers exist."""

import contextlib
from collections.abc import Generator

import jax
import jax.numpy as jnp

from research import target
from research.errors import UserError

COMPUTE = {"float32": jnp.float32, "bfloat16": jnp.bfloat16, "float64": jnp.float64}


def dtype(name: str):
  """The type to compute in.

  Raises:
    UserError: there is no such precision.
  """
  if name not in COMPUTE:
    raise UserError("config.train.precision", name, f"choose one of {', '.join(COMPUTE)}.")
  return COMPUTE[name]


@contextlib.contextmanager
def precision(name: str) -> Generator[None]:
  """Within it, 64-bit numbers exist if `name` is `float64`, else they do not.

  For the whole process, not for this thread alone: checkpoints are read and written by other threads.
  """
  wide = dtype(name) == jnp.float64
  settings = {"jax_enable_x64": wide}
  # libtpu 0.0.42 refuses a float64 Cholesky factor over several devices that the Shardy partitioner has laid out.
  if wide and target.platform() == "tpu" and hasattr(jax.config, "jax_use_shardy_partitioner"):
    settings["jax_use_shardy_partitioner"] = False
  before = {setting: getattr(jax.config, setting) for setting in settings}
  for setting, value in settings.items():
    jax.config.update(setting, value)
  try:
    yield
  finally:
    for setting, value in before.items():
      jax.config.update(setting, value)
