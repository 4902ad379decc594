"""A bidirectional LSTM transcribes strings of one to five spoken digits by CTC; greedy and prefix beam search.

Paper: Graves et al. 2006 (CTC); Hannun et al. 2014 (prefix beam search); strings are joined from single recordings.
Command: python -m experiments.lstm --config=configs/lstm/spoken_strings.py --config.data.path=...
Hardware: 2 CPU cores
Time: a minute of two free cores
Expected: a digit error rate of 2.2 % by prefix beam search and greedy (seed 0), strings of the test recordings
"""

from configs import _speech
from configs.lstm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _speech.strings()
  config.model = _base.network()
  config.model.update({"features": 128, "dropout": 0.2})
  config.model.bidirectional = True  # a second pass, from the end to the start
  config.train.batch_size = 32
  config.train.duration = "16 epochs"
  config.train.ema_decay = 0.99
  config.optimizer.update({"learning_rate": 3e-3, "warmup": "50 steps"})
  config.bars.test_label_error_rate = {"max": 0.03}
  if variant == "smoke":
    _base.smoke(config)
  return _speech.variant(config, variant)
