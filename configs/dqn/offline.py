"""Conservative Q-learning from a file of transitions, without acting; measured in CartPole.

Paper: Kumar et al. 2020 (CQL); Lange, Gabel & Riedmiller 2012 (learning from batches)
Command: python -m experiments.dqn --config=configs/dqn/offline.py --config.data.path=predictions.npz
  A file is what an agent's --mode=predict leaves: python -m experiments.dqn --mode=predict --workdir=... --input=20
Hardware: 2 CPU cores
Time: under a minute
Expected: about the return of the agent that wrote the file, if that was a good one
"""

from configs.dqn import _base

CONFORMANCE = "every promise"  # for its kind of state: see tests/conformance


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.dqn("offline")
  config.model.layer_norm = True
  config.report.plane = (2, 3)  # angle and angular velocity of the pole
  config.train.duration = "5000 steps"
  return _base.variant(config, variant)
