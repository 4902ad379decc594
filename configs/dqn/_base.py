"""The fields of agents."""

import ml_collections

from configs import common
from configs._choice import Choice

AGENTS = {
  "dqn": {  # acts, remembers, replays
    "capacity": 51_200,  # transitions remembered, over all environments
    "gradient_steps": 16,  # of an update
    "learning_starts": 1_000,  # frames before the first of them
    "target_every": 64,  # gradient steps between two moves of the target network
    "target_rate": 1.0,  # how far it moves towards the trained one; 1 copies
    "discount": 0.99,
    "n_steps": 1,  # rewards of a return, before what follows is estimated
    "double": False,  # the trained network chooses what follows, the target network values it
    "priority": 0.0,  # power of the priorities by which transitions are drawn; 0 draws all alike
    "importance": 0.4,  # power of the weights that correct for it, at the beginning; 1 at the end
  },
  "offline": {  # learns from a file of transitions, and never acts but to be measured
    "target_every": 100,  # steps between two moves of the target network
    "discount": 0.99,
    "double": True,
    "conservative": 1.0,  # weight of what holds down the values of actions that were not taken; 0: none
  },
  "pqn": {  # learns from what has just happened: no memory, no target network
    "epochs": 2,  # passes over an update's frames
    "minibatches": 32,  # gradient steps of a pass
    "discount": 0.99,
    "decay": 0.65,  # λ of the returns
  },
}


def dqn(agent: str = "dqn") -> ml_collections.ConfigDict:
  """`base`, with an agent in place of a data set."""
  config = common.base()
  for field in ("ema_decay", "members", "accumulate"):
    del config.train[field]
  config.data = ml_collections.ConfigDict(
    {
      "path": "",  # of offline: an .npz archive of transitions, such as --mode=predict writes
      "eval_episodes": 0,  # greedy episodes played during training; 0: none
      "test_episodes": 100,  # greedy episodes played at the end
      "select_episodes": 100,  # greedy episodes by which the agent that plays is chosen, see train.select
      "eval_batch_size": 100,  # of them side by side, over all devices
    }
  )
  config.environment = ml_collections.ConfigDict(
    {
      # cart_pole, grid; Gymnax's: Acrobot-v1, MountainCar-v0, Catch-bsuite, asterix, breakout, freeway, seaquest,
      # space_invaders; gymnasium:ID: Gymnasium's, on the host; own: what environment() in the file at `path` returns
      "name": "cart_pole",
      "path": "",  # of own: a Python file
      "bins": 0,  # of Gymnasium's continuous actions: values of each component to choose from
    }
  )
  config.agent = Choice(
    agent,
    AGENTS,
    rows=8,  # environments, over all devices
    steps=8,  # of each in an update
  )
  config.exploration = ml_collections.ConfigDict(
    {
      "first": 1.0,  # share of random actions at the beginning
      "last": 0.04,  # after `frames` frames
      "frames": 8_000,
      "evaluation": 0.0,  # in episodes that are measured
      "max_steps": 10_000,  # of an episode that is measured, where the environment has no limit
    }
  )
  config.model = ml_collections.ConfigDict(
    {
      "head": "expected",  # expected, categorical (C51), quantile (QR-DQN)
      "atoms": 51,  # of categorical and quantile
      "returns": (-10.0, 10.0),  # of categorical: least and largest return
      "filters": 16,  # of the convolution of 3x3, where observations are images
      "features": (128, 128),  # widths of the dense layers
      "dueling": False,
      "noisy": False,  # explores by noise in the last layers, in place of random actions
      "layer_norm": False,
    }
  )
  config.report = ml_collections.ConfigDict(
    {
      "frames": 300,  # of the film
      "plane": (0, 1),  # components of the observation over which values are drawn
    }
  )
  config.optimizer.clip_norm = 10.0
  config.train.update(
    {
      "batch_size": 64,  # transitions of a gradient step
      "duration": "50000 frames",
      "select": 0,  # how often in a run it is measured whether the agent is the best so far; 0: the last one plays
    }
  )
  config.run.steps_per_dispatch = 20
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; smoke acts and learns a little."""
  config = common.variant(config, name, also)
  if name == "smoke":
    config.agent.update({"rows": 4, "steps": 4})
    config.data.update({"eval_episodes": 8, "test_episodes": 8, "select_episodes": 4, "eval_batch_size": 8})
    config.train.select = min(config.train.select, 4)
    config.model.features = (16, 16)
    config.report.frames = 20
    config.exploration.max_steps = 50
    if "dqn" in config.agent:
      config.agent.dqn.update({"capacity": 128, "gradient_steps": 2, "learning_starts": 16, "target_every": 3})
    elif "pqn" in config.agent:
      config.agent.pqn.update({"minibatches": 2})
    config.run.steps_per_dispatch = 2
  return config
