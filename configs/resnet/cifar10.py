"""ResNet-20 on CIFAR-10, as published: pad-crop and flip, momentum, piecewise learning rate.

Paper: He et al. 2015, section 4.2: 91.25 % test accuracy with 0.27 M parameters after 64k steps.
Command: python -m experiments.resnet --config=configs/resnet/cifar10.py --config.data.data_dir=...
Hardware: one GPU
Time: not measured; 64,000 steps of 0.43 s are about 8 hours on 2 CPU cores
Expected: 91.25 % on the original images; on a JPEG-recompressed copy about a point less
"""

from configs import common
from configs.resnet import _base


def get_config(variant: str = ""):
  """The config; `smoke` is a shallow stand-in in seconds: ResNet-8."""
  config = _base.base("cifar")
  config.data.name = "cifar10"
  config.data.normalise = "train"
  config.model.cifar.depth = 20
  config.model.cifar.shortcut = "A"
  config.augment.crop = 4
  config.augment.flip = True
  config.optimizer.learning_rate = 0.1
  config.optimizer.schedule = "piecewise"
  config.optimizer.boundaries = ("50 %", "75 %")
  config.train.batch_size = 128
  config.train.duration = "64000 steps"
  config.published.test_accuracy = {"value": 0.9125, "source": "He et al. 2015, table 6 (original images)"}
  config.bars.test_accuracy = {"min": 0.91}
  if variant == "smoke":
    config.model.cifar.depth = 8
  return common.variant(config, variant)
