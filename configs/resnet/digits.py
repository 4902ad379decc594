"""A small residual network on scikit-learn's digits: the embedded default.

Paper: He et al. 2015, the CIFAR network, on 1,797 images of 8x8 pixels; a stratified fifth held out for testing.
Command: python -m experiments.resnet
Hardware: 2 CPU cores
Time: about a minute
Expected: about 99 % test accuracy
"""

from configs import common
from configs.resnet import _base


def get_config(variant: str = ""):
  """The config; `smoke` is a shallow stand-in in seconds: ResNet-8."""
  config = _base.base("cifar")
  config.data.name = "digits"
  config.data.validation = 0.1
  config.model.cifar.depth = 20
  config.augment.translation = 1.0
  config.optimizer.learning_rate = 0.1
  config.train.batch_size = 64
  config.train.duration = "15 epochs"
  config.train.ema_decay = 0.95
  if variant == "smoke":
    config.model.cifar.depth = 8
  return common.variant(config, variant)
