"""Breakout of MinAtar, by Young & Tian's protocol: six actions, sticky ones with probability 0.1, no limit of time.

Paper: Young & Tian 2019, DQN at 5 million frames: about 10, the mean return of the last 100 episodes (their plot).
Command: python -m experiments.dqn --config=configs/dqn/breakout.py
Hardware: 2 CPU cores
Time: 20 to 35 minutes, on cores shared with six other jobs; `:pqn` 52, of which 10 stood still
Expected: 24.7 (three seeds, 21.9 to 29.1), the mean return of the last 100 episodes; of `:pqn`
  40.1 (seed 0)
"""

from configs.dqn import _base

PUBLISHED = {"value": 10.0, "source": "Young & Tian 2019, read off the learning curves of the MinAtar repository"}


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds; `pqn` learns without memory, on 10 million frames (Gallici 2024)."""
  pqn = variant == "pqn"
  config = _base.dqn("pqn" if pqn else "dqn")
  config.environment.name = "breakout"
  config.model.update({"features": (128,), "layer_norm": True})
  config.data.test_episodes = 20
  config.exploration.evaluation = 0.01  # a greedy agent can play on for ever, the ball between two walls
  if pqn:
    config.agent.update({"rows": 128, "steps": 32})
    config.exploration.update({"frames": 1_000_000, "last": 0.05})
    config.optimizer.update({"learning_rate": 5e-4, "schedule": "linear"})
    config.train.duration = "10000000 frames"
    config.run.steps_per_dispatch = 1
  else:
    config.agent.update({"rows": 32, "steps": 4})
    fields = {"capacity": 102_400, "learning_starts": 5_000, "target_every": 500, "gradient_steps": 4}
    config.agent.dqn.update({**fields, "double": True, "n_steps": 3})
    config.exploration.update({"frames": 250_000, "last": 0.02})
    config.optimizer.update({"learning_rate": 3e-4, "schedule": "linear"})
    config.train.update({"batch_size": 128, "duration": "5000000 frames"})
    config.run.steps_per_dispatch = 50
  config.published["test_recent_return"] = PUBLISHED
  config.bars["test_recent_return"] = {"min": 20.0 if pqn else 10.0}
  return _base.variant(config, variant, also=("pqn",))
