"""Names of hardware, and the devices that a compiler sees there.

| name | hardware |
|---|---|
| `v5e:2x4`, `v6e:4x4` | so many chips of a TPU in two dimensions; `v4:2x2x1`, `v5p:2x2x2`: in three |
| `h100:8`, `h100:2x8` | eight GPUs of one node; two nodes of eight |
| `host:8` | eight fake CPU devices in this process |

Several TPU slices are `slices=2`: two of that shape, joined by the data-centre network.  More chips than one host holds
make a topology of several hosts: `v5e:4x4` is four of them.
"""

import dataclasses
import difflib
import importlib.util
import math
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from launch.preflight import chips
from research.errors import UserError

# The compiler asks who and where it is: these answers keep it from looking for a TPU, and silent.
_TPU_ENVIRONMENT = {
  "TPU_SKIP_MDS_QUERY": "1",
  "TPU_ACCELERATOR_TYPE": "v5litepod-8",
  "TPU_WORKER_HOSTNAMES": "localhost",
  "TPU_WORKER_ID": "0",
  "TPU_MIN_LOG_LEVEL": "3",
  "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
_FAKE_DEVICES = "--xla_force_host_platform_device_count"


@dataclasses.dataclass(frozen=True)
class Topology:
  """Hardware by name, see the module.

  Attributes:
    name: as it was given.
    kind: `host`, or a chip of `chips.CHIPS`.
    shape: chips in each dimension; of GPUs (nodes, GPUs of a node).
    slices: of TPUs.
  """

  name: str
  kind: str
  shape: tuple[int, ...]
  slices: int

  @property
  def platform(self) -> str:
    """`tpu`, `gpu` or `cpu`."""
    return "cpu" if self.kind == "host" else chips.CHIPS[self.kind].platform

  @property
  def chip(self) -> chips.Chip:
    return chips.host(self.shape[0]) if self.kind == "host" else chips.CHIPS[self.kind]


def parse(name: str, slices: int = 1) -> Topology:
  """The topology of a name.

  Raises:
    UserError: no such hardware, or a shape that it does not come in.
  """
  known = ("host", *chips.CHIPS)
  kind, colon, text = name.partition(":")
  if kind not in known:
    near = difflib.get_close_matches(kind, known, 1)
    hint = f"did you mean {near[0]}:...? " if near else ""
    raise UserError("--topology", name, f"{hint}There are {', '.join(known)}, as in v5e:2x4, h100:8, host:8.")
  if not colon or not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)*", text):
    raise UserError("--topology", name, f"give the shape after a colon, as in {_example(kind)}.")
  shape = tuple(int(size) for size in text.split("x"))
  dimensions = {"v4": (3,), "v5p": (3,), "v5e": (2,), "v6e": (2,), "h100": (1, 2), "host": (1,)}[kind]
  if len(shape) not in dimensions:
    raise UserError("--topology", name, f"{kind} has {dimensions[-1]} dimension(s), as in {_example(kind)}.")
  if slices < 1 or (slices > 1 and (kind == "host" or chips.CHIPS[kind].platform != "tpu")):
    raise UserError("--slices", slices, "give 1 or more, and more than 1 of TPUs only: nodes of GPUs are h100:2x8.")
  return Topology(name, kind, (1, *shape) if kind == "h100" and len(shape) == 1 else shape, slices)


def _example(kind: str) -> str:
  return {"v4": "v4:2x2x1", "v5p": "v5p:2x2x2", "h100": "h100:8", "host": "host:8"}.get(kind, f"{kind}:2x4")


def prepare(topology: Topology) -> None:
  """Sets the environment that the compiler wants; before jax is imported, or it is too late.

  Raises:
    UserError: the compiler of this hardware is not installed.
  """
  package, extra = {"tpu": ("libtpu", "tpu-preflight"), "gpu": ("jax_plugins.xla_cuda13", "gpu-preflight")}.get(
    topology.platform, ("", "")
  )
  if package and not _installed(package):
    remedy = f"compiling for it takes {package}, which is not installed: pip install -e .[{extra}] (no device needed)."
    raise UserError("--topology", topology.name, remedy)
  if "jax" in sys.modules:
    return
  os.environ["JAX_PLATFORMS"] = "cpu"
  os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
  if topology.platform == "tpu":
    os.environ.update(_TPU_ENVIRONMENT)
  if topology.kind == "host":
    # XLA's CPU pool must be larger than the number of devices, or collectives dead-lock on a small machine.
    os.environ.setdefault("NPROC", str(4 * topology.shape[0]))
    flags = re.sub(rf"{_FAKE_DEVICES}=\d+", "", os.environ.get("XLA_FLAGS", ""))
    os.environ["XLA_FLAGS"] = f"{flags} {_FAKE_DEVICES}={topology.shape[0]}".strip()


def _installed(package: str) -> bool:
  try:
    return importlib.util.find_spec(package) is not None
  except ModuleNotFoundError:  # not even the package around it
    return False


def devices(topology: Topology) -> Sequence[Any]:
  """The devices, in the order in which a run would have them.

  Raises:
    UserError: the compiler knows no such shape, or this process has too few fake devices.
  """
  import jax
  from jax.experimental import topologies

  if topology.kind == "host":
    available = jax.devices("cpu")
    if len(available) < topology.shape[0]:
      remedy = (
        f"this process has {len(available)} CPU devices: set {_FAKE_DEVICES} in XLA_FLAGS before jax is imported."
      )
      raise UserError("--topology", topology.name, remedy)
    return available[: topology.shape[0]]
  options: dict[str, Any] = {"topology_name": topology.name}
  if topology.platform == "gpu":
    shape = "x".join(str(size) for size in (1, *topology.shape))
    options = {"topology_name": topology.kind, "target_config": chips.GPU_TARGETS[topology.kind], "topology": shape}
  elif topology.slices > 1:
    options["num_slices"] = topology.slices
  try:
    described = topologies.get_topology_desc(platform={"gpu": "cuda"}.get(topology.platform, "tpu"), **options)
  except Exception as error:  # whatever the plug-in raises for a shape that it does not know
    remedy = f"the compiler knows no such topology ({str(error).splitlines()[0][:160]})."
    raise UserError("--topology", topology.name, remedy) from error
  return described.devices


def slice_of(topology: Topology, devices: Sequence[Any]) -> list[int]:
  """Which slice (of TPUs) or node (of GPUs) each device belongs to."""
  if topology.platform == "gpu":
    return [index // topology.shape[-1] for index in range(len(devices))]
  size = math.ceil(len(devices) / topology.slices)
  return [index // size for index in range(len(devices))]
