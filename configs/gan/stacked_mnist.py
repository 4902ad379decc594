"""Stacked MNIST, three digits as the channels of one image: how many of 1,000 modes a GAN covers; variant `cpu`.

Paper: Lin et al. 2018 (PacGAN), table 2: DCGAN 99 modes, KL 3.40; PacDCGAN2 1,000 modes, KL 0.06 (recalled, not checked
  at the source).
Command: python -m experiments.gan --config=configs/gan/stacked_mnist.py --config.data.data_dir=...
Hardware: one GPU; `stacked_mnist.py:cpu`: 2 CPU cores
Time: `cpu` 17 minutes while tests shared the cores; not measured on a GPU
Expected: of `cpu` 1,000 modes and a KL of 0.08; 1,000 and <= 0.10 on a GPU is the aim, not measured
"""

from configs.gan import _base


def get_config(variant: str = ""):
  """The config; `cpu` has fewer channels and trains as gan/mnist does, `smoke` is that in seconds."""
  config = _base.gan()
  config.data.name = "mnist"
  config.data.stacked = True
  config.measure.samples = 26_000
  config.model.latent_size = 128
  config.model.critic_norm = "spectral"
  config.model.loss = "hinge"
  config.model.dcgan.generator_widths, config.model.dcgan.critic_widths = (512, 256), (256, 512, 512)
  config.train.batch_size = 256
  config.train.duration = "40000 steps"
  if variant == "cpu":
    config.model.dcgan.generator_widths, config.model.dcgan.critic_widths = (128, 64), (64, 128, 256)
    config.train.batch_size = 32
    config.train.duration = "10000 steps"
    for optimizer in (config.optimizer, config.critic_optimizer):
      optimizer.learning_rate = 1e-3
  if variant != "smoke":
    config.published.modes_covered = {"value": 1000, "source": "PacDCGAN2, Lin et al. 2018, table 2 (recalled)"}
    config.published.mode_divergence = {"value": 0.06, "source": "PacDCGAN2, Lin et al. 2018, table 2 (recalled)"}
    config.bars.modes_covered = {"min": 1000}
    config.bars.mode_divergence = {"max": 0.10}
  return _base.variant(config, variant, also=("cpu",))
