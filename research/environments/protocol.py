"""The protocol of an environment: `reset(key)` and `step(key, state, action)`, pure, for one world at a time.

The caller maps over many by `jax.vmap`.  An environment never resets itself: who steps it does, so that the last
observation of an episode is not lost.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

EnvState = Any
Observation = Any


class Transition(NamedTuple):
  """What one action leads to.

  Attributes:
    state: the world's state after it.
    observation: of that state, that of an episode's last step included.
    reward: a number.
    terminated: the episode has ended in the world's own way: nothing follows, the value of what follows is 0.
    truncated: it was cut off by a limit of time: what follows has a value, which `observation` tells.
  """

  state: EnvState
  observation: Observation
  reward: Float[Array, ""]
  terminated: Bool[Array, ""]
  truncated: Bool[Array, ""]


class Environment(NamedTuple):
  """A world of discrete actions.

  Attributes:
    name: of the world.
    reset: `reset(key) -> (state, observation)`: the beginning of an episode.
    step: `step(key, state, action) -> Transition`.
    observation: shape and dtype of an observation.
    num_actions: how many actions there are, 0 to `num_actions - 1`.
    max_steps: after which an episode is cut off; 0 where nothing cuts it off.
  """

  name: str
  reset: Callable[[Key[Array, ""]], tuple[EnvState, Observation]]
  step: Callable[[Key[Array, ""], EnvState, Int[Array, ""]], Transition]
  observation: jax.ShapeDtypeStruct
  num_actions: int
  max_steps: int = 0


class Timed(NamedTuple):
  """A state, and the steps taken in its episode."""

  state: EnvState
  time: Int[Array, ""]


def time_limit(environment: Environment, max_steps: int) -> Environment:
  """The environment, cut off after `max_steps` steps: truncated, unless it has terminated at that very step."""

  def reset(key):
    state, observation = environment.reset(key)
    return Timed(state, jnp.zeros((), jnp.int32)), observation

  def step(key, timed, action):
    transition = environment.step(key, timed.state, action)
    time = timed.time + 1
    truncated = (time >= max_steps) & ~transition.terminated
    return transition._replace(state=Timed(transition.state, time), truncated=truncated)

  return environment._replace(reset=reset, step=step, max_steps=max_steps)


class Sticky(NamedTuple):
  """A state, and the action that may stick."""

  state: EnvState
  action: Int[Array, ""]


def sticky_actions(environment: Environment, probability: float) -> Environment:
  """The environment, where the action before is repeated with a probability (Machado et al. 2018, section 5.2).

  The first action before an episode's first is 0, as in MinAtar, where 0 does nothing.
  """

  def reset(key):
    state, observation = environment.reset(key)
    return Sticky(state, jnp.zeros((), jnp.int32)), observation

  def step(key, sticky, action):
    stick, inner = jax.random.split(key)
    action = jnp.where(jax.random.bernoulli(stick, probability), sticky.action, action)
    transition = environment.step(inner, sticky.state, action)
    return transition._replace(state=Sticky(transition.state, action))

  return environment._replace(reset=reset, step=step)


def discretised(environment: Environment, actions: Float[Array, "action ..."]) -> Environment:
  """A world of continuous actions with those in a table alone: action i is `actions[i]`, and nothing between."""
  table = jnp.asarray(actions)
  step = lambda key, state, action: environment.step(key, state, table[action])
  return environment._replace(step=step, num_actions=len(table))
