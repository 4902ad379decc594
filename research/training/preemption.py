"""SIGTERM and SIGINT become a request that the loop polls: save, wait, exit with a code that means `run me again`.

Of several processes any one may be asked.  It tells the others, and all stop at the same poll, with the same state.
"""

import contextlib
import itertools
import signal
import threading

import jax

from research.training import processes


class Preempted(BaseException):
  """The process was asked to stop; what was worth saving is saved.  `step` is None where training had not begun.

  No `Exception`: like KeyboardInterrupt it may come at any moment, and says nothing about what it interrupts.
  """

  def __init__(self, step: int | None):
    super().__init__("asked to stop before training began" if step is None else f"asked to stop at step {step}")
    self.step = step


class Preemption:
  """Holds the signals while open.  The first asks; a second one, from someone impatient, acts as it always did.

  Of several processes each is likely to be asked more than once, by the others and by what launched them: there further
  signals are ignored, and the launcher serves the impatient.
  """

  SIGNALS = (signal.SIGTERM, signal.SIGINT)

  def __init__(self):
    self.requested = False
    self._at_once = False
    self._saved: int | None = None
    self._agreement: _Agreement | None = None

  def __enter__(self) -> "Preemption":
    self._before = {number: signal.signal(number, self._handle) for number in self.SIGNALS}
    if processes.count() > 1:
      self._agreement = _Agreement(self)
      self._agreement.start()
    return self

  def __exit__(self, *_):
    if self._agreement is not None:
      self._agreement.close()
    for number, handler in self._before.items():
      signal.signal(number, handler)

  def _handle(self, number, frame):
    first, self.requested = not self.requested, True
    if self._agreement is None:
      signal.signal(number, self._before[number])
    if self._at_once and first:
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
    """Raises Preempted if a signal has come.  All processes call it equally often."""
    if self.requested if self._agreement is None else self._agreement.reached():
      raise Preempted(step)


class _Agreement(threading.Thread):
  """At which poll all processes stop once one of them is asked to: the one after the last that any has passed.

  Threads agree, so it does not matter what the main threads wait for meanwhile, each other included.  A main thread
  that polls while they do is held, for a moment, or it could pass the poll that is being agreed on.
  """

  PERIOD = 0.2  # seconds between two looks
  NEVER = 2**53  # polls of one who polls no more
  _made = itertools.count()

  def __init__(self, preemption: Preemption):
    super().__init__(name="preemption", daemon=True)
    self._preemption, self._name = preemption, f"preemption/{next(self._made)}"
    self._closed, self._lock = threading.Event(), threading.Lock()
    self._polls, self._stop_at = 0, self.NEVER
    self._told = False

  def reached(self) -> bool:
    """Counts a poll of the main thread; whether it is the one to stop at."""
    with self._lock:
      self._polls += 1
      return self._polls >= self._stop_at

  def run(self) -> None:
    with contextlib.suppress(jax.errors.JaxRuntimeError):  # process 0 is gone: whoever needs it will say so
      while not self._closed.wait(self.PERIOD):
        if self._preemption.requested or processes.read(f"{self._name}/asked"):
          self._agree()
          return

  def _agree(self) -> None:
    with self._lock:
      processes.publish(f"{self._name}/asked", True)
      self._tell(self._polls)
      if not self._preemption.requested:
        # To the main thread itself: nothing else wakes it from what it waits for.
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
      passed = [processes.wait_for(f"{self._name}/{i}") for i in range(processes.count())]
      self._stop_at = max(passed) + 1

  def _tell(self, polls: int) -> None:
    if not self._told:
      self._told = True
      processes.publish(f"{self._name}/{processes.index()}", polls)

  def close(self) -> None:
    """No poll follows: one who still waits to agree is answered."""
    self._closed.set()
    self.join(timeout=2 * self.PERIOD)
    with contextlib.suppress(jax.errors.JaxRuntimeError):
      if self._preemption.requested:
        processes.publish(f"{self._name}/asked", True)
      self._tell(self.NEVER)
