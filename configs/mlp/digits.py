"""A two-layer network on scikit-learn's digits: the embedded default.

Paper: none; the data are Alpaydin & Kaynak's, 1,797 images of 8x8 pixels, a stratified fifth held out for testing.
Command: python -m experiments.mlp
Hardware: 2 CPU cores
Time: under a minute
Expected: about 98 % test accuracy
"""

from configs import common
from configs.mlp import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "digits"
  config.data.validation = 0.1
  config.model.features = (256, 256)
  config.model.dropout = 0.2  # rate behind every hidden layer
  config.train.batch_size = 64
  config.train.duration = "60 epochs"
  config.run.steps_per_dispatch = 50
  return common.variant(config, variant)
