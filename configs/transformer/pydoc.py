"""A Transformer writes Python's manual, character by character: the embedded default.

Paper: Radford et al. 2018, in kind; the text is that of Python's `help`, which every installation has.
Command: python -m experiments.transformer
Hardware: 2 CPU cores
Time: meant for two minutes; measured only on cores that stood still in between
Expected: 1.19 nats a character of the test part (seed 0), and text in the shape of the manual
"""

from configs import _language
from configs.transformer import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.language()
  config.data.validation = 0.05
  config.data.length = 64
  config.data.context = 32
  config.train.duration = "2 epochs"
  config.optimizer.warmup = "50 steps"
  if variant == "smoke":
    _base.smoke(config)
    config.data.context = 4
  return _language.variant(config, variant)
