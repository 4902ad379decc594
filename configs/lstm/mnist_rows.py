"""MNIST read row by row: 28 steps of 28 pixels.

Paper: Le, Jaitly & Hinton 2015, in kind (theirs reads pixel by pixel); an LSTM of 128 by rows: 98.9 % (tutorials,
  recalled, not checked at the source).
Command: python -m experiments.lstm --config=configs/lstm/mnist_rows.py --config.data.data_dir=...
Hardware: 2 CPU cores
Time: 11 minutes, on cores shared with other jobs
Expected: 99.1 % of the test set (seed 0)
"""

from configs import _classification, common
from configs.lstm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _classification.classification()
  config.task = "classes"  # language: the next token; classes: of other sequences; sentences: the class of a text
  config.data.name = "mnist"
  config.model = _base.network()
  config.model.update({"features": 128, "dropout": 0.2})
  config.model.bidirectional = True  # a second pass, from the last row to the first
  config.model.pool = "max"  # over the rows: last, mean, max
  config.augment.translation = 2.0
  config.augment.rotation = 8.0
  config.optimizer.update({"name": "adamw", "learning_rate": 3e-3, "warmup": "1 epoch", "clip_norm": 1.0})
  config.train.batch_size = 200
  config.train.duration = "12 epochs"
  config.published.test_accuracy = {"value": 0.989, "source": "tutorials of an LSTM by rows (recalled)"}
  config.bars.test_accuracy = {"min": 0.990}
  if variant == "smoke":
    _base.smoke(config)
  return common.variant(config, variant)
