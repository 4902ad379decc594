"""Five networks trained side by side by vmap; their averaged predictions are measured.

Paper: Lakshminarayanan, Pritzel & Blundell 2017, deep ensembles; on scikit-learn's digits.
Command: python -m experiments.mlp --config=configs/mlp/digits_ensemble.py
Hardware: 2 CPU cores
Time: under a minute
Expected: about 98 % test accuracy, and a lower negative log-likelihood than one of the five (configs/mlp/digits.py)
"""

from configs.mlp import digits


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = digits.get_config(variant)
  config.train.members = 5
  return config
