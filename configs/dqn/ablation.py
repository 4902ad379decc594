"""Rainbow's parts, each alone added to DQN, and all together: learning curves of ten seeds, and the areas under them.

Paper: Hessel et al. 2018, figures 1 and 3, of Atari; here CartPole, as published but for one part
Command: python -m launch.sweep --config=configs/dqn/ablation.py --sweep=configs/dqn/ablation.txt --seeds=0-9
Hardware: 2 CPU cores
Time: 35 minutes for nine agents of ten seeds while the two cores had a load of 12
Expected: areas under the curve (mean, deviation of ten seeds): DQN 66 +- 21, double 67 +- 18, dueling 64 +- 13, noise
  67 +- 18, priorities 93 +- 5, three-step returns 98 +- 21, C51 112 +- 6, quantiles 116 +- 5, all (Rainbow) 123 +- 8
"""

from configs.dqn import cart_pole


def get_config(variant: str = ""):
  """The config, plain DQN; `smoke` is the same in seconds.  `ablation.txt` has a part's switch on each line."""
  config = cart_pole.get_config("smoke" if variant == "smoke" else "plain")
  config.agent.dqn.gradient_steps = min(config.agent.dqn.gradient_steps, 16)
  config.model.returns = (0.0, 100.0)  # of categorical
  config.report.frames = 20
  config.train.select = 0  # the curve is that of the agent that learns
  for field in ("published", "bars"):
    config[field] = {}
  if variant == "smoke":
    return config
  if variant:
    raise ValueError(f"config variant {variant!r}: there is smoke")
  config.train.duration = "30000 frames"
  config.data.test_episodes = 20
  config.data.eval_batch_size = 20
  return config
