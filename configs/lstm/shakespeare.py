"""An LSTM on tiny Shakespeare, by characters, its state carried: nanoGPT's split, its whole validation text once.

Paper: Graves 2013; Karpathy 2015 (char-rnn). The published numbers beside it are nanoGPT's Transformers.
Command: python -m experiments.lstm --config=configs/lstm/shakespeare.py --config.data.path=input.txt
Hardware: 2 CPU cores; `:gpu` for one GPU
Time: 10 minutes
Expected: 1.423 nats a character, whole validation text; `:gpu` is not measured
"""

from configs import _language
from configs.lstm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds, `gpu` for one GPU."""
  config = _base.language()
  config.data.name = "shakespeare"
  config.data.length = 64
  config.model.features = 512
  config.model.embedding = 128
  config.model.dropout = 0.1
  config.train.batch_size = 32
  config.train.duration = "7 epochs"
  config.optimizer.warmup = "100 steps"
  config.published.test_loss = {
    "value": 1.4697,
    "source": "karpathy/nanoGPT, README: 3 minutes of an A100, 200 batches; its CPU run 1.88",
  }
  config.bars.test_loss = {"max": 1.62}
  if variant == "gpu":
    config.model.update({"features": 1024, "layers": 2, "dropout": 0.4, "recurrent_dropout": 0.2})
    config.train.update({"batch_size": 64, "duration": "40 epochs", "ema_decay": 0.999})
    config.data.length = 128
    config.optimizer.learning_rate = 2e-3
    config.bars.test_loss = {"max": 1.47}
  if variant == "smoke":
    _base.smoke(config)
  return _language.variant(config, variant, ("gpu",))
