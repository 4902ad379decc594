"""Eight Gaussians on a circle: a flow whose exact likelihood is held against the true density.

Paper: Lipman et al. 2023; Liu et al. 2023 (flow matching, rectified flow); likelihood: Song et al. 2021.
Command: python -m experiments.diffusion --config=configs/diffusion/points.py
Hardware: 2 CPU cores
Time: 5 minutes of two free cores
Expected: a log-likelihood of test points within 0.011 nats of the mixture's own
"""

from configs.diffusion import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.diffusion("mlp")
  config.data.name = "eight_gaussians"
  config.data.points = 200_000  # to train on; 10,000 others test
  config.data.eval_batch_size = 5000
  config.model.mlp.update({"features": 128, "depth": 3})
  config.model.update({"process": "rectified_flow", "predicts": "velocity", "conditional": False})
  config.train.batch_size = 1024
  config.train.duration = "16000 steps"
  config.train.ema_decay = 0.999
  config.optimizer.learning_rate = 2e-3
  config.optimizer.warmup = "200 steps"
  config.sampler.update({"name": "heun", "steps": 40, "spacing": "uniform"})
  config.report.samples = 4000
  config.report.likelihood_steps = 40  # of Runge-Kutta, for the exact likelihood
  config.report.density_side = 64  # places along a side of the map of the density
  config.run.steps_per_dispatch = 100
  config.bars.likelihood_gap = {"max": 0.02}
  if variant == "smoke":
    config.data.points = 64
  return _base.variant(config, variant)
