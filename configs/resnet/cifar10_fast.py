"""CIFAR-10 soonest: a whitening first layer, two convolutions a group, one-cycle rate; widths for a CPU.

Paper: Page 2018; Jordan 2024 (airbench94: 94 % in 3.8 A100-seconds, widths 64-256-256; `:gpu` has those, in bfloat16)
Command: python -m experiments.resnet --config=configs/resnet/cifar10_fast.py --config.data.data_dir=...
Hardware: 2 CPU cores (`:gpu` one GPU)
Time: about 13 minutes
Expected: >= 85 % test accuracy on 2 CPU cores
"""

from configs import common
from configs.resnet import _base


def get_config(variant: str = ""):
  """The config for a CPU; `gpu` for one GPU; `smoke` is the same in seconds."""
  config = _base.base("fast")
  config.data.name = "cifar10"
  config.data.normalise = "train"
  config.data.test_views = "mirror"
  config.model.fast.depth = 2
  config.model.fast.widths = (32, 96, 128)
  config.augment.crop = 2
  config.augment.flip = True
  config.optimizer.schedule = "triangle"
  config.optimizer.learning_rate = 0.2
  config.optimizer.warmup = "20 %"
  config.optimizer.nesterov = True
  config.optimizer.weight_decay = 5e-4
  config.optimizer.multipliers = {"whitening_kernel": 0.0}  # frozen: without this, weight decay would shrink it
  config.train.batch_size = 128
  config.train.duration = "10 epochs"
  config.train.label_smoothing = 0.2
  config.train.ema_decay = 0.995
  config.run.eval_every = "0 steps"
  config.bars.test_accuracy = {"min": 0.85}
  if variant == "gpu":
    config.model.fast.widths = (64, 256, 256)
    config.train.batch_size = 1024
    config.optimizer.learning_rate = 1.6
    config.train.ema_decay = 0.96
    config.train.precision = "bfloat16"
  return common.variant(config, variant, also=("gpu",))
