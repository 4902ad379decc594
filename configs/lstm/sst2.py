"""Sentiment of film reviews by a bidirectional LSTM, from phrases and sentences, no pre-training.

Paper: Socher et al. 2013 (the data); Wang et al. 2019 (GLUE); flax's example of an LSTM: 85.4 %.
Command: python -m experiments.lstm --config=configs/lstm/sst2.py --config.data.path=...
Hardware: 2 CPU cores
Time: 6 minutes
Expected: 83.0 % of the dev set (seed 0)
"""

from configs import _sentences
from configs.lstm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _sentences.sst2(_sentences.base())
  config.model = _base.network()
  config.model.update({"features": 128, "dropout": 0.5})
  config.model.bidirectional = True  # a second pass, from the end to the start
  config.model.pool = "max"  # over the words: last, mean, max
  config.model.embedding = 128  # size of a word's vector; 0: `features`
  config.data.validation = 0.05
  config.optimizer.update({"learning_rate": 2e-3, "weight_decay": 0.01, "warmup": "200 steps"})
  config.train.batch_size = 128
  config.train.duration = "4 epochs"
  if variant == "smoke":
    _base.smoke(config)
    config.model.embedding = 8
  return _sentences.variant(config, variant)
