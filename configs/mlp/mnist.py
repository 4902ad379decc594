"""Permutation-invariant MNIST without augmentation: three hidden layers, batch norm, noise, dropout, weight averaging.

Paper: Srivastava et al. 2014, table 2: 1.25 % (dropout, 3x1024), 1.06 % (with max-norm).
Command: python -m experiments.mlp --config=configs/mlp/mnist.py --config.data.data_dir=...
Hardware: 2 CPU cores
Time: about 8 minutes
Expected: <= 1.10 % test error
"""

from configs import common


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = common.mlp()
  config.data.name = "mnist"
  config.model.features = (1024, 1024, 1024)
  config.model.batch_norm = True
  config.model.input_dropout = 0.2
  config.model.dropout = 0.4
  config.optimizer.learning_rate = 2e-3
  config.optimizer.warmup = "1 epoch"
  config.train.batch_size = 250
  config.train.duration = "60 epochs"
  config.train.ema_decay = 0.999
  config.published.test_error = {
    "value": 0.0106,
    "source": "Srivastava et al. 2014, table 2: dropout + max-norm, 3x1024",
  }
  config.bars.test_error = {"max": 0.0110}
  return common.variant(config, variant)
