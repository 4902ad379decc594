"""Communities among the characters of Les Misérables, from who meets whom alone.

Paper: Knuth 1993 (the data, which come with networkx); Tsitsulin et al. 2023 (the objective)
Command: python -m experiments.gnn --config=configs/gnn/les_miserables.py
Hardware: 2 CPU cores
Time: not measured yet
Expected: modularity about that of Louvain's method, 0.56, which is measured beside it; not measured yet
"""

from configs import common
from configs.gnn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.communities()
  config.data.name = "les_miserables"
  return common.variant(config, variant)
