"""A centre-based detector on cluttered scenes of one to three of MNIST's digits in six colours, 48x48.

Paper: Zhou, Wang & Krähenbühl 2019 (Objects as Points), which has no number for these.
Command: python -m experiments.detection --config=configs/detection/scenes.py
Hardware: 2 CPU cores
Time: 6 minutes on two shared cores
Expected: AP at an IoU of 0.5 of 0.971, over 0.5 to 0.95 of 0.730 (seed 0; the aims are 0.95 and 0.70)
"""

from configs.detection import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "mnist"
  config.data.validation = 0.05
  config.data.eval_batch_size = 100
  config.train.batch_size = 32
  config.train.duration = "8000 steps"
  config.train.ema_decay = 0.995
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup = "100 steps"
  config.bars = {"test_ap50": {"min": 0.95}, "test_ap": {"min": 0.70}}
  return _base.variant(config, variant)
