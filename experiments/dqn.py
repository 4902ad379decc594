"""Deep Q-learning: agents that learn by playing, environment and memory on the device; DQN, Rainbow's parts, PQN.

  python -m experiments.dqn                                        CartPole, embedded: two minutes
  python -m experiments.dqn --config=configs/dqn/breakout.py       a game of MinAtar (pip install genera[rl])
  python -m experiments.dqn --config.agent.double=False --config.model.dueling=True     any part, on or off
  python -m experiments.dqn --config=configs/dqn/offline.py --config.data.path=predictions.npz
  python -m experiments.dqn --mode=predict --workdir=... --input=20    returns of 20 greedy episodes, and a film

Mnih et al. 2015; double: van Hasselt et al. 2016; dueling: Wang et al. 2016; priorities: Schaul et al. 2016; C51:
Bellemare et al. 2017; quantiles: Dabney et al. 2018; noise: Fortunato et al. 2018; all: Hessel et al. 2018; no memory:
Gallici et al. 2024; from a file: Kumar et al. 2020.
"""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields, learning
from experiments.reports import dqn as dqn_report
from research.data import pipeline, transitions
from research.data.clock import clock
from research.environments import worlds
from research.errors import UserError
from research.families import dqn
from research.networks.q_network import NOISE, QNetwork
from research.training import optimizers
from research.training.agents import chosen, offline, on_policy, replayed
from research.training.experiment import Experiment, Program

DEFAULT = "configs/dqn/cart_pole.py"
DEFINITIONS = {
  "return": "mean sum of rewards of whole greedy episodes, of keys that training does not use",
  "length": "mean number of steps of these episodes",
  "unfinished": "share of these episodes that the limit of config.exploration.max_steps cut off",
  "recent_return": "mean sum of rewards of the last 100 episodes of training, random actions included",
}


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """An agent in a world."""
  world = worlds.load(**config.environment)
  agent, train, data = config.agent, config.train, config.data
  network = network_of(config, world)
  exploration = replayed.Exploration(**config.exploration.to_dict())
  frames = agent.rows * agent.steps
  if agent.name == "offline":
    arrays = transitions.load(data.path, world)
    train_data = pipeline.shuffled(arrays, train.batch_size, seed=config.seed, name=data.path)
  else:
    fields.refuse_unread(data, (), f"the agent {agent.name}")
    train_data = clock(train.batch_size if agent.name == "dqn" else agent.rows, frames=frames, name=world.name)
  total = learning.duration(config, train_data)
  optimizer, schedule = optimizers.from_config(
    config.optimizer.to_dict(), total_steps=total * gradient_steps(agent), per_step=train_data.per_step
  )
  match agent.name:
    case "dqn":
      settings = replayed.Settings(
        rows=agent.rows, steps=agent.steps, batch_size=train.batch_size, total_frames=total * frames, **agent.dqn
      )
      learner = replayed.dqn_learner(world, network, optimizer, settings, exploration, schedule)
    case "pqn":
      settings = on_policy.Settings(rows=agent.rows, steps=agent.steps, **agent.pqn)
      learner = on_policy.pqn_learner(world, network, optimizer, settings, exploration, schedule)
    case "offline":
      settings = offline.Settings(**agent.offline)
      learner = offline.offline_learner(world, network, optimizer, settings, exploration, schedule)
  if train.select:
    mean_return = chosen.validation(world, network, exploration, data.select_episodes)
    learner = chosen.best_played(learner, mean_return, max(total // train.select, 1))
  episodes = lambda count, first: clock(min(data.eval_batch_size, count), count=count, first=first, name=world.name)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=episodes(data.eval_episodes, data.test_episodes) if data.eval_episodes else None,
    test_data=episodes(data.test_episodes, 0),
    report=lambda state: dqn_report.report(state, world, network, config),
    predict=lambda state, source: dqn_report.predictions(state, world, network, source, config),
    definitions=DEFINITIONS,
    program=Program(
      lambda state, inputs, _: network.values(chosen.playing(state).params, inputs["observation"]),
      {"observation": np.zeros((1, *world.observation.shape), world.observation.dtype)},
    ),
  )


def gradient_steps(agent: ml_collections.ConfigDict) -> int:
  """Of one update."""
  match agent.name:
    case "dqn":
      return agent.dqn.gradient_steps
    case "pqn":
      return agent.pqn.epochs * agent.pqn.minibatches
  return 1


def network_of(config: ml_collections.ConfigDict, world) -> replayed.Network:
  """The Q-network and its head, as `config.model` has them."""
  model = config.model
  head = head_of(model)
  if config.agent.name == "pqn" and (model.head != "expected" or model.noisy):
    raise UserError("config.model.head", model.head, "PQN takes the head `expected`, and no noise.")
  module = QNetwork(
    world.num_actions,
    head.outputs,
    filters=model.filters,
    features=tuple(model.features),
    dueling=model.dueling,
    noisy=model.noisy,
    layer_norm=model.layer_norm,
  )

  def init(key, observations):
    return module.init(key, observations)

  def outputs(params, observations, key) -> jax.Array:
    return jnp.asarray(module.apply(params, observations, rngs={} if key is None else {NOISE: key}))

  return replayed.Network(init, outputs, head, model.noisy)


def head_of(model: ml_collections.ConfigDict) -> dqn.Head:
  """What the network's outputs mean."""
  match model.head:
    case "expected":
      return dqn.Expected()
    case "categorical":
      return dqn.Categorical(*model.returns, model.atoms)
    case "quantile":
      return dqn.Quantile(model.atoms)
  raise UserError("config.model.head", model.head, "choose expected, categorical (C51) or quantile (QR-DQN).")


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
