"""Diffusion of films of scikit-learn's digits, 16 frames of 32x32: all frames at once out of noise.

Paper: Ho et al. 2022 (video diffusion); Ma et al. 2024 (Latte).
Command: python -m experiments.diffusion --config=configs/diffusion/films.py
Hardware: 2 CPU cores
Time: 17 minutes on two cores shared with another training
Expected: a weighted squared error of 0.050 on test films (seed 0); shapes of digits, which do not yet keep their form
  and place from frame to frame
"""

from configs.diffusion import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.films()
  config.data.name = "digits"
  config.data.eval_batch_size = 50
  config.train.batch_size = 8
  config.train.duration = "3000 steps"
  config.train.ema_decay = 0.995
  config.optimizer.name = "muon"
  config.optimizer.learning_rate = 1e-2
  config.optimizer.warmup = "100 steps"
  config.optimizer.clip_norm = 1.0
  return _base.films_variant(config, variant)
