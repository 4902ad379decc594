"""Facts of made-up families, a tenth of them asked for: TransE, or DistMult, which takes every relation to be mutual.

Paper: Bordes et al. 2013 (TransE); Yang et al. 2015 (DistMult); Ruffinelli et al. 2020 (the loss)
Command: python -m experiments.gnn --config=configs/gnn/kinship.py[:distmult]
Hardware: 2 CPU cores
Time: not measured yet
Expected: a mean reciprocal rank well above that of chance, which is 0.05; not measured yet
"""

from configs import common
from configs.gnn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.knowledge()
  if variant == "distmult":
    config.model.name = "distmult"
    config.train.penalty = 0.1
  return common.variant(config, variant, ("distmult",))
