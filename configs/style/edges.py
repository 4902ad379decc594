"""pix2pix on MNIST: digits of the edges of digits.

Paper: Isola et al. 2017, whose U-Net and critic are wider and deeper, on images of 256x256.
Command: python -m experiments.style --config=configs/style/edges.py --config.data.data_dir=...
Hardware: 2 CPU cores
Time: 4.5 minutes on two shared cores, the judging classifier included
Expected: a classifier of digits reads 99.0 % of those that are made of test edges (99.2 % of the true ones, 27 % of
  edges); a mean absolute error of 0.014
"""

from configs.style import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base("pix2pix")
  config.data.name = "mnist"
  config.domains.update({"a": "edges", "b": "upright", "size": 32, "margin": 2})
  config.train.update({"batch_size": 16, "duration": "4000 steps", "ema_decay": 0.995})
  config.optimizer.learning_rate = 1e-3
  config.critic_optimizer.learning_rate = 1e-3
  config.bars.judge_accuracy = {"min": 0.90}
  return _base.variant(config, variant)
