"""A convolutional LSTM on films of two of MNIST's digits, 32x32: ten frames from ten.

Paper: Shi et al. 2015 (ConvLSTM); Srivastava et al. 2015 (the films, there of 64x64).
Command: python -m experiments.video --config=configs/video/moving_mnist.py
Hardware: 2 CPU cores
Time: 14.5 minutes on two shared cores
Expected: 0.42 of the squared error of copying the last frame (seed 0; the aim is half); digits blur
  into blobs that move as they do
"""

from configs.video import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "mnist"
  config.data.validation = 0.05
  config.data.eval_batch_size = 100
  config.train.batch_size = 16
  config.train.duration = "1200 steps"
  config.train.ema_decay = 0.995
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup = "100 steps"
  config.run.best_metric, config.run.best_mode = "mse", "min"
  config.bars = {"test_mse_over_copying": {"max": 0.5}}
  return _base.variant(config, variant)
