"""The posterior of a simulator's parameters, by a flow conditioned on what came out: two moons, whose truth is known.

Paper: Papamakarios & Murray 2016 (posteriors by conditional densities); Greenberg et al. 2019 (the simulator)
Command: python -m experiments.flow --config=configs/flow/two_moons.py
Hardware: 2 CPU cores
Time: 2.6 minutes, on cores shared with other jobs
Expected: 0.06 nats from the true posterior (that of the prior: 5.16); crescents as thin as the true ones
"""

from configs.flow import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.flow()
  config.data.update({"name": "two_moons", "points": 100_000, "eval_batch_size": 1000})
  config.model.coupling.update({"layers": 6, "width": 64, "bins": 12})
  config.train.update({"batch_size": 512, "duration": "6000 steps", "ema_decay": 0.999})
  config.optimizer.update({"learning_rate": 2e-3, "warmup": "200 steps", "clip_norm": 5.0})
  config.report.update({"samples": 1000, "density_side": 200})
  config.run.steps_per_dispatch = 50
  return _base.variant(config, variant)
