"""A centre-based detector on scenes of scikit-learn's digits: the embedded default.

Paper: Zhou, Wang & Krähenbühl 2019 (Objects as Points).
Command: python -m experiments.detection
Hardware: 2 CPU cores
Time: two minutes on two free cores
Expected: boxes around most digits
"""

from configs.detection import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "digits"
  config.data.eval_batch_size = 100
  config.data.scenes = 300
  config.scene.update({"size": 32, "sides": (12.0, 18.0), "objects": (1, 2)})
  config.model.update({"widths": (32, 64), "level": 0, "features": 48})
  config.train.batch_size = 32
  config.train.duration = "1500 steps"
  config.optimizer.learning_rate = 3e-3
  config.optimizer.warmup = "50 steps"
  return _base.variant(config, variant)
