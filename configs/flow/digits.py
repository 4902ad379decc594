"""A multi-scale flow on scikit-learn's digits: the embedded default; `:conditional` is told the label.

Paper: Kingma & Dhariwal 2018 (Glow); Ho et al. 2019 (Flow++'s couplings and dequantisation); Alpaydin & Kaynak's 1,797
  images of 8x8 pixels, a fifth held out for testing
Command: python -m experiments.flow
Hardware: 2 CPU cores
Time: two minutes
Expected: digits that a person recognises, and interpolations between them
"""

from configs.flow import _base

VARIANTS = ("conditional",)


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.flow("image")
  config.data.update({"name": "digits", "validation": 0.1, "eval_batch_size": 360})
  config.model.image.update({"blocks": 1, "elementwise": "affine", "dequantisation": "uniform"})
  config.train.update({"batch_size": 64, "duration": "80 epochs", "ema_decay": 0.99})
  config.optimizer.update({"learning_rate": 2e-3, "warmup": "100 steps", "clip_norm": 100.0})
  config.report.update({"samples": 60, "temperature": 0.8, "importance_samples": 16})
  if variant == "conditional":
    config.model.conditional = True
  return _base.variant(config, variant, VARIANTS)
