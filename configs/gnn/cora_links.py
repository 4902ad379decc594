"""Links between papers: Cora, 5 % of the links to validate and 10 % to test, as many pairs that are none beside them.

Paper: Kipf & Welling 2016, table 1, VGAE with features: AUC 91.4, AP 92.6, 10 runs on one split
Command: python -m experiments.gnn --config=configs/gnn/cora_links.py --config.data.path=...
Hardware: 2 CPU cores
Time: a minute for ten networks, on a machine shared with others
Expected: AUC 92.8 +- 0.5 %, AP 93.0 +- 0.6 (ten networks on one split); with the paper's 200 steps and no dropout it
  was AUC 81.4 %, which is why dropout and steps were chosen anew, on validation links
"""

from configs import common
from configs.gnn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.links()
  config.data.name = "cora"
  config.train.members = 10
  source = "Kipf & Welling 2016, table 1 (as DGL's example quotes it), 10 runs"
  config.published = {"test_auc": {"value": 0.914, "source": source}, "test_ap": {"value": 0.926, "source": source}}
  config.bars = {"test_auc": {"min": 0.914}, "test_ap": {"min": 0.926}}
  if variant == "smoke":
    config.train.members = 2
  return common.variant(config, variant)
