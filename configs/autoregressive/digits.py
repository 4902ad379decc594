"""A gated PixelCNN on scikit-learn's digits: the embedded default.

`:conditional` is told the label; `:made` is MADE; `:transformer` a causal Transformer.

Paper: van den Oord et al. 2016b; the data are Alpaydin & Kaynak's 1,797 images of 8x8 pixels with 17 levels, a fifth
  held out for testing
Command: python -m experiments.autoregressive
Hardware: 2 CPU cores
Time: two minutes is the aim; 7.5 on a machine shared with many programs
Expected: 77.9 nats, 1.76 bits a pixel (seed 0), and an arithmetic code within 0.1 % of the model's bits.  A VAE
  of as many levels, vae/digits:levels, has 83.9 nats and 1.89 bits
"""

from configs.autoregressive import _base

VARIANTS = ("conditional", "made", "transformer")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.autoregressive()
  config.data.update({"name": "digits", "levels": 17, "validation": 0.1, "eval_batch_size": 360})
  config.model.pixelcnn.update({"width": 32, "dilations": (1, 1, 1, 1), "first_size": 5, "dropout": 0.3})
  config.train.update({"batch_size": 32, "duration": "60 epochs", "ema_decay": 0.995})
  config.optimizer.update({"learning_rate": 2e-3, "warmup": "100 steps"})
  config.run.update({"best_metric": "nll", "best_mode": "min", "report_best": True, "eval_every": "5 %"})
  config.run.save_every = "5 %"
  config.report.update({"samples": 60, "oddities": 360})
  if variant == "conditional":
    config.model.conditional = True
    config.report.oddities = 0  # which are told without labels
  if variant == "made":
    config.model.name = "made"
    config.model.made.update({"hidden": (500, 500), "dropout": 0.3})
  if variant == "transformer":
    config.model.name = "transformer"
    config.model.transformer.update({"depth": 3, "dropout": 0.2})
  return _base.variant(config, variant, VARIANTS)
