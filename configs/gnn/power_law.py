"""A made-up graph of a million nodes and ten million edges, trained by sampled neighbourhoods.

Paper: Hamilton, Ying & Leskovec 2017 (GraphSAGE)
Command: python -m experiments.gnn --config=configs/gnn/power_law.py
Hardware: 2 CPU cores, 4 GiB
Time: 756,000 sampled edges a second with a load of 9 on the two cores (`python -m experiments.benchmark
  graph/sampled_power_law`); the whole run is not measured
Expected: accuracy of 0.88 after the benchmark's 101 steps of 400, in 1.25 GiB
"""

from configs import common
from configs.gnn import _base

CONFORMANCE = "every promise"  # for its kind of state: see tests/conformance


def get_config(variant: str = ""):
  """The config; `smoke` is a graph of 2,000 nodes."""
  config = _base.sampled()
  if variant == "smoke":
    config.data.update({"nodes": 2000, "edges": 10_000, "features": 8})
  return common.variant(config, variant)
