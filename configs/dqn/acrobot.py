"""Acrobot: double DQN, two joints that swing up.

Paper: Mnih et al. 2015; the environment is Sutton's (1996), Gymnasium's Acrobot-v1.
Command: python -m experiments.dqn --config=configs/dqn/acrobot.py
Hardware: 2 CPU cores
Time: a minute a seed, five side by side, on cores shared with other jobs
Expected: a greedy return of -81.5, mean of five seeds (-75.4 to -88.6), which misses the aim of -80.  To keep the best
  agent was chosen on another seed (-75.7); without, -88
"""

from configs.dqn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.dqn()
  config.environment.name = "Acrobot-v1"
  config.agent.dqn.update({"double": True, "n_steps": 3, "target_every": 128, "gradient_steps": 32})
  config.model.layer_norm = True
  config.train.select = 25
  config.exploration.frames = 20_000
  config.report.plane = (4, 5)  # angular velocities
  config.train.duration = "100000 frames"
  config.published["test_return"] = {"value": -76.6, "source": "Stable-Baselines3 DQN, RL Zoo benchmark.md, one seed"}
  config.bars["test_return"] = {"min": -80.0}
  return _base.variant(config, variant)
