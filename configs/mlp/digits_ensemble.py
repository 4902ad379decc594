"""Five networks trained side by side by vmap; their averaged predictions are measured.

Paper: Lakshminarayanan, Pritzel & Blundell 2017, deep ensembles; on scikit-learn's digits.
Command: python -m experiments.mlp --config=configs/mlp/digits_ensemble.py
Hardware: 2 CPU cores
Time: under a minute
Expected: about 98 % test accuracy, and a lower negative log-likelihood than one of the five (configs/mlp/digits.py)
"""

from configs import common


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = common.mlp()
  config.data.name = "digits"
  config.data.validation = 0.1
  config.model.features = (256, 256)
  config.model.dropout = 0.2  # rate behind every hidden layer
  config.train.batch_size = 64
  config.train.duration = "60 epochs"
  config.train.members = 5
  config.run.steps_per_dispatch = 50
  return common.variant(config, variant)
