"""What a compiled program moves: collectives and main-memory traffic, read from XLA's text of it.

XLA's own `cost_analysis` says nothing of collectives, counts the body of a loop once, and does not exist for GPUs.  The
text has it all: the instructions of every computation, who calls whom, and how often a loop runs.
"""

import dataclasses
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

KINDS = (
  "all-reduce",
  "all-gather",
  "reduce-scatter",
  "all-to-all",
  "ragged-all-to-all",
  "collective-permute",
  "collective-broadcast",
)
# They name, group or hand on buffers; the traffic is that of who made them and who reads them.
_NO_TRAFFIC = frozenset(
  {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "while", "conditional", "call", "after-all"),
    *("partition-id", "replica-id", "opt-barrier", "async-start", "async-update", "send", "recv"),
  }
)
_SLICING = ("dynamic-slice", "gather", "slice")
_BITS = {"pred": 8, "token": 0, "opaque": 0}
_SHAPE = re.compile(r"\b([a-z]\w*)\[([\d,<=]*)\](\{[^{}]*\})?")
_INSTRUCTION = re.compile(r"^\s*(ROOT )?%?([\w.\-]+) = ")


@dataclasses.dataclass(frozen=True)
class Instruction:
  """One line of a computation; `type` and `attributes` as in the text, the operand of a parameter is its number."""

  name: str
  opcode: str
  type: str
  operands: tuple[str, ...]
  attributes: str
  root: bool


@dataclasses.dataclass(frozen=True)
class Computation:
  """Instructions by name, in order."""

  name: str
  instructions: Mapping[str, Instruction]

  @property
  def root(self) -> Instruction:
    return next(i for i in self.instructions.values() if i.root)


@dataclasses.dataclass(frozen=True)
class Collective:
  """Collectives of one kind among groups of one size.

  Attributes:
    kind: one of `KINDS`.
    count: how often a device takes part, loops counted in full.
    bytes: of a device's operands, over all of them.
    group: devices that take part in one.
    network: whether it leaves the slice (of TPUs) or the node (of GPUs).
  """

  kind: str
  count: float
  bytes: float
  group: int
  network: bool


@dataclasses.dataclass(frozen=True)
class Module:
  """A compiled program.

  Attributes:
    computations: by name.
    entry: the name of the one that is run.
    runs: how often each computation is run, loops of known length counted in full; fused ones are not run but inlined.
    partitions: devices that the program is for.
  """

  computations: Mapping[str, Computation]
  entry: str
  runs: Mapping[str, float]
  partitions: int


