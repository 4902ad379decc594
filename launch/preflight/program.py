"""The update that a run would call, compiled for a topology, and what is read from it."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, cast

import jax
import ml_collections

from experiments.command import session
from launch.preflight import flops, hlo
from launch.preflight.topology import Topology, slice_of
from research import target
from research.training import loop
from research.training.executor import Executor
from research.training.experiment import Experiment
from research.training.precision import precision


class DoesNotFitError(Exception):
  """The compiler says that the program needs more memory than there is; its text."""


class RefusedError(Exception):
  """The compiler cannot compile the program; its text."""


@dataclasses.dataclass(frozen=True)
class Built:
  """An experiment laid over a topology's devices, by the code that a run calls; nothing is compiled yet."""

  experiment: Experiment
  settings: loop.Settings
  executor: Executor

  @property
  def devices(self) -> int:
    return len(self.executor.plan.devices)

  @property
  def hosts(self) -> int:
    """Processes that the devices belong to: a run starts one on each host."""
    return len({device.process_index for device in self.executor.plan.devices})


@dataclasses.dataclass(frozen=True)
class Program:
  """A compiled update, per device and step.

  Attributes:
    arguments, outputs, aliased, temporaries, code: bytes, as the compiler's memory analysis has them; aliased outputs
      take the place of donated arguments.
    peak: bytes, the compiler's own number; 0 where it has none.
    operations: counted in the traced program, divided by the devices.
    traffic: bytes read and written in main memory.
    collectives: that the device takes part in.
    seconds: tracing, lowering and compiling took here.
  """

  arguments: float
  outputs: float
  aliased: float
  temporaries: float
  code: float
  peak: float
  operations: flops.Operations
  traffic: float
  collectives: Sequence[hlo.Collective]
  seconds: float

  @property
  def needed(self) -> float:
    """Bytes: the compiler's peak, or all that it lists if that is more, and the code itself."""
    listed = self.arguments + self.outputs - self.aliased + self.temporaries
    return max(self.peak, listed) + self.code


def build(
  experiment: Callable[[ml_collections.ConfigDict], Experiment],
  config: ml_collections.ConfigDict,
  devices: Sequence[Any],
) -> Built:
  """The experiment of a config on these devices; within `for_platform`.

  Raises:
    UserError: whatever a run would raise of this config, data and devices before it trains.
  """
  built = experiment(config)
  settings = session.settings_of(config, built.train_data)
  plan = session.plan_of(config, built, devices)
  return Built(built, settings, Executor(built, plan, settings.seed, settings.steps_per_dispatch))


@contextlib.contextmanager
def for_platform(platform: str, config: ml_collections.ConfigDict) -> Generator[None]:
  """Within it, everything is built, traced and compiled as on that platform and in the config's precision."""
  with target.compiling_for(platform), precision(config.train.precision):
    yield


def compile_update(built: Built, topology: Topology) -> Program:
  """Compiles the function that the loop would call.

  Raises:
    DoesNotFitError, RefusedError: with the compiler's text.
  """
  start = time.perf_counter()
  update, arguments = built.executor.abstract_update()
  operations = flops.Operations()
  counted = flops.count(jax.make_jaxpr(update)(*arguments), topology.platform)
  if built.executor.steps_per_dispatch > 1:
    counted.unknown_loops -= 1  # that of the dispatch: a turn of it is a step
  operations.add(counted, 1 / built.devices)
  lowered = cast(Any, update).lower(*arguments)
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    text = str(error).strip()
    raise (DoesNotFitError if "RESOURCE_EXHAUSTED" in text else RefusedError)(text) from error
  memory, module = compiled.memory_analysis(), hlo.parse(compiled.as_text())
  return Program(
    memory.argument_size_in_bytes,
    memory.output_size_in_bytes,
    memory.alias_size_in_bytes,
    memory.temp_size_in_bytes,
    memory.generated_code_size_in_bytes,
    getattr(memory, "peak_memory_in_bytes", 0),
    operations,
    hlo.traffic(module),
    hlo.collectives(module, slice_of(topology, built.executor.plan.devices)),
    time.perf_counter() - start,
  )
