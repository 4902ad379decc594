"""Films for people: LightGCN on MovieLens 100K, whatever the rating, the last film of everyone left out.

Paper: He et al. 2020 (LightGCN); Rendle et al. 2009 (ranking). `mf` propagates nothing: matrix factorisation
Command: python -m experiments.gnn --config=configs/gnn/movielens.py[:mf] --config.data.path=...
Hardware: 2 CPU cores
Time: `mf` a minute; LightGCN did not end within 15 minutes on a machine shared with others
Expected: of `mf` recall@20 0.207 and NDCG@20 0.083, which LightGCN is to exceed; it is not measured
"""

from configs import common
from configs.gnn import _base


def get_config(variant: str = ""):
  """The config; `mf` propagates nothing; `smoke` is the same in seconds."""
  config = _base.recommendation()
  config.train.duration = "250 epochs"  # of which the best by validation counts; LightGCN's is beyond 200
  if variant == "mf":
    config.model.steps = 0
  return common.variant(config, variant, ("mf",))
