"""What a slice is called where: `v5e:4x4` is an accelerator type of the TPU API, and node labels on GKE.

From Google's pages on TPU configurations and on TPUs in GKE, as of 2025.
"""

import dataclasses
import math
import re

from research.errors import UserError


@dataclasses.dataclass(frozen=True)
class _Generation:
  prefix: str  # of the accelerator type
  per_chip: int  # what the accelerator type counts: TensorCores or chips
  dimensions: int  # of a topology
  runtime_version: str
  gke_accelerator: str


_GENERATIONS = {
  "v4": _Generation("v4", 2, 3, "tpu-ubuntu2204-base", "tpu-v4-podslice"),
  "v5e": _Generation("v5litepod", 1, 2, "v2-alpha-tpuv5-lite", "tpu-v5-lite-podslice"),
  "v5p": _Generation("v5p", 2, 3, "v2-alpha-tpuv5", "tpu-v5p-slice"),
  "v6e": _Generation("v6e", 1, 2, "v2-alpha-tpuv6e", "tpu-v6e-slice"),
}


@dataclasses.dataclass(frozen=True)
class Slice:
  """A generation of TPUs and how many of its chips lie in which shape.

  Attributes:
    generation: `v5e`.
    topology: chips along each axis, `4x4`.
  """

  generation: str
  topology: str

  @property
  def chips(self) -> int:
    return math.prod(int(size) for size in self.topology.split("x"))

  @property
  def accelerator_type(self) -> str:
    """For `gcloud compute tpus`: `v5litepod-16`."""
    generation = _GENERATIONS[self.generation]
    return f"{generation.prefix}-{self.chips * generation.per_chip}"

  @property
  def runtime_version(self) -> str:
    """The image of its machines."""
    return _GENERATIONS[self.generation].runtime_version

  @property
  def gke_accelerator(self) -> str:
    """The node label `cloud.google.com/gke-tpu-accelerator`."""
    return _GENERATIONS[self.generation].gke_accelerator


def parse(text: str) -> Slice:
  """`v5e:4x4`.

  Raises:
    UserError: no such generation, or a shape of another dimension.
  """
  name, _, topology = text.partition(":")
  if name not in _GENERATIONS:
    raise UserError("topology", text, f"give generation and shape, as in v5e:4x4; there are {', '.join(_GENERATIONS)}.")
  dimensions = _GENERATIONS[name].dimensions
  if not re.fullmatch("x".join([r"[1-9]\d*"] * dimensions), topology):
    example = "x".join(["2"] * dimensions)
    raise UserError("topology", text, f"the shape of a {name} slice has {dimensions} numbers: {name}:{example}.")
  return Slice(name, topology)
