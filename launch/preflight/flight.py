"""One preflight: from a config and a topology to what is said of it."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from experiments.command import cli
from launch.preflight import checks, estimate, hlo, program
from launch.preflight import topology as topology_lib
from launch.preflight.chips import Chip
from research.errors import UserError

LEAST_SHARE = 32  # examples a device at which the second batch size is compiled, or layouts hide what an example takes


@dataclasses.dataclass(frozen=True)
class Batches:
  """What two compilations at different batch sizes tell: see `estimate.largest_batch`."""

  needs: Mapping[int, float]
  largest: int | None
  bytes_per_example: float


@dataclasses.dataclass(frozen=True)
class Flight:
  """What a preflight found; see `text`.

  Attributes:
    header: experiment, config, topology, parallelism, batch size.
    checked: what was checked without a compiler, one line each.
    chip, devices: the hardware.
    program: the compiled update; None where the compiler would not.
    refusal: its text then.
    refused: whether for another reason than memory.
    batches: the estimate of the largest batch, if it was asked for and can be made.
  """

  header: Mapping[str, Any]
  checked: list[str]
  chip: Chip
  devices: int
  program: program.Program | None
  refusal: str = ""
  refused: bool = False
  batches: Batches | None = None

  @property
  def fits(self) -> bool:
    return self.program is not None and self.program.needed <= self.chip.memory

  @property
  def roofline(self) -> estimate.Roofline | None:
    if self.program is None:
      return None
    program = self.program
    return estimate.roofline(self.chip, program.operations.products, program.traffic, program.collectives)

  def text(self) -> str:
    """For a person."""
    title = "  ".join(str(value) for value in self.header.values() if value != "")
    lines = [f"preflight    {title}", *(f"checked      {line}" for line in self.checked)]
    if self.program is None:
      lines.append("REFUSED by the compiler" if self.refused else "DOES NOT FIT; the compiler says")
      lines.append(self.refusal)
    else:
      lines += _memory(self.program, self.chip, self.fits) + _work(self.program)
      lines += _collectives(self.program) + _roofline(self.roofline, self.chip)
    return "\n".join(lines + _batches(self.batches, self.chip))

  def to_dict(self) -> dict[str, Any]:
    """For a program: bytes, operations and seconds."""
    fields: dict[str, Any] = {**self.header, "devices": self.devices, "fits": self.fits, "refusal": self.refusal}
    if self.program is not None:
      numbers = dataclasses.asdict(self.program)
      roofline = self.roofline
      bound = {**roofline.bounds, "bound_by": roofline.bound_by, "seconds": roofline.seconds} if roofline else {}
      fields |= {**numbers, "needed": self.program.needed, "memory": self.chip.memory, "roofline": bound}
    if self.batches is not None:
      fields["largest_batch"] = self.batches.largest
    return fields


def preflight(experiment: Callable, config: ml_collections.ConfigDict, request: Any) -> Flight:
  """Checks and compiles what a run of the config would check and compile.

  Args:
    experiment: `experiment(config) -> Experiment`, of an experiment's file.
    config: locked, with its overrides.
    request: of the command line: see `__main__.Request`.

  Raises:
    UserError: what a run would raise, and a disk too small for its checkpoints.
  """
  topology = request.topology
  devices = topology_lib.devices(topology)
  with program.for_platform(topology.platform, config):
    built = program.build(experiment, config, devices)
    checked = _check(built, request, config.seed)
    header = {
      "experiment": f"experiments.{request.experiment}",
      "config": request.config,
      "topology": topology.name,
      "slices": f"{topology.slices} slices" if topology.slices > 1 else "",
      "processes": f"{built.devices} devices of {built.hosts} process{'es' if built.hosts > 1 else ''}",
      "parallelism": built.executor.plan.mode,
      "batch": f"batch {built.experiment.train_data.batch_size}",
    }
    common = (header, checked, topology.chip, built.devices)
    batch = lambda: _largest_batch(experiment, config, topology, devices, needs) if request.largest_batch else None
    needs = {}
    try:
      compiled = program.compile_update(built, topology)
    except program.RefusedError as error:
      return Flight(*common, None, str(error), refused=True)
    except program.DoesNotFitError as error:
      return Flight(*common, None, str(error), batches=batch())
    needs[built.experiment.train_data.batch_size] = compiled.needed
    return Flight(*common, compiled, batches=batch())


def _check(built: program.Built, request: Any, seed: int) -> list[str]:
  """Whatever needs no compiler, one line each; the data were read when the experiment was built.

  A workdir that is not named is the one that a run on this machine would have: what is wrong with it is said, no more.
  """
  data, settings = built.experiment.train_data, built.settings
  size, kept = checks.state_bytes(built.executor.abstract_state()), checks.checkpoints_kept(settings)
  batches = f"first batch read; {built.devices} devices divide every batch"
  lines = [f"data {data.name}: {data.num_examples} examples, {batches}"]
  workdir = request.workdir or cli.default_workdir(request.experiment, request.config, request.overrides, seed)
  checkpoints = f"checkpoints take {amount(size)} x {kept} at most"
  if "://" in workdir:
    return [*lines, f"{checkpoints}; workdir {workdir} is not on this machine: not checked"]
  try:
    checks.writable(workdir)
    free = checks.disk(workdir, size * kept)
  except UserError as error:
    if request.workdir:
      raise
    return [*lines, f"{checkpoints}; BUT {error}"]
  return [*lines, f"workdir {workdir} can be written; {checkpoints}, {amount(free)} are free"]


def _largest_batch(experiment, config, topology, devices, needs: dict[int, float]) -> Batches | None:
  """Compiles other batch sizes until two are known: a larger one, or, if this one does not fit, smaller ones."""
  size, count = config.train.batch_size, len(devices)
  if needs:
    sizes = [max(2 * size, LEAST_SHARE * count)]
  else:
    sizes = [size // divisor // count * count for divisor in (4, 8, 32, 64)]
  for other in sizes:
    if len(needs) == 2 or other < count:
      break
    try:
      built = program.build(experiment, _with_batch(config, other), devices)
      needs[built.experiment.train_data.batch_size] = program.compile_update(built, topology).needed
    except (program.DoesNotFitError, program.RefusedError, UserError):
      continue
  if len(needs) < 2:
    return None
  largest, slope = estimate.largest_batch(needs, topology.chip.memory, count)
  return Batches(dict(sorted(needs.items())), largest, slope)


def _with_batch(config: ml_collections.ConfigDict, size: int) -> ml_collections.ConfigDict:
  other = config.copy_and_resolve_references()
  with other.unlocked():
    other.train.batch_size = size
  return other


def amount(size: float) -> str:
  """Bytes for a person."""
  for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
    if size >= unit:
      return f"{size / unit:.2f} {name}"
  return f"{size:.0f} B"


def duration(seconds: float) -> str:
  """Seconds for a person."""
  for unit, name in ((1, "s"), (1e-3, "ms")):
    if seconds >= unit:
      return f"{seconds / unit:.3g} {name}"
  return f"{seconds * 1e6:.3g} us"


def count(number: float) -> str:
  """Operations for a person."""
  for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
    if number >= unit:
      return f"{number / unit:.3g} {name}FLOP"
  return f"{number:.3g} FLOP"


def _memory(compiled: program.Program, chip: Chip, fits: bool) -> list[str]:
  share = 100 * compiled.needed / chip.memory
  parts = (
    f"arguments {amount(compiled.arguments)}, outputs {amount(compiled.outputs)} ({amount(compiled.aliased)} of them "
    f"in place of arguments), temporaries {amount(compiled.temporaries)}, code {amount(compiled.code)}, "
    f"peak by the compiler {amount(compiled.peak)}"
  )
  word = "fits        " if fits else "DOES NOT FIT"
  return [
    f"{word} {amount(compiled.needed)} of {amount(chip.memory)} a device ({share:.2g} %): {chip.title}",
    f"  memory     {parts}",
  ]


def _work(compiled: program.Program) -> list[str]:
  operations = compiled.operations
  kinds = ", ".join(f"{dtype} {count(number)}" for dtype, number in sorted(operations.products.items())) or "none"
  loops = f"; {operations.unknown_loops} loops of unknown length counted once" if operations.unknown_loops else ""
  intensity = operations.total / compiled.traffic if compiled.traffic else 0.0
  return [
    f"  work       {count(operations.total)} a device and step (products: {kinds}){loops}",
    f"  traffic    {amount(compiled.traffic)} of main memory: {intensity:.3g} FLOP a byte",
  ]


def _collectives(compiled: program.Program) -> list[str]:
  if not compiled.collectives:
    return ["  collectives none"]
  return [f"  {_described(collective)}" for collective in compiled.collectives]


def _described(collective: hlo.Collective) -> str:
  where = "between slices" if collective.network else "within a slice"
  return f"{collective.kind:10} {collective.count:g} x over {collective.group}, {amount(collective.bytes)}, {where}"


def _roofline(bound: estimate.Roofline | None, chip: Chip) -> list[str]:
  if bound is None or not chip.flops or bound.seconds is None:
    return [f"  roofline   none: nobody says how fast a {chip.title} is"]
  parts = ", ".join(f"{name} {duration(value)}" for name, value in bound.bounds.items() if value)
  unknown = [name for name in ("compute", "memory", "interconnect", "network") if name not in bound.bounds]
  note = f" ({', '.join(unknown)} unknown)" if unknown else ""
  return [f"  roofline   at least {duration(bound.seconds)} a step, bound by {bound.bound_by}: {parts}{note}"]


def _batches(batches: Batches | None, chip: Chip) -> list[str]:
  if batches is None:
    return []
  sizes = " and ".join(f"{size}: {amount(need)}" for size, need in batches.needs.items())
  if batches.largest is None:
    return [f"  batch      memory does not bound it: no more is needed at the larger of two batches ({sizes})"]
  each = amount(batches.bytes_per_example)
  return [
    f"  batch      about {batches.largest:,} fit into {amount(chip.memory)}, by a line through two compiled batches "
    f"({sizes}): {each} of a device's memory for each example of the batch"
  ]
