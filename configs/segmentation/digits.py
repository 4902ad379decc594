"""A small U-Net on scenes of scikit-learn's digits: the embedded default.

Paper: Ronneberger, Fischer & Brox 2015.
Command: python -m experiments.segmentation
Hardware: 2 CPU cores
Time: two minutes on two free cores
Expected: overlays in which most digits have one colour
"""

from configs.segmentation import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "digits"
  config.data.eval_batch_size = 100
  config.data.scenes = 300
  config.scene.update({"size": 32, "sides": (12.0, 18.0), "objects": (1, 2)})
  config.model.widths = (12, 24, 48)
  config.train.batch_size = 16
  config.train.duration = "800 steps"
  config.optimizer.learning_rate = 4e-3
  config.optimizer.warmup = "50 steps"
  config.run.best_metric = "miou"
  return _base.variant(config, variant)
