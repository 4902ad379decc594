"""LSTMs translate captions of images from German to English, attending to the source: byte pairs, beam search, BLEU.

Paper: Bahdanau et al. 2015; Luong et al. 2015; Elliott et al. 2016 (the data). The published number is a tutorial's.
Command: python -m experiments.lstm --config=configs/lstm/multi30k.py --config.data.path=...
Hardware: 2 CPU cores
Time: not yet measured
Expected: not yet measured; no bar is set; the Transformer's is >= 30 BLEU (sacreBLEU, test2016)
"""

from configs import _translation
from configs.lstm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _translation.multi30k(_translation.base())
  config.model = _base.network()
  config.model.update({"features": 256, "dropout": 0.2})
  config.model.embedding = 128  # size of a token's vector
  config.data.update({"budget": 0, "length": 40})
  config.optimizer.update({"learning_rate": 3e-3, "warmup": "100 steps"})
  config.train.batch_size = 64
  config.train.duration = "5 epochs"
  config.train.ema_decay = 0.99
  if variant == "smoke":
    _base.smoke(config)
    config.model.embedding = 8
  return _translation.variant(config, variant)
