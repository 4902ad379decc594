"""Bounds from counts and a chip's figures."""

import pytest

from launch.preflight import chips, estimate
from launch.preflight.hlo import Collective

CHIP = chips.Chip("test", "tpu", 1000.0, {"bfloat16": 100.0, "float32": 50.0}, 10.0, 4.0, 1.0)


def test_roofline_of_each_side():
  found = estimate.roofline(
    CHIP,
    {"bfloat16": 300.0, "float32": 100.0},
    30.0,
    [Collective("all-reduce", 1, 8.0, 4, False), Collective("all-reduce", 1, 2.0, 2, True)],
  )
  assert found.bounds == {"compute": 5.0, "memory": 3.0, "interconnect": 3.0, "network": 2.0}
  assert found.seconds == 5.0
  assert found.bound_by == "compute"


def test_what_is_unknown_bounds_nothing():
  chip = chips.Chip("test", "cpu", 1000.0)
  found = estimate.roofline(chip, {"float32": 1.0}, 1.0, [Collective("all-reduce", 1, 8.0, 4, True)])
  assert found.bounds == {"interconnect": 0.0}
  assert estimate.roofline(CHIP, {"float64": 100.0}, 0.0, []).compute == 1.0  # at the chip's best: still a bound


@pytest.mark.parametrize(
  ("kind", "sent"),
  [
    ("all-reduce", 14.0),
    ("all-gather", 56.0),
    ("reduce-scatter", 7.0),
    ("all-to-all", 7.0),
    ("collective-permute", 8.0),
  ],
)
def test_a_ring_of_eight(kind, sent):
  assert estimate.wire_bytes(Collective(kind, 1, 8.0, 8, False)) == pytest.approx(sent)


def test_largest_batch_is_where_the_line_meets_the_memory():
  needs = {8: 100.0, 24: 180.0}  # 60 and 5 an example
  assert estimate.largest_batch(needs, 1000.0, 8) == (184, 5.0)  # (1000 - 60) / 5 = 188
  assert estimate.largest_batch({8: 100.0, 16: 100.0}, 1000.0, 8) == (None, 0.0)
  assert estimate.largest_batch(needs, 50.0, 8)[0] == 0


@pytest.mark.parametrize("kind", chips.CHIPS)
def test_every_chip_says_where_its_figures_stand(kind):
  chip = chips.CHIPS[kind]
  assert chip.source
  assert chip.memory > 2**33
  assert 1e14 < max(chip.flops.values()) < 1e16
  assert 1e11 < chip.interconnect < chip.bandwidth < 1e13
