"""WaveNet on spoken digits: 8-bit mu-law samples at 8 kHz, conditioned on the digit, to listen to.

Paper: van den Oord et al. 2016c; the set is Jakobovski's free-spoken-digit-dataset
Command: python -m experiments.autoregressive --config=configs/autoregressive/spoken_digits.py --config.data.path=...
Hardware: 2 CPU cores
Time: 13 minutes of two cores shared with another training
Expected: 4.31 bits a sample (seed 0); PyTorch's WaveNet of the same net has 5.50 after as many minutes of CPU
  (tests/peers/wavenet_torch.py).  Samples have the loudness of words over time, but not yet their formants
"""

from configs.autoregressive import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.autoregressive("wavenet")
  config.data.update({"name": "spoken_digits", "levels": 256, "validation": 0.1, "eval_batch_size": 25})
  config.model.conditional = True
  config.train.update({"batch_size": 8, "duration": "4 epochs", "ema_decay": 0.99})
  config.optimizer.update({"learning_rate": 2e-3, "warmup": "100 steps", "clip_norm": 1000.0})
  config.report.update({"samples": 10, "completions": 0, "coded": 2, "temperature": 0.9})
  return _base.variant(config, variant)
