"""A 64-32-3 network on Fisher's iris, measured by stratified 10-fold cross-validation.

Paper: Fisher 1936; held against logistic regression in scikit-learn, which reaches .953 by the same protocol.
Command: python -m experiments.mlp --config=configs/mlp/iris.py
Hardware: 2 CPU cores
Time: under a minute; the ten networks train side by side by vmap
Expected: >= .953 accuracy, pooled over the ten folds
"""

from configs import common
from configs.mlp import _base

CONFORMANCE = "every promise"  # for its kind of state: see tests/conformance


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "iris"
  config.data.test_split = "all"
  config.data.folds = 10
  config.data.eval_batch_size = 150
  config.model.features = (64, 32)
  config.optimizer.learning_rate = 3e-3
  config.train.batch_size = 32
  config.train.duration = "60 epochs"
  config.run.steps_per_dispatch = 50
  config.published.test_accuracy = {"value": 0.953, "source": "logistic regression, scikit-learn, same protocol"}
  config.bars.test_accuracy = {"min": 0.953}
  return common.variant(config, variant)
