"""A small convolutional LSTM on films of scikit-learn's digits: the embedded default.

Paper: Shi et al. 2015 (ConvLSTM); Srivastava et al. 2015 (the films, in kind).
Command: python -m experiments.video
Hardware: 2 CPU cores
Time: 0.29 s of CPU a step, 15 minutes on a machine shared with many others; meant for two minutes on two free cores
Expected: 0.35 of the squared error of copying the last frame (0.0170, SSIM 0.48)
"""

from configs.video import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "digits"
  config.data.eval_batch_size = 100
  config.data.films = 300
  config.film.update({"objects": 1})
  config.model.widths = (48,)
  config.train.batch_size = 16
  config.train.duration = "500 steps"
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup = "50 steps"
  config.run.best_metric, config.run.best_mode = "mse", "min"
  config.bars = {"test_mse_over_copying": {"max": 0.5}}
  return _base.variant(config, variant)
