"""CycleGAN on MNIST: upright digits to slanted, outlined ones and back, without a pair; 30,000 are in each domain.

Paper: Zhu et al. 2017, whose generators and critics are wider and deeper, on images of 256x256.
Command: python -m experiments.style --config=configs/style/mnist.py --config.data.data_dir=...
Hardware: 2 CPU cores
Time: 11 minutes on two shared cores, two judging classifiers included
Expected: a classifier of slanted, outlined digits reads 91 % of the translated test digits (the aim is 90 %; 82 %
  of the untranslated); an error of the cycle of 0.013.  Outlines are made whole, the slant only in part
"""

from configs.style import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "mnist"
  config.train.update({"batch_size": 8, "duration": "6000 steps", "ema_decay": 0.995})
  config.optimizer.learning_rate = 1e-3
  config.critic_optimizer.learning_rate = 1e-3
  config.bars.judge_accuracy = {"min": 0.90}
  return _base.variant(config, variant)
