"""Bounds that follow from counts and a chip's figures."""

import dataclasses
import math
from collections.abc import Iterable, Mapping

from launch.preflight.chips import Chip
from launch.preflight.hlo import Collective


@dataclasses.dataclass(frozen=True)
class Roofline:
  """Least seconds that a step takes, by what takes them; None where the chip's figure is unknown.

  Attributes:
    compute: matrix products and convolutions at the peak of their type.
    memory: main-memory traffic.
    interconnect, network: collectives inside a slice, and those that leave it, by rings.
  """

  compute: float | None
  memory: float | None
  interconnect: float | None
  network: float | None

  @property
  def bounds(self) -> dict[str, float]:
    """The seconds that are known, by name."""
    return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}

  @property
  def seconds(self) -> float | None:
    """Of a step in which all of these overlap perfectly: the longest."""
    return max(self.bounds.values(), default=None)

  @property
  def bound_by(self) -> str:
    return max(self.bounds, key=self.bounds.__getitem__, default="unknown")


def roofline(chip: Chip, products: Mapping[str, float], traffic: float, collectives: Iterable[Collective]) -> Roofline:
  """The bounds of one step on one device.

  Args:
    products: operations of matrix products, by type; a type of which the chip's peak is unknown counts at its best.
    traffic: bytes read and written in main memory.
    collectives: what the device takes part in.
  """
  best = max(chip.flops.values(), default=None)
  compute = sum(count / chip.flops.get(dtype, best) for dtype, count in products.items()) if best else None
  sent = {False: 0.0, True: 0.0}
  for collective in collectives:
    sent[collective.network] += wire_bytes(collective)
  over = lambda amount, rate: amount / rate if rate else (None if amount else 0.0)
  return Roofline(
    compute,
    traffic / chip.bandwidth if chip.bandwidth else None,
    over(sent[False], chip.interconnect),
    over(sent[True], chip.network),
  )


def wire_bytes(collective: Collective) -> float:
  """Bytes that a device sends in a ring over the group: what no algorithm without switches that add can go below.

  From Patarasuk & Yuan 2009 (all-reduce: 2 (n - 1) / n of its bytes; reduce-scatter and all-gather half of that each).
  """
  n = max(collective.group, 1)
  factor = {
    "all-reduce": 2 * (n - 1) / n,
    "all-gather": n - 1,
    "reduce-scatter": (n - 1) / n,
    "all-to-all": (n - 1) / n,
    "ragged-all-to-all": (n - 1) / n,
  }.get(collective.kind, 1.0)
  return factor * collective.bytes


def largest_batch(needs: Mapping[int, float], memory: float, devices: int) -> tuple[int | None, float]:
  """The largest global batch that fits if need grows linearly with it, and the bytes that an example takes.

  Args:
    needs: bytes a device needs, by global batch size, at two sizes.
    memory: bytes that it has.
    devices: that must divide the batch.

  Returns:
    None for the batch where need does not grow between the two: memory does not bound it there.
  """
  (small, need_small), (large, need_large) = min(needs.items()), max(needs.items())
  slope = (need_large - need_small) / (large - small)
  if slope <= 0:
    return None, 0.0
  fits = small + (memory - need_small) / slope
  return max(0, math.floor(fits / devices) * devices), slope
