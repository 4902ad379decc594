"""Acrobot: double DQN, two joints that swing up.

Paper: Mnih et al. 2015; the environment is Sutton's (1996), Gymnasium's Acrobot-v1.
Command: python -m experiments.dqn --config=configs/dqn/acrobot.py
Hardware: 2 CPU cores
Time: half a minute
Expected: a greedy return of -88, which misses the aim of -80; returns of one step (-89) and 32 gradient steps an update
  (-87) were tried
"""

from configs.dqn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.dqn()
  config.environment.name = "Acrobot-v1"
  config.agent.dqn.update({"double": True, "n_steps": 3, "target_every": 128})
  config.model.layer_norm = True
  config.exploration.frames = 20_000
  config.report.plane = (4, 5)  # angular velocities
  config.train.duration = "100000 frames"
  config.published["test_return"] = {"value": -76.6, "source": "Stable-Baselines3 DQN, RL Zoo benchmark.md, one seed"}
  config.bars["test_return"] = {"min": -80.0}
  return _base.variant(config, variant)
