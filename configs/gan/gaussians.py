"""Twenty-five narrow Gaussians on a grid; variant `ring`: eight on a circle.

Paper: Metz et al. 2017 (ring), Srivastava et al. 2017 (grid), whose GANs miss modes; Lin et al. 2018, table 1.
Command: python -m experiments.gan --config=configs/gan/gaussians.py
Hardware: 2 CPU cores
Time: 32 minutes while tests and other runs shared the cores; not measured on idle ones
Expected: 25 of 25 modes, 98.1 % of the samples within three standard deviations of one (of the data: 98.9 %)
"""

from configs.gan import _base


def get_config(variant: str = ""):
  """The config; `ring` has eight modes, `smoke` is the default in seconds."""
  config = _base.gan("mlp")
  config.data.name = "ring" if variant == "ring" else "grid"
  config.data.eval_batch_size = 10_000
  config.measure.samples = 50_000
  config.model.latent_size = 2
  config.model.mlp.generator_widths = config.model.mlp.critic_widths = (256, 256, 256)
  config.model.mlp.output = "linear"
  config.model.mlp.generator_norm = False
  config.model.critic_norm = "none"
  config.model.r1 = 0.1
  config.optimizer.learning_rate = 5e-4
  config.critic_optimizer.learning_rate = 5e-4
  for optimizer in (config.optimizer, config.critic_optimizer):
    optimizer.schedule = "linear"
    optimizer.b1 = 0.0
  config.train.batch_size = 256
  config.train.duration = "30000 steps"
  config.train.ema_decay = 0.999
  config.run.steps_per_dispatch = 100
  if variant == "smoke":
    config.data.examples = 200
  else:
    config.bars.modes_covered = {"min": 8 if variant == "ring" else 25}
    config.bars.share_within_3sd = {"min": 0.95}
  return _base.variant(config, variant, also=("ring",))
