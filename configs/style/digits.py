"""A small CycleGAN on scikit-learn's digits, upright to slanted outlines and back: the embedded default.

Paper: Zhu et al. 2017; the data are Alpaydin & Kaynak's, 1,797 images of 8x8 pixels, brought to 16x16 in 20x20.
Command: python -m experiments.style
Hardware: 2 CPU cores
Time: two minutes
Expected: slanted outlines of the digits that went in, which a classifier of such outlines reads
"""

from configs.style import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "digits"
  config.domains.update({"size": 20, "margin": 2})
  config.measure.update({"config": "configs/cnn/digits.py", "duration": "30 epochs"})
  config.train.update({"batch_size": 8, "duration": "2500 steps"})
  config.optimizer.learning_rate = 1e-3
  config.critic_optimizer.learning_rate = 1e-3
  return _base.variant(config, variant)
