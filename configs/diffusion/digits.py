"""A small diffusion transformer on scikit-learn's digits: the embedded default.

Paper: Peebles & Xie 2023 (DiT); Nichol & Dhariwal 2021 (cosine schedule); Salimans & Ho 2022 (v).
Command: python -m experiments.diffusion
Hardware: 2 CPU cores
Time: a minute and a half on two free cores
Expected: samples of every class that a person recognises
"""

from configs.diffusion import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.images()
  config.data.name = "digits"
  config.data.eval_batch_size = 360
  config.model.dit.update({"features": 64, "depth": 3, "heads": 4, "patch": 2})
  config.train.batch_size = 128
  config.train.duration = "1300 steps"
  config.train.ema_decay = 0.995
  config.optimizer.learning_rate = 2e-3
  config.optimizer.warmup = "100 steps"
  config.optimizer.clip_norm = 1.0
  config.sampler.guidance = 2.0
  config.report.samples = 80
  config.report.factor = 2
  config.report.bound_nodes = 30
  config.report.augment_config = "configs/cnn/digits.py"
  config.run.steps_per_dispatch = 50
  return _base.variant(config, variant)
