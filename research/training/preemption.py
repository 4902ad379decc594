"""SIGTERM and SIGINT become a request that the loop polls: save, wait, exit with a code that means `run me again`."""

import signal

EXIT_PREEMPTED = 75  # EX_TEMPFAIL of sysexits.h: a temporary failure, to be retried


class Preempted(Exception):
  """The process was asked to stop; what was worth saving is saved.  `step` is None where training had not begun."""

  def __init__(self, step: int | None):
    super().__init__("asked to stop before training began" if step is None else f"asked to stop at step {step}")
    self.step = step


class Preemption:
  """Holds the signals while open.  The first asks; a second one, from someone impatient, acts as it always did."""

  SIGNALS = (signal.SIGTERM, signal.SIGINT)

  def __init__(self):
    self.requested = False
    self._at_once = False
    self._saved: int | None = None

  def __enter__(self) -> "Preemption":
    self._before = {number: signal.signal(number, self._handle) for number in self.SIGNALS}
    return self

  def __exit__(self, *_):
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _handle(self, number, frame):
    self.requested = True
    signal.signal(number, self._before[number])
    if self._at_once:
      raise Preempted(self._saved)

  def nothing_to_save(self, step: int | None) -> None:
    """From here on state `step` is on disk, or there is none yet: a signal, early or late, stops at once."""
    self._at_once, self._saved = True, step
    if self.requested:
      raise Preempted(step)

  def something_to_save(self) -> None:
    """From here on a signal waits for the next `poll`."""
    self._at_once = False

  def poll(self, step: int) -> None:
    """Raises Preempted if a signal has come."""
    if self.requested:
      raise Preempted(step)
