"""Films for people: LightGCN on MovieLens 100K, whatever the rating, the last film of everyone left out.

Paper: He et al. 2020 (LightGCN); Rendle et al. 2009 (ranking). `mf` propagates nothing: matrix factorisation
Command: python -m experiments.gnn --config=configs/gnn/movielens.py[:mf] --config.data.path=...
Hardware: 2 CPU cores
Time: 3 minutes, `mf` one, on a machine shared with others
Expected: recall@20 0.226 and NDCG@20 0.097, which exceed the 0.202 and 0.084 of `mf` (means of three seeds, each at its
  best by validation)
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
