"""The umbrella world, two states learned from umbrellas alone: the embedded default.

Paper: Russell & Norvig 2010, fig. 15.2, whose parameters the data are drawn from; Rabiner 1989, Baum-Welch.
Command: python -m experiments.hmm[ --config=configs/hmm/weather.py:gradient|:counts]
Hardware: 2 CPU cores
Time: seconds
Expected: the likelihood of the true parameters to 0.001 nats a day, each of which is found to about 0.03
"""

from configs import common
from configs.hmm import _base

VARIANTS = ("gradient", "counts")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds, the name of another way to learn is that."""
  config = _base.hidden_states(variant if variant in VARIANTS else "em")
  config.data.name = "weather"
  config.train.duration = "300 steps"
  config.train.precision = "float64"
  if variant == "counts":
    config.train.duration = "1 epoch"
  if variant == "gradient":
    config.optimizer.learning_rate = 0.05
  config.run.steps_per_dispatch = 20
  return common.variant(config, variant, VARIANTS)
