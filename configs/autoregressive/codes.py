"""A gated PixelCNN over the codes of a VQ-VAE, which makes that one a generator of images.

By default over 4x4 codes of scikit-learn's digits, whose VQ-VAE is trained first, once, and kept; `:mnist` over the 7x7
codes of the run of experiments.vae, configs/vae/vq.py, that `--config.data.codes=RUN` names, or of one trained first.

Paper: van den Oord, Vinyals & Kavukcuoglu 2017, section 4.2
Command: python -m experiments.autoregressive --config=configs/autoregressive/codes.py
Hardware: 2 CPU cores
Time: 13 minutes on a machine shared with many programs, of which the VQ-VAE took about half; `:mnist` is not measured
Expected: 39.5 nats, 3.56 bits a code (seed 0), and samples of every class that a person recognises
"""

from configs.autoregressive import _base

VARIANTS = ("mnist",)


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.autoregressive()
  config.data.update({"name": "codes", "levels": 32, "eval_batch_size": 360})
  config.model.conditional = True
  config.model.pixelcnn.update({"width": 32, "dilations": (1, 1, 1), "first_size": 3, "dropout": 0.3})
  config.train.update({"batch_size": 32, "duration": "60 epochs", "ema_decay": 0.995})
  config.optimizer.update({"learning_rate": 2e-3, "warmup": "100 steps"})
  config.report.samples = 60
  if variant == "mnist":
    config.data.update({"levels": 64, "vae": "configs/vae/vq.py", "eval_batch_size": 1000})
    config.model.pixelcnn.update({"width": 32, "dilations": (1, 1, 1, 1), "first_size": 5, "dropout": 0.1})
    config.train.update({"batch_size": 64, "duration": "4 epochs", "ema_decay": 0.999})
  config = _base.variant(config, variant, VARIANTS)
  if variant == "smoke":
    config.data.update({"vae": "configs/vae/vq.py:tiny", "levels": 8})
  return config