def parse(text: str) -> Module:
  """The program in `compiled.as_text()`."""
  computations, entry, current = {}, "", None
  for line in text.splitlines():
    if current is None:
      match = re.match(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$", line)
      if match:
        current, instructions = match[2], {}
        entry = current if match[1] else entry
    elif line.startswith("}"):
      computations[current] = Computation(current, instructions)
      current = None
    elif instruction := _instruction(line):
      instructions[instruction.name] = instruction
  header = text.partition("\n")[0]
  sizes = [int(n) for n in re.findall(r"(?:num_partitions|replica_count)=(\d+)", header)]
  return Module(computations, entry, _runs(computations, entry), math.prod(sizes))


def _instruction(line: str) -> Instruction | None:
  match = _INSTRUCTION.match(line)
  if not match:
    return None
  rest = line[match.end() :]
  end = _closing(rest, 0) + 1 if rest.startswith("(") else rest.index(" ")
  kind, rest = rest[:end], rest[end:].lstrip()
  opening = rest.index("(")
  closing = _closing(rest, opening)
  inside = rest[opening + 1 : closing]
  operands = (inside,) if rest[:opening] == "parameter" else tuple(re.findall(r"%([\w.\-]+)", inside))
  return Instruction(match[2], rest[:opening], kind, operands, rest[closing + 1 :], bool(match[1]))


def _closing(text: str, opening: int) -> int:
  """Index of the parenthesis that closes the one at `opening`."""
  depth = 0
  for index in range(opening, len(text)):
    depth += {"(": 1, ")": -1}.get(text[index], 0)
    if depth == 0:
      return index
  raise ValueError(f"unbalanced: {text[:80]}")


def _callees(instruction: Instruction) -> list[tuple[str, float]]:
  """Computations that the instruction runs, and how often; not those that it inlines or applies to elements."""
  named = lambda key: re.findall(rf"\b{key}=%?([\w.\-]+)", instruction.attributes)
  if instruction.opcode == "while":
    trips = re.search(r'"known_trip_count":\{"n":"(\d+)"', instruction.attributes)
    times = float(trips[1]) if trips else 1.0
    return [(name, times) for name in named("body")] + [(name, times + 1) for name in named("condition")]
  if instruction.opcode == "conditional":
    group = re.search(r"branch_computations=\{([^}]*)\}", instruction.attributes)
    branches = (
      re.findall(r"%?([\w.\-]+)", group[1]) if group else named("true_computation") + named("false_computation")
    )
    return [(name, 1.0) for name in branches]
  if instruction.opcode in ("call", "call-start", "async-start"):
    return [(name, 1.0) for name in named("to_apply") + named("calls")]
  return []


def _runs(computations: Mapping[str, Computation], entry: str) -> dict[str, float]:
  runs: dict[str, float] = defaultdict(float)
  pending = [(entry, 1.0)]
  while pending:  # a computation is called from few places: walked again for each
    name, times = pending.pop()
    if name not in computations:
      continue
    runs[name] += times
    for instruction in computations[name].instructions.values():
      pending += [(callee, times * often) for callee, often in _callees(instruction)]
  return dict(runs)


def size_of(kind: str, memory_space: int | None = None) -> float:
  """Bytes of a type, padding not counted; only what lies in one memory space, if one is given (0 is main memory)."""
  total = 0.0
  for dtype, dimensions, layout in _SHAPE.findall(kind):
    space = re.search(r"S\((\d+)\)", layout)
    if memory_space is None or int(space[1] if space else 0) == memory_space:
      bits = _BITS.get(dtype) if dtype in _BITS else int(next(iter(re.findall(r"\d+", dtype)), 0))
      total += (bits or 0) / 8 * math.prod(int(n.lstrip("<=")) for n in dimensions.split(",") if n)
  return total


def collectives(module: Module, slices: Sequence[int] = ()) -> list[Collective]:
  """Collectives that one device takes part in during one run of the program, by kind, group size and reach.

  Args:
    slices: the slice (or node) of each device, by its position; by default all are in one.
  """
  totals: dict[tuple[str, int, bool], tuple[float, float]] = defaultdict(lambda: (0.0, 0.0))
  for name, computation in module.computations.items():
    # A collective may be the whole of a fusion (TPU): it is found there, run as often as its callers.
    times = module.runs.get(name, 0.0) or _fused_runs(module, name)
    for instruction in computation.instructions.values() if times else ():
      described = _collective(instruction, computation, module, slices)
      if described:
        key, size = described
        count, total = totals[key]
        totals[key] = count + times, total + times * size
  return [Collective(kind, *totals[kind, group, far], group, far) for kind, group, far in sorted(totals)]


def _fused_runs(module: Module, name: str) -> float:
  calls = re.compile(rf"\bcalls=%?{re.escape(name)}(?![\w.\-])")
  return sum(
    module.runs.get(other, 0.0)
    for other, computation in module.computations.items()
    for instruction in computation.instructions.values()
    if instruction.opcode == "fusion" and calls.search(instruction.attributes)
  )


def _collective(instruction, computation, module, slices):
  """((kind, group size, leaves the slice), bytes), or None."""
  attributes = instruction.attributes
  if instruction.opcode == "send" and (match := re.search(r'_xla_megascale_transfer_type="(\w+)"', attributes)):
    size = size_of(computation.instructions[instruction.operands[0]].type)  # between slices, through the hosts
    return (match[1].lower().replace("_", "-"), len(set(slices)) or 2, True), size
  kind = instruction.opcode.removesuffix("-start")
  if kind not in KINDS:
    return None
  size = sum(size_of(computation.instructions[name].type) for name in instruction.operands)
  group, far = _group(attributes, module.partitions, slices)
  return (kind, group, far), size


def _group(attributes: str, partitions: int, slices: Sequence[int]) -> tuple[int, bool]:
  """Devices that take part in one collective, and whether they are of several slices."""
  listed = re.search(r"replica_groups=\{(\{[\d,{} ]*\})\}", attributes)
  pairs = re.search(r"source_target_pairs=\{(\{[\d,{} ]*\})\}", attributes)
  counted = re.search(r"replica_groups=\[(\d+),(\d+)\]<=\[([\d,]+)\](?:T\(([\d,]+)\))?", attributes)
  if match := listed or pairs:
    groups = [[int(n) for n in group.split(",") if n.strip()] for group in re.findall(r"\{([\d, ]*)\}", match[1])]
  elif counted:
    import numpy as np

    dimensions = [int(n) for n in counted[3].split(",")]
    order = [int(n) for n in counted[4].split(",")] if counted[4] else range(len(dimensions))
    places = np.arange(math.prod(dimensions)).reshape(dimensions).transpose(order)
    groups = places.reshape(int(counted[1]), int(counted[2])).tolist()
  else:
    groups = [list(range(partitions))]
  far = any(len({slices[device] for device in group}) > 1 for group in groups) if slices else False
  return max(len(group) for group in groups), far


def traffic(module: Module) -> float:
  """Bytes that one run reads from and writes to main memory, instruction by instruction, nothing kept in caches.

  Of a fusion, what enters and leaves it; of what is sliced or updated in place, the slice; loops of known length in
  full.  What the compiler has put into a TPU's vector memory is not counted.
  """
  total = 0.0
  for name, times in module.runs.items():
    computation = module.computations[name]
    total += times * sum(_traffic_of(i, computation, module) for i in computation.instructions.values())
  return total


def _traffic_of(instruction: Instruction, computation: Computation, module: Module) -> float:
  opcode = instruction.opcode
  if opcode in _NO_TRAFFIC or opcode.endswith("-done"):
    return 0.0
  types = [computation.instructions[name].type for name in instruction.operands if name in computation.instructions]
  if opcode in _SLICING:
    return 2 * size_of(instruction.type, 0)
  if opcode == "dynamic-update-slice":
    return 2 * size_of(types[1], 0)
  if opcode == "fusion":
    fused = re.search(r"\bcalls=%?([\w.\-]+)", instruction.attributes)
    if fused and fused[1] in module.computations:
      return _fusion_traffic(instruction, types, module.computations[fused[1]])
  result = 0.0 if opcode.endswith("-start") else size_of(instruction.type, 0)
  return result + sum(size_of(kind, 0) for kind in types)


def _fusion_traffic(instruction: Instruction, types: Sequence[str], fused: Computation) -> float:
  users = defaultdict(list)
  for inner in fused.instructions.values():
    for name in inner.operands:
      users[name].append(inner)
  total = 0.0
  for inner in fused.instructions.values():
    if inner.opcode != "parameter" or int(inner.operands[0]) >= len(types):
      continue
    whole, parts = size_of(types[int(inner.operands[0])], 0), 0.0
    for user, place in _users(inner.name, users):
      if user.opcode in _SLICING and place == 0:
        parts += size_of(user.type)
      elif not (user.opcode == "dynamic-update-slice" and place == 0):
        parts += whole
    total += min(whole, parts)
  root = fused.root
  while root.opcode == "bitcast":
    root = fused.instructions[root.operands[0]]
  if root.opcode == "dynamic-update-slice":
    return total + size_of(fused.instructions[root.operands[1]].type)
  return total + size_of(instruction.type, 0)


def _users(name: str, users: Mapping[str, Sequence[Instruction]]) -> list[tuple[Instruction, int]]:
  """Who reads a value, through bitcasts, and as which operand."""
  uses = []
  for user in users.get(name, ()):
    uses += _users(user.name, users) if user.opcode == "bitcast" else [(user, user.operands.index(name))]
  return uses
