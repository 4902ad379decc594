"""A small DCGAN on scikit-learn's digits: the embedded default.

Paper: Radford et al. 2016, with half the channels; the data are Alpaydin & Kaynak's, 1,797 images of 8x8 pixels.
Command: python -m experiments.gan
Hardware: 2 CPU cores
Time: two minutes on idle cores (estimate); 2,500 steps took 5.5 while 16 processes shared them, 3 of these to compile
Expected: digits that a person recognises, all ten of them, 97 % of them of the class that was asked for
"""

from configs.gan import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.gan()
  config.data.name = "digits"
  config.measure.config = "configs/cnn/digits.py"
  config.measure.duration = "30 epochs"
  config.measure.samples = 5_000
  config.model.latent_size = 32
  config.model.dcgan.generator_widths = (64, 32)
  config.model.dcgan.critic_widths = (32, 64)
  config.model.critic_norm = "spectral"
  config.model.conditional = True
  config.model.loss = "hinge"
  config.model.augment = ("translation",)
  config.train.duration = "4000 steps"
  return _base.variant(config, variant)
