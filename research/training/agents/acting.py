"""Acting: many environments stepped inside the update, each begun again as its episode ends.

Environments are held in the state as a global [row, ...]; every device steps its rows, with keys by place in all of
them, so that the same seed gives the same episodes on any number of devices.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Bool, Float, Int

from research import axes, randomness
from research.environments.protocol import Environment
from research.errors import UserError
from research.metrics import Mean

RECENT = 100  # episodes whose mean return is told: Young & Tian 2019
# (keys [row], observations [row, ...], steps taken before in this update) -> actions [row]
Choose = Callable[[Any, Any, Int[Array, ""]], Int[Array, " row"]]


@struct.dataclass
class Actors:
  """The environments, each somewhere in an episode.

  Attributes:
    env: their states [row, ...].
    observation: what is seen of them [row, ...].
    episode_return: sum of rewards since the episode began [row].
    episode_length: steps since then [row].
  """

  env: Any
  observation: Any
  episode_return: Float[Array, " row"]
  episode_length: Int[Array, " row"]


class Record(NamedTuple):
  """What actors went through: arrays [row, time, ...].

  Attributes:
    observation, action, reward, terminated, truncated: of each step.
    next_observation: what the step led to, in the same episode.
    episode_return: of the episode so far, this step included.
  """

  observation: Any
  action: Int[Array, "row time"]
  reward: Float[Array, "row time"]
  terminated: Bool[Array, "row time"]
  truncated: Bool[Array, "row time"]
  next_observation: Any
  episode_return: Float[Array, "row time"]

  @property
  def done(self) -> Bool[Array, "row time"]:
    return self.terminated | self.truncated


@struct.dataclass
class Recent:
  """Returns of the last `RECENT` episodes, in a ring; the number of episodes so far; the area under their mean.

  Attributes:
    returns: of the episodes held.
    episodes: so far.
    area: their mean after every update, 0 before the first episode's end, summed over the updates.
    updates: so far.
  """

  returns: Float[Array, " episode"]
  episodes: Int[Array, ""]
  area: Float[Array, ""]
  updates: Int[Array, ""]

  @classmethod
  def none(cls) -> "Recent":
    return cls(jnp.zeros(RECENT), jnp.zeros((), jnp.int32), jnp.zeros(()), jnp.zeros((), jnp.int32))

  def after(self, done: Bool[Array, "row time"], episode_return: Float[Array, "row time"]) -> "Recent":
    """With the episodes that ended, in order of time, then of row."""
    done, returns = done.T.ravel(), episode_return.T.ravel()
    episode = self.episodes + jnp.cumsum(done) - done
    total = self.episodes + done.sum(dtype=jnp.int32)
    kept = done & (episode >= total - RECENT)
    place = jnp.where(kept, episode % RECENT, RECENT)
    returns = self.returns.at[place].set(returns, mode="drop")
    mean = _mean(returns, total)
    return Recent(returns, total, self.area + mean.total / jnp.maximum(mean.count, 1), self.updates + 1)

  def mean(self) -> Mean:
    """Of the returns held; an empty one before the first episode's end."""
    return _mean(self.returns, self.episodes)


def _mean(returns: Float[Array, " episode"], episodes: Int[Array, ""]) -> Mean:
  count = jnp.minimum(episodes, RECENT)
  return Mean(jnp.where(jnp.arange(RECENT) < count, returns, 0).sum(), count.astype(jnp.float32))


def begin(environment: Environment, key, rows: int) -> Actors:
  """`rows` environments at the beginning of an episode."""
  keys = jax.vmap(lambda row: jax.random.fold_in(key, row))(jnp.arange(rows))
  env, observation = jax.vmap(environment.reset)(keys)
  return Actors(env, observation, jnp.zeros(rows), jnp.zeros(rows, jnp.int32))


def mine(actors: Actors) -> Actors:
  """This device's actors.

  Raises:
    UserError: the devices do not divide them.
  """
  rows = len(actors.episode_return)
  if rows % axes.size():
    raise UserError("config.agent.rows", rows, f"{axes.size()} devices must divide it.")
  return axes.mine(actors)


def act(environment: Environment, choose: Choose, actors: Actors, key, steps: int) -> tuple[Actors, Record]:
  """This device's actors after `steps` steps each, and what they went through."""
  row_keys = randomness.example_keys(key, len(actors.episode_return))

  def one(actors, time):
    keys = jax.vmap(lambda row: jax.random.split(jax.random.fold_in(row, time), 3))(row_keys)
    action = choose(keys[:, 0], actors.observation, time)
    after = jax.vmap(environment.step)(keys[:, 1], actors.env, action)
    total, length = actors.episode_return + after.reward, actors.episode_length + 1
    done = after.terminated | after.truncated
    going = after.state, after.observation
    # Where none has ended none is begun: a host's environments take their time for it.
    begun = jax.lax.cond(done.any(), lambda: jax.vmap(environment.reset)(keys[:, 2]), lambda: going)
    env, observation = where_rows(done, begun, going)
    record = Record(
      actors.observation, action, after.reward, after.terminated, after.truncated, after.observation, total
    )
    return Actors(env, observation, jnp.where(done, 0, total), jnp.where(done, 0, length)), record

  actors, record = jax.lax.scan(one, actors, jnp.arange(steps))
  return actors, jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), record)


def where_rows(condition: Bool[Array, " row"], one: Any, other: Any) -> Any:
  """Rows of `one` where the condition holds, else of `other`, leaf by leaf; keys of random numbers too."""

  def of(a, b):
    return jnp.where(condition.reshape(-1, *[1] * (a.ndim - 1)), a, b)

  return jax.tree.map(of, one, other)


def episode_metrics(record: Record) -> dict[str, Mean]:
  """Mean return and number of the episodes that ended here; of this device's rows."""
  ended = record.done.astype(jnp.float32)
  return {
    "episode_return": Mean((ended * record.episode_return).sum(), ended.sum()),
    "episodes_ended": Mean(axes.psum(ended.sum()), jnp.ones(())),
  }


def play(
  environment: Environment, choose: Choose, keys, max_steps: int | Int[Array, ""]
) -> tuple[Float[Array, " row"], Any, Any]:
  """One episode for each key: (returns [row], lengths [row], whether it ended [row]); cut off after `max_steps`."""
  split = jax.vmap(lambda key, t: jax.random.split(jax.random.fold_in(key, t), 2), in_axes=(0, None))
  env, observation = jax.vmap(environment.reset)(split(keys, 0)[:, 0])
  start = (env, observation, jnp.zeros(len(keys)), jnp.zeros(len(keys), jnp.int32), jnp.zeros(len(keys), bool))

  def going(carry):
    time, (*_, done) = carry
    return (time < max_steps) & ~done.all()

  def one(carry):
    time, (env, observation, total, length, done) = carry
    pair = split(keys, time + 1)
    after = jax.vmap(environment.step)(pair[:, 1], env, choose(pair[:, 0], observation, time))
    env, observation = where_rows(done, (env, observation), (after.state, after.observation))
    total, length = jnp.where(done, total, total + after.reward), jnp.where(done, length, length + 1)
    return time + 1, (env, observation, total, length, done | after.terminated | after.truncated)

  _, (_, _, total, length, done) = jax.lax.while_loop(going, one, (jnp.int32(0), start))
  return total, length, done
