"""Films for people: LightGCN on MovieLens 100K, whatever the rating, the last film of everyone left out.

Paper: He et al. 2020 (LightGCN); Rendle et al. 2009 (ranking). `mf` propagates nothing: matrix factorisation
Command: python -m experiments.gnn --config=configs/gnn/movielens.py[:mf] --config.data.path=...
Hardware: 2 CPU cores
Time: not measured yet
Expected: recall@20 and NDCG@20 above those of `mf`; not measured yet
"""

from configs import common
from configs.gnn import _base


def get_config(variant: str = ""):
  """The config; `mf` propagates nothing; `smoke` is the same in seconds."""
  config = _base.recommendation()
  if variant == "mf":
    config.model.steps = 0
  return common.variant(config, variant, ("mf",))
