"""Zachary's karate club: which of two leaders every member follows, from the friendships and the leaders alone.

Paper: Zachary 1977; Kipf & Welling 2017, appendix A, who label a node a class too. The data come with networkx.
Command: python -m experiments.gnn [--config=configs/gnn/karate.py:communities]
Hardware: 2 CPU cores
Time: seconds
Expected: 96.6 % of the 32 others, mean of ten networks (seed 0)
"""

from configs import common
from configs.gnn import _base


def get_config(variant: str = ""):
  """The config; `communities` finds groups without labels; `smoke` is the same as without a variant, in seconds."""
  if variant == "communities":
    from configs.gnn import les_miserables

    config = les_miserables.get_config()
    config.data.name = "karate"
    config.model.communities = 6
    return config
  config = _base.nodes()
  config.model.defaults(gcn={"features": (16, 16), "dropout": 0.2})
  config.train.select = False  # the two labelled members are all there are to learn from: none validates
  config.train.members = 10
  return common.variant(config, variant)
