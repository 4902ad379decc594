"""A VQ-VAE on MNIST: 7x7 codes from a codebook of 64; `:digits` 4x4 from 32 on scikit-learn's, embedded.

Paper: van den Oord, Vinyals & Kavukcuoglu 2017; codebook by moving averages, appendix A.1
Command: python -m experiments.vae --config=configs/vae/vq.py --config.data.data_dir=...
Hardware: 2 CPU cores
Time: 7 minutes
Expected: 62 of the 64 codes in use, a perplexity of 43, 294 bits an image of which the squared error is 0.004 a pixel.
  Samples take a prior over the codes: autoregressive/codes
"""

from configs.vae import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.vae("vq")
  config.data.name = "mnist"
  config.data.validation = 0.1
  config.model.vq.widths = (32, 32)
  config.train.batch_size = 128
  config.train.duration = "3 epochs"
  config.train.ema_decay = 0.99
  config.report.batch_size = 500
  config.optimizer.learning_rate = 2e-3
  if variant == "digits":
    config.data.name = "digits"
    config.model.vq.update({"widths": (32,), "codes": 32})
    config.train.update({"batch_size": 64, "duration": "60 epochs"})
    config.data.eval_batch_size = 360
  if variant == "tiny":  # what tests of a prior over the codes train first
    config = _base.variant(config, "smoke")
    config.data.name = "digits"
    return config
  return _base.variant(config, variant, ("digits",))
