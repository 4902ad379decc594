"""What is drawn and told of an agent: a film of a greedy episode, values over a plane of states, returns."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from research import randomness
from research.environments.protocol import Environment
from research.errors import UserError
from research.evaluation import games
from research.families import dqn
from research.training.agents import acting, chosen
from research.training.agents.replayed import Network
from research.training.experiment import Report

DEFINITIONS = {
  "episodes": "episodes that ended in training",
  "area": "area under the learning curve, divided by its length: the mean return of the last 100 episodes of training, "
  "0 before the first has ended, averaged over all updates",
  "chosen_step": "updates after which the agent played best in episodes of validation: the one that plays",
}
RECORDED = 500  # steps of each environment whose transitions are written


def report(state: Any, world: Environment, network: Network, config: ml_collections.ConfigDict) -> Report:
  """A film of one greedy episode; of vectors, the values of the states around those that it met."""
  numbers = {"chosen_step": float(state.chosen_step)} if isinstance(state, chosen.ChosenState) else {}
  state = chosen.playing(state)
  observations, _ = episode(state, world, network, config.report.frames)
  files = {"episode.gif": games.gif(world.name, observations)}
  figures = {}
  if observations.ndim == 2 and observations.shape[1] > max(config.report.plane):
    values = jax.jit(lambda seen: network.values(state.params, seen))
    figures["values"] = games.value_plane(values, observations, tuple(config.report.plane))
  if hasattr(state, "recent"):  # an agent that learns from a file has no episodes of its own
    recent = state.recent
    numbers |= {"episodes": float(recent.episodes), "area": float(recent.area / jnp.maximum(recent.updates, 1))}
  return Report(numbers, figures, DEFINITIONS, files)


def episode(state: Any, world: Environment, network: Network, frames: int) -> tuple[np.ndarray, np.ndarray]:
  """Observations [time, ...] and rewards [time] of one greedy episode, its first `frames` steps."""
  key = randomness.stream_key(state.key, "film")

  def one(carry, time):
    env, seen, going = carry
    action = network.values(state.params, seen[None])[0].argmax()
    after = world.step(jax.random.fold_in(key, time), env, action)
    ended = after.terminated | after.truncated
    return (after.state, after.observation, going & ~ended), (seen, after.reward, going)

  def play():
    env, seen = world.reset(key)
    return jax.lax.scan(one, (env, seen, jnp.asarray(True)), jnp.arange(frames))[1]

  observations, rewards, going = jax.device_get(jax.jit(play)())
  return observations[going], rewards[going]


def predictions(
  state: Any, world: Environment, network: Network, source: str, config: ml_collections.ConfigDict
) -> dict[str, Any]:
  """Returns and lengths of greedy episodes, as many as `source` says (10), and a film of one.

  Beside them the transitions of as many environments, with `config.exploration.evaluation` of the actions at random: a
  file that an offline agent learns from (`research.data.transitions`).
  """
  if source and not source.isdigit():
    raise UserError("--input", source, "give the number of episodes to play, such as 20.")
  count, state = int(source or 10), chosen.playing(state)
  if not count:
    raise UserError("--input", source, "play one episode at least.")
  keys = jax.random.split(randomness.stream_key(state.key, "predict"), count)
  choose = lambda keys, seen, time: network.values(state.params, seen).argmax(-1)
  limit = world.max_steps or config.exploration.max_steps
  returns, lengths, ended = jax.jit(lambda keys: acting.play(world, choose, keys, limit))(keys)
  observations, _ = episode(state, world, network, config.report.frames)
  film = games.gif(world.name, observations)
  played = {"return": returns, "length": lengths, "finished": ended, "episode.gif": film}
  return played | _transitions(state, world, network, count, min(limit, RECORDED), config.exploration.evaluation)


def _transitions(state: Any, world: Environment, network: Network, count: int, steps: int, share: float):
  """Arrays [transition, ...] by name: `steps` of each of `count` environments, begun again as their episodes end."""
  key = randomness.stream_key(state.key, "record")

  def choose(keys, seen, time):
    del time
    return jax.vmap(dqn.greedy_or_random, in_axes=(0, 0, None))(keys, network.values(state.params, seen), share)

  record = jax.jit(lambda: acting.act(world, choose, acting.begin(world, key, count), key, steps)[1])()
  names = ("observation", "action", "reward", "next_observation", "terminated", "truncated")
  return {name: np.concatenate(np.asarray(getattr(record, name))) for name in names}
