"""Several processes that train one run together: how they find one another, agree, and leave.

Numbers go from device to device inside the compiled step; here is the little that the hosts say to one another, through
the key-value store of JAX's coordination service, which process 0 holds.  In one process all of it does nothing.
"""

import contextlib
import itertools
import json
import os
import sys
import time
from collections.abc import Generator
from typing import Any, NoReturn

import jax
from jax._src import distributed  # the key-value store has no public name; Orbax takes it from here too

from research.errors import UserError
from research.training.job import ADDRESS, COUNT, DETECT, HEARTBEAT, INDEX

HEARTBEAT_SECONDS = 30
LEAVE_SECONDS = 5
_PERIOD = 0.2  # seconds between two looks at the store

_serial = itertools.count()  # all processes take the same decisions in the same order, so they count alike


class ToldError(UserError):
  """A UserError of another process, which tells of it."""


def join() -> None:
  """Makes this process one of the job's, where the environment speaks of a job; call it before any computation.

  A job is spoken of by `JAX_COORDINATOR_ADDRESS` (host:port of process 0), `JAX_NUM_PROCESSES` and `JAX_PROCESS_ID`
  (`launch.local` sets them), by a Slurm step of several tasks, or by `GENERA_DISTRIBUTED=auto`.

  Raises:
    UserError: only some of the three variables are set, or they are not numbers.
  """
  given = {name: os.environ[name] for name in (ADDRESS, COUNT, INDEX) if name in os.environ}
  options: dict[str, Any] = {}
  if COUNT in given or INDEX in given:
    try:
      options = {"num_processes": int(given[COUNT]), "process_id": int(given[INDEX])}
      options |= {"coordinator_address": given[ADDRESS], "cluster_detection_method": "deactivate"}
    except (KeyError, ValueError) as error:
      remedy = f"a job of several processes needs {ADDRESS}=host:port, {COUNT} and {INDEX}, the last two as numbers."
      raise UserError("environment", given, remedy) from error
    if options["num_processes"] == 1:
      return
  elif int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) == 1 and os.environ.get(DETECT) != "auto":
    return
  # It would take SIGTERM for itself; `preemption` holds it, and SIGINT, and agrees on the step by its own.
  jax.config.update("jax_enable_preemption_service", False)
  heartbeat = int(os.environ.get(HEARTBEAT, HEARTBEAT_SECONDS))
  jax.distributed.initialize(heartbeat_timeout_seconds=heartbeat, **options)


def count() -> int:
  """How many processes the job has."""
  return distributed.global_state.num_processes


def index() -> int:
  """This one's number among them."""
  return distributed.global_state.process_id


def is_main() -> bool:
  """Whether this is the process that writes, logs and reports: number 0, or the only one."""
  return index() == 0


def publish(key: str, value: Any) -> None:
  """`value`, as JSON can hold it, for all to read under `key`."""
  _client().key_value_set(f"genera/{key}", json.dumps(value), allow_overwrite=True)


def read(key: str) -> Any:
  """What is published under `key`; None if nothing is yet."""
  try:
    return json.loads(_client().key_value_try_get(f"genera/{key}"))
  except jax.errors.JaxRuntimeError as error:
    if "NOT_FOUND" not in str(error):
      raise
    return None


def wait_for(key: str) -> Any:
  """What is published under `key`, sooner or later.  Signals are served while it waits."""
  while True:
    try:
      return json.loads(_client().blocking_key_value_get(f"genera/{key}", 1000))
    except jax.errors.JaxRuntimeError as error:
      if "DEADLINE_EXCEEDED" not in str(error):
        raise


def gather(value: Any) -> list[Any]:
  """The values of all processes, by number; called by all."""
  if count() == 1:
    return [value]
  name = f"gather/{next(_serial)}"
  publish(f"{name}/{index()}", value)
  return [wait_for(f"{name}/{i}") for i in range(count())]


def from_main(value: Any) -> Any:
  """The value of process 0; called by all."""
  if count() == 1:
    return value
  name = f"main/{next(_serial)}"
  if is_main():
    publish(name, {"value": value})
  return wait_for(name)["value"]


@contextlib.contextmanager
def together() -> Generator[None]:
  """What is done within succeeds in all processes, or raises in all; entered by all.

  Raises:
    ToldError: it was a UserError in another process.
    RuntimeError: it was another error there.
  """
  if count() == 1:
    yield
    return
  mine = None
  try:
    yield
  except Exception as error:
    mine = error
  descriptions = gather(None if mine is None else _described(mine))
  if mine is not None:
    raise mine
  for number, description in enumerate(descriptions):
    if description is not None and "field" in description:
      raise ToldError(description["field"], description["value"], description["remedy"])
    if description is not None:
      raise RuntimeError(f"process {number}: {description['text']}")


def _described(error: Exception) -> dict[str, str]:
  if isinstance(error, UserError):
    return {"field": error.field, "value": str(error.value), "remedy": error.remedy}
  return {"text": f"{type(error).__name__}: {error}"}


def wait_for_main(name: str) -> None:
  """Until process 0 has come here too, however long it works alone."""
  if count() == 1:
    return
  if is_main():
    publish(name, True)
  while not read(name):
    time.sleep(_PERIOD)


def leave(code: int) -> NoReturn:
  """Ends this process with the code.

  One of several does not wait at JAX's own barrier, where it would hang, or abort, if another has died.  Process 0
  holds the store and leaves last, a few seconds later at most.
  """
  if count() == 1:
    sys.exit(code)
  with contextlib.suppress(jax.errors.JaxRuntimeError):
    if is_main():
      deadline = time.monotonic() + LEAVE_SECONDS
      others = [f"left/{i}" for i in range(1, count())]
      while time.monotonic() < deadline and not all(map(read, others)):
        time.sleep(_PERIOD / 4)
    else:
      publish(f"left/{index()}", True)
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)


def _client() -> Any:
  return distributed.global_state.client
