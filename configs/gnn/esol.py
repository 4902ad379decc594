"""Solubility of molecules in water from their structure: ESOL, deterministic scaffold split, three networks.

Paper: Delaney 2004; Wu et al. 2018 (MoleculeNet); DeepChem's table for this split: GCN 0.885 +- .029
Command: python -m experiments.gnn --config=configs/gnn/esol.py --config.data.path=... (extra `molecules`)
Hardware: 2 CPU cores
Time: 14 minutes for three networks, on a machine shared with others
Expected: RMSE of 0.843 log mol/L, mean of three; 0.817 of their mean prediction
"""

from configs import common
from configs.gnn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.molecules()
  config.train.members = 3
  config.model.mpnn.dropout = 0.1
  config.published.test_rmse = {
    "value": 0.885,
    "source": "DeepChem's MoleculeNet leaderboard, GCN, scaffold split (molecules and split of its own release)",
  }
  config.bars.test_rmse = {"max": 0.85}
  if variant == "smoke":
    config.model.mpnn.features = 8
    config.train.members = 2
  return common.variant(config, variant)
