"""What the chips can do: the one table of hardware figures, each with its public source.

Of a device as XLA sees it: a TPU v4 chip is two devices to the ahead-of-time compiler, so it has half a chip's figures.
Bandwidths are in one direction, all links together: lower bounds of times follow from them, never times.
"""

import dataclasses
import os
from collections.abc import Mapping
from types import MappingProxyType

GIB, TERA, GIGA = 2**30, 1e12, 1e9


@dataclasses.dataclass(frozen=True)
class Chip:
  """One device.

  Attributes:
    title: what it is called.
    platform: `tpu`, `gpu` or `cpu`.
    memory: bytes of main memory (HBM) that a program may use.
    flops: peak operations a second by the type of a product's operands; empty where nobody says.
    bandwidth: bytes a second of main memory; 0: unknown.
    interconnect: bytes a second to the other devices of a slice (ICI) or a node (NVLink), one direction; 0: unknown.
    network: bytes a second between slices or nodes, one direction, a device's share; 0: unknown.
    source: where the figures stand.
  """

  title: str
  platform: str
  memory: float
  flops: Mapping[str, float] = dataclasses.field(default_factory=dict)
  bandwidth: float = 0.0
  interconnect: float = 0.0
  network: float = 0.0
  source: str = ""


def _tpu(bf16: float) -> Mapping[str, float]:
  """XLA's default precision runs a float32 product in one bfloat16 pass on a TPU."""
  return MappingProxyType({"bfloat16": bf16, "float32": bf16})


# Memory of TPUs: what libtpu 0.0.42 says it has left for a program ("exceeds available HBM (15.75G)"); the rest of the
# figures: the pages "TPU v4", "v5e", "v5p", "v6e" of Google Cloud's TPU documentation, whose bidirectional interconnect
# bandwidth is halved here.
CHIPS: Mapping[str, Chip] = MappingProxyType(
  {
    "v4": Chip(
      "half a TPU v4 chip (one of two TensorCores)",
      "tpu",
      15.25 * GIB,
      _tpu(275 / 2 * TERA),
      1228 / 2 * GIGA,
      300 / 2 * GIGA,
      source="docs.cloud.google.com/tpu/docs/v4; Jouppi et al. 2023 (arXiv:2304.01433), table 4: 6 links of 50 GB/s",
    ),
    "v5e": Chip(
      "TPU v5e",
      "tpu",
      15.75 * GIB,
      _tpu(197 * TERA),
      819 * GIGA,
      200 * GIGA,
      25 / 8 * GIGA,
      source="docs.cloud.google.com/tpu/docs/v5e: 400 GB/s both ways; 6.4 Tb/s of network a pod of 256",
    ),
    "v5p": Chip(
      "TPU v5p",
      "tpu",
      95.74 * GIB,
      _tpu(459 * TERA),
      2765 * GIGA,
      600 * GIGA,
      50 / 8 * GIGA,
      source="docs.cloud.google.com/tpu/docs/v5p: 1200 GB/s both ways; 50 Gb/s of network a chip",
    ),
    "v6e": Chip(
      "TPU v6e",
      "tpu",
      31.25 * GIB,
      _tpu(918 * TERA),
      1638 * GIGA,
      400 * GIGA,
      source="docs.cloud.google.com/tpu/docs/v6e: 800 GB/s both ways; the network is not stated there",
    ),
    "h100": Chip(
      "NVIDIA H100 SXM",
      "gpu",
      # 80 GB by name are 79.6 GiB to the driver, of which JAX takes three quarters unless it is told otherwise.
      0.75 * 79.6 * GIB,
      # Dense; XLA's default precision runs float32 products in TF32.
      MappingProxyType(
        {"bfloat16": 989.4 * TERA, "float16": 989.4 * TERA, "float32": 494.7 * TERA, "float64": 66.9 * TERA}
      ),
      3352 * GIGA,
      450 * GIGA,
      50 * GIGA,
      source="NVIDIA H100 data sheet, Hopper architecture paper: NVLink 900 GB/s both ways; 400 Gb/s a GPU as in a DGX",
    ),
  }
)

# What the compiler must know of a GPU that is not there, in the text form of XLA's GpuTargetConfigProto: the figures of
# compute capability 9.0 in the CUDA C++ Programming Guide, of the chip in the Hopper architecture paper.
GPU_TARGETS: Mapping[str, str] = MappingProxyType(
  {
    "h100": """
platform_name: "CUDA"
device_description_str: "NVIDIA H100 80GB HBM3"
gpu_device_info {
  cuda_compute_capability { major: 9 minor: 0 }
  core_count: 132
  fpus_per_core: 128
  clock_rate_ghz: 1.98
  memory_bandwidth: 3352000000000
  device_memory_size: 85899345920
  l2_cache_size: 52428800
  threads_per_warp: 32
  threads_per_block_limit: 1024
  threads_per_core_limit: 2048
  block_dim_limit_x: 2147483647
  block_dim_limit_y: 65535
  block_dim_limit_z: 65535
  registers_per_core_limit: 65536
  registers_per_block_limit: 65536
  shared_memory_per_block: 49152
  shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472
}
dnn_version_info { major: 9 minor: 10 }
""",
  }
)


def host(devices: int) -> Chip:
  """A fake CPU device, one of so many that share this machine's memory; how fast it is, nobody says."""
  memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
  return Chip("fake CPU device", "cpu", memory / devices, source="this machine's memory, divided by the devices")
