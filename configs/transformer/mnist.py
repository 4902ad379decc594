"""A vision Transformer tells the digits of MNIST from 16 patches of each.

Paper: Dosovitskiy et al. 2021, in kind: small, and with no pre-training.
Command: python -m experiments.transformer --config=configs/transformer/mnist.py --config.data.data_dir=...
Hardware: 2 CPU cores
Time: 29 minutes on a machine shared with about ten programs
Expected: 99.2 % of the test set (seed 0)
"""

from configs import _classification, common
from configs.transformer import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _classification.classification()
  config.task = "classes"  # what to learn, see experiments/transformer.py
  config.data.name = "mnist"
  config.model = _base.network()
  del config.model["tied"]
  config.model.update({"features": 96, "depth": 4, "heads": 4, "positions": "none"})
  config.model.patch = 7  # side of a patch in pixels; each place has a vector that is learned
  config.augment.translation = 2.0
  config.augment.rotation = 8.0
  config.optimizer.update({"name": "muon", "learning_rate": 5e-3, "weight_decay": 0.01, "warmup": "1 epoch"})
  config.train.batch_size = 200
  config.train.duration = "12 epochs"
  config.train.label_smoothing = 0.05
  config.bars.test_accuracy = {"min": 0.988}
  if variant == "smoke":
    _base.smoke(config)
  return common.variant(config, variant)
