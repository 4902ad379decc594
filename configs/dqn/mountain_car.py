"""MountainCar: double DQN; a car that must go back to come up.

Paper: Mnih et al. 2015; the environment is Moore's (1990), Gymnasium's MountainCar-v0.
Command: python -m experiments.dqn --config=configs/dqn/mountain_car.py
Hardware: 2 CPU cores
Time: 1.3 minutes a seed, five side by side, on a machine shared with others
Expected: a greedy return of -101.0, mean of five seeds, the worst -104.7; the aim is -115.  Twice the gradient steps
  and an earlier end of exploring were found on five other seeds, where without them the mean was -118
"""

from configs.dqn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.dqn()
  config.environment.name = "MountainCar-v0"
  config.agent.dqn.update(
    {"double": True, "n_steps": 3, "capacity": 102_400, "target_every": 128, "gradient_steps": 32}
  )
  config.model.layer_norm = True
  config.train.select = 40
  config.exploration.update({"frames": 70_000, "last": 0.02})  # the goal is met by chance, or never
  config.train.duration = "120000 frames"
  config.published["test_return"] = {"value": -100.8, "source": "Stable-Baselines3 DQN, RL Zoo benchmark.md, one seed"}
  config.bars["test_return"] = {"min": -115.0}
  return _base.variant(config, variant)
