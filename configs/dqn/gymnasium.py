"""An environment of Gymnasium, stepped on the host: CartPole-v1, or any with discrete actions, or with `bins`.

Paper: Mnih et al. 2015; Towers et al. 2024 (Gymnasium)
Command: python -m experiments.dqn --config=configs/dqn/gymnasium.py
  [--config.environment.name=gymnasium:Pendulum-v1 --config.environment.bins=5]   (extra `gymnasium`)
Hardware: 2 CPU cores
Time: two minutes
Expected: as dqn/cart_pole, whose environment is the same; its own steps are 15,000 a second in place of millions
"""

from configs.dqn import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.dqn()
  config.environment.name = "gymnasium:CartPole-v1"
  config.agent.dqn.update({"double": True, "n_steps": 3})
  config.model.layer_norm = True
  config.report.plane = (2, 3)  # angle and angular velocity of the pole
  return _base.variant(config, variant)
