"""The platform that is compiled for: this process's own, or that of hardware which is not there.

Code whose best form depends on the platform asks `platform()`; ahead-of-time compilation (`launch.preflight`) says what
it compiles for.  Inside a traced function `lax.platform_dependent` does as well.
"""

import contextlib
import contextvars
from collections.abc import Generator

import jax

_PLATFORM: contextvars.ContextVar[str | None] = contextvars.ContextVar("platform", default=None)


def platform() -> str:
  """`cpu`, `gpu` or `tpu`: the default backend's, unless `compiling_for` says another."""
  return _PLATFORM.get() or jax.default_backend()


@contextlib.contextmanager
def compiling_for(name: str) -> Generator[None]:
  """Within it, `platform()` is `name` in this thread."""
  token = _PLATFORM.set(name)
  try:
    yield
  finally:
    _PLATFORM.reset(token)
