"""A small CycleGAN on scikit-learn's digits, upright to slanted and back: the embedded default.

Of outlines too, `--config.domains.b=slanted_outlined`, strokes this coarse are read at 73 % after as many steps.

Paper: Zhu et al. 2017; the data are Alpaydin & Kaynak's, 1,797 images of 8x8 pixels, brought to 16x16 in 20x20.
Command: python -m experiments.style
Hardware: 2 CPU cores
Time: half a minute on two free cores, two judging classifiers included
Expected: a classifier of slanted digits reads 96 % of the translated test digits (of true ones 97 %), 83 % of them as
  they were
"""

from configs.style import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "digits"
  config.domains.update({"b": "slanted", "size": 20, "margin": 2})
  config.measure.update({"config": "configs/cnn/digits.py", "duration": "15 epochs"})
  config.train.update({"batch_size": 8, "duration": "1000 steps"})
  config.optimizer.learning_rate = 1e-3
  config.critic_optimizer.learning_rate = 1e-3
  return _base.variant(config, variant)
