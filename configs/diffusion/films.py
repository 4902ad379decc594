"""Diffusion of films of scikit-learn's digits, 16 frames of 32x32: all frames at once out of noise.

Paper: Ho et al. 2022 (video diffusion); Ma et al. 2024 (Latte).
Command: python -m experiments.diffusion --config=configs/diffusion/films.py
Hardware: 2 CPU cores
Time: a quarter of an hour on two cores shared with other programs
Expected: a weighted squared error of 0.065 on test films; strokes that are a digit's, which does not yet keep its shape
  and place from frame to frame: that takes longer training
"""

from configs.diffusion import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.films()
  config.data.name = "digits"
  config.data.eval_batch_size = 50
  config.train.batch_size = 8
  config.train.duration = "1500 steps"
  config.train.ema_decay = 0.995
  config.optimizer.learning_rate = 2e-3
  config.optimizer.warmup = "100 steps"
  config.optimizer.clip_norm = 1.0
  return _base.films_variant(config, variant)
