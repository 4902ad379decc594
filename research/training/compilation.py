"""How long compilation took and how often it happened, and where its results are kept."""

import os
import pathlib

import jax

_COMPILE_EVENTS = (
  "/jax/core/compile/jaxpr_trace_duration",
  "/jax/core/compile/jaxpr_to_mlir_module_duration",
  "/jax/core/compile/backend_compile_duration",
)


class _Totals:
  """Of this process; jax calls `listen` for every event."""

  seconds, programs = 0.0, 0

  def listen(self, event: str, duration_secs: float, **_: str | int) -> None:
    if event in _COMPILE_EVENTS:
      self.seconds += duration_secs
      self.programs += event == _COMPILE_EVENTS[-1]


_TOTALS = _Totals()
jax.monitoring.register_event_duration_secs_listener(_TOTALS.listen)


class CompileClock:
  """Seconds spent in tracing, lowering and compiling since it was made, and the number of programs compiled."""

  def __init__(self):
    self._seconds, self._programs = _TOTALS.seconds, _TOTALS.programs

  @property
  def seconds(self) -> float:
    return _TOTALS.seconds - self._seconds

  @property
  def programs(self) -> int:
    return _TOTALS.programs - self._programs


def use_persistent_cache(folder: str) -> None:
  """Compiled programs are kept in `folder` (by default under the user's cache) and found there by the next launch."""
  base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
  folder = folder or os.environ.get("JAX_COMPILATION_CACHE_DIR") or str(pathlib.Path(base) / "genera" / "xla")
  jax.config.update("jax_compilation_cache_dir", folder)
  if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)
