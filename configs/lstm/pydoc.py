"""An LSTM writes Python's manual, character by character: the embedded default.

Paper: Graves 2013, in kind; the text is that of Python's `help`, which every installation has.
Command: python -m experiments.lstm
Hardware: 2 CPU cores
Time: meant for two minutes, not yet measured
Expected: text in the shape of the manual
"""

from configs import _language
from configs.lstm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.language()
  config.data.validation = 0.05
  config.data.length = 64
  config.train.duration = "3 epochs"
  config.optimizer.warmup = "50 steps"
  if variant == "smoke":
    _base.smoke(config)
  return _language.variant(config, variant)
