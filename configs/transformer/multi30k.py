"""A Transformer translates captions of images from German to English: byte pairs, packed, beam search, BLEU.

Paper: Vaswani et al. 2017; Elliott et al. 2016 (the data). The published number beside it is a tutorial's.
Command: python -m experiments.transformer --config=configs/transformer/multi30k.py --config.data.path=...
Hardware: 2 CPU cores; `:gpu` for one GPU
Time: 6 minutes of two free cores
Expected: 39.4 BLEU (sacreBLEU, test2016; bar >= 30), and 39.5 of words as they stand
"""

from configs import _translation
from configs.transformer import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds, `gpu` for one GPU."""
  config = _translation.multi30k(_translation.base())
  config.model = _base.network()
  config.model.update({"features": 128, "depth": 3, "heads": 4, "hidden": 256, "dropout": 0.1})
  config.model.encoder_depth = 3  # layers of the encoder; `depth` of the decoder
  config.optimizer.update({"name": "muon", "learning_rate": 5e-3, "weight_decay": 0.01, "warmup": "100 steps"})
  config.train.batch_size = 16  # packed rows
  config.train.duration = "6 epochs"
  config.train.ema_decay = 0.99
  if variant == "gpu":
    config.model.update({"features": 256, "hidden": 1024, "dropout": 0.3})
    config.train.update({"batch_size": 32, "duration": "30 epochs", "ema_decay": 0.999, "precision": "bfloat16"})
    config.data.vocabulary = 8000
    config.bars.test_bleu = {"min": 38.0}
  if variant == "smoke":
    _base.smoke(config)
    config.model.update({"encoder_depth": 1, "hidden": 8})
  return _translation.variant(config, variant, ("gpu",))
