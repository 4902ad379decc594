"""A small convolutional network on scikit-learn's digits: the embedded default.

Paper: none; the data are Alpaydin & Kaynak's, 1,797 images of 8x8 pixels, a stratified fifth held out for testing.
Command: python -m experiments.cnn
Hardware: 2 CPU cores
Time: under a minute
Expected: about 97 % test accuracy
"""

from configs import common
from configs.cnn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base("textbook")
  config.data.name = "digits"
  config.data.validation = 0.1
  config.model.textbook.dropout = 0.3
  config.augment.translation = 1.0
  config.augment.rotation = 10.0
  config.train.batch_size = 64
  config.train.duration = "30 epochs"
  config.train.ema_decay = 0.99
  return common.variant(config, variant)
