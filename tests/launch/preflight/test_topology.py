"""Names of hardware."""

import importlib.util

import jax
import pytest

from launch.preflight import topology
from research.errors import UserError


@pytest.mark.parametrize(
  ("name", "slices", "platform", "shape"),
  [
    ("v5e:2x4", 1, "tpu", (2, 4)),
    ("v5p:2x2x2", 2, "tpu", (2, 2, 2)),
    ("h100:8", 1, "gpu", (1, 8)),
    ("h100:2x8", 1, "gpu", (2, 8)),
    ("host:8", 1, "cpu", (8,)),
  ],
)
def test_names(name, slices, platform, shape):
  found = topology.parse(name, slices)
  assert (found.platform, found.shape, found.slices) == (platform, shape, slices)


@pytest.mark.parametrize(
  ("name", "slices", "remedy"),
  [
    ("v5:2x4", 1, "did you mean v5"),
    ("a100:8", 1, "There are host"),
    ("v5e", 1, "as in v5e:2x4"),
    ("v5e:2x0", 1, "as in v5e:2x4"),
    ("v5e:2x2x2", 1, "2 dimension"),
    ("v5p:4x4", 1, "v5p:2x2x2"),
    ("host:2x4", 1, "host:8"),
    ("host:8", 2, "TPUs only"),
    ("h100:8", 2, "h100:2x8"),
    ("v5e:2x4", 0, "1 or more"),
  ],
)
def test_bad_names_say_what_to_do(name, slices, remedy):
  with pytest.raises(UserError, match=remedy):
    topology.parse(name, slices)


@pytest.mark.parametrize(("name", "extra"), [("v5e:2x4", "tpu-preflight"), ("h100:8", "gpu-preflight")])
def test_a_compiler_that_is_not_installed_names_the_extra(name, extra, monkeypatch):
  monkeypatch.setattr(importlib.util, "find_spec", lambda package: None)
  with pytest.raises(UserError, match=rf"\[{extra}\]"):
    topology.prepare(topology.parse(name))


def test_fake_devices_are_this_process_s_own():
  assert list(topology.devices(topology.parse("host:4"))) == jax.devices()[:4]
  with pytest.raises(UserError, match="this process has 8"):
    topology.devices(topology.parse("host:64"))


def test_slices_and_nodes():
  assert topology.slice_of(topology.parse("v5e:2x4", 2), range(16)) == [0] * 8 + [1] * 8
  assert topology.slice_of(topology.parse("h100:2x4"), range(8)) == [0] * 4 + [1] * 4
  assert topology.slice_of(topology.parse("v5e:4x4"), range(16)) == [0] * 16
