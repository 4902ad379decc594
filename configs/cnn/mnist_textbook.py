"""The textbook network on MNIST as it is usually trained: Adam, no augmentation.

Paper: the MNIST examples of Flax (99.17 %), Keras (99.1 %) and PyTorch.
Command: python -m experiments.cnn --config=configs/cnn/mnist_textbook.py --config.data.data_dir=...
Hardware: 2 CPU cores
Time: about 3 minutes
Expected: 99.2 % test accuracy after 3 epochs
"""

from configs import common
from configs.cnn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base("textbook")
  config.data.name = "mnist"
  config.model.textbook.dropout = 0.3
  config.train.duration = "3 epochs"
  config.train.ema_decay = 0.99
  config.published.test_accuracy = {"value": 0.9917, "source": "Flax MNIST example, README (10 epochs)"}
  return common.variant(config, variant)
