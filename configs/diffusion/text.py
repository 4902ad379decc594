"""Diffusion of text, hidden character by character and told again: Python's manual, or tiny Shakespeare.

Paper: Austin et al. 2021 (D3PM, absorbing); Sahoo et al. 2024 (MDLM).
Command: python -m experiments.diffusion --config=configs/diffusion/text.py
  ... --config=configs/diffusion/text.py:shakespeare --config.data.path=input.txt
Hardware: 2 CPU cores
Time: 6 minutes on a machine shared with many others; `:shakespeare` 18 on two cores shared with another training
Expected: 1.953 nats a character of Python's manual, a bound, 1.968 in 64 steps; of Shakespeare 1.966 and 1.991, where
  language models have 1.42 (lstm/shakespeare) and 1.48 (transformer/shakespeare), exactly.  Half of training with
  beginnings of windows given, as the evaluation gives them, was 0.04 nats worse in validation
"""

from configs.diffusion import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds, `shakespeare` the larger text."""
  config = _base.text()
  config.data.validation = 0.05
  config.data.length = 64
  config.data.context = 32
  config.model.update({"features": 96, "depth": 3})
  config.train.duration = "2 epochs"
  config.optimizer.warmup = "50 steps"
  if variant == "shakespeare":
    config.data.update({"name": "shakespeare", "validation": 0.0, "length": 128, "context": 64})
    config.model.update({"features": 128, "depth": 4})
    config.train.update({"duration": "6 epochs", "ema_decay": 0.999})
    config.optimizer.warmup = "100 steps"
  return _base.text_variant(config, variant, ("shakespeare",))
