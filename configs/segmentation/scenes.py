"""A U-Net on cluttered scenes of one to three of MNIST's digits in six colours, 48x48: eleven classes of pixels.

Paper: Ronneberger, Fischer & Brox 2015.
Command: python -m experiments.segmentation --config=configs/segmentation/scenes.py
Hardware: 2 CPU cores
Time: 9 minutes on two free cores
Expected: a mIoU of 0.917 (seed 0; the aim is 0.90)
"""

from configs.segmentation import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "mnist"
  config.data.validation = 0.05
  config.data.eval_batch_size = 100
  config.train.batch_size = 16
  config.train.duration = "3000 steps"
  config.train.ema_decay = 0.995
  config.optimizer.learning_rate = 4e-3
  config.optimizer.warmup = "100 steps"
  config.run.best_metric = "miou"
  config.bars = {"test_miou": {"min": 0.90}}
  return _base.variant(config, variant)
