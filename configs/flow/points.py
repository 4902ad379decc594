"""Spline couplings on points of the plane, held against the true density: eight Gaussians, `:moons`, `:spirals`.

`:maf` is a masked autoregressive flow with splines; `:continuous` a continuous flow, its divergence by Hutchinson's
estimate.

Paper: Durkan et al. 2019 (neural spline flows); Papamakarios et al. 2017 (`:maf`); Grathwohl et al. 2019
Command: python -m experiments.flow --config=configs/flow/points.py
Hardware: 2 CPU cores
Time: five minutes of two free cores
Expected: a log-likelihood of test points within 0.03 nats of the truth
"""

from configs.flow import _base

VARIANTS = ("moons", "spirals", "maf", "continuous")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.flow()
  config.data.name = variant if variant in ("moons", "spirals") else "eight_gaussians"
  config.data.update({"points": 200_000, "eval_batch_size": 5000})
  config.model.coupling.update({"layers": 6, "width": 64, "bins": 12})
  config.train.update({"batch_size": 512, "duration": "8000 steps", "ema_decay": 0.999})
  config.optimizer.update({"learning_rate": 3e-3, "warmup": "200 steps", "clip_norm": 5.0})
  config.report.samples = 4000
  config.run.steps_per_dispatch = 50
  config.bars.likelihood_gap = {"max": 0.03}
  if variant == "maf":
    config.model.name = "maf"
    config.model.maf.update({"layers": 6, "elementwise": "spline", "bins": 12, "hidden": (64, 64)})
  if variant == "continuous":
    config.model.name = "continuous"
    config.train.duration = "2000 steps"
    config.run.steps_per_dispatch = 20
  return _base.variant(config, variant, VARIANTS)
