"""The best agent of a run, kept in its state: measured in episodes of validation, at intervals of its training.

What is chosen so may follow the returns' swings (van Hasselt et al. 2018, "the deadly triad") without ending in one.
The episodes that choose are no frames of training, and have keys of their own: neither training nor tests see them.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jaxtyping import Array, Float, Int

from research import randomness
from research.environments.protocol import Environment
from research.families import dqn
from research.training import learner as learner_lib
from research.training.agents import acting
from research.training.agents.replayed import Exploration, Network


@struct.dataclass
class ChosenState(learner_lib.State):
  """An agent that trains, and the parameters that played best.

  Attributes:
    trained: its state.
    params: the parameters of the highest mean return.
    score: that return; -infinity before the first measurement.
    chosen_step: updates done then.
  """

  trained: Any
  params: Any
  score: Float[Array, ""]
  chosen_step: Int[Array, ""]


def best_played(
  learner: learner_lib.Learner,
  mean_return: Callable[[Any, Any], Float[Array, ""]],
  every: int,
) -> learner_lib.Learner:
  """`learner`, measured by the parameters that played best; of equals the latest.

  Args:
    learner: of an agent, whose state has `params`.
    mean_return: `mean_return(state, due)`, of validation episodes; where `due` is False it costs nothing and is unread.
    every: updates between two measurements.
  """

  def init(key, batch):
    trained: Any = learner.init(key, batch)
    copy = jax.tree.map(jnp.array, trained.params)  # buffers of the state are donated one by one
    low, zero = jnp.float32(-jnp.inf), jnp.zeros((), jnp.int32)
    return ChosenState.create(key, trained=trained, params=copy, score=low, chosen_step=zero)

  def update(state, batch):
    updated: Any = learner.update(state.trained, batch)
    trained, metrics = updated
    due = (state.step + 1) % every == 0
    score = mean_return(trained, due)
    better = due & (score >= state.score)
    new = state.replace(
      step=state.step + 1,
      skipped=trained.skipped,
      trained=trained,
      params=learner_lib.keep_if(better, trained.params, state.params),
      score=jnp.where(better, score, state.score),
      chosen_step=jnp.where(better, state.step + 1, state.chosen_step),
    )
    return new, metrics

  return learner._replace(
    init=init, update=update, evaluate=lambda state, batch: learner.evaluate(playing(state), batch)
  )


def playing(state: Any) -> Any:
  """The agent's state with the parameters that are to play: the chosen ones, where there was a choice."""
  return state.trained.replace(params=state.params) if isinstance(state, ChosenState) else state


def validation(environment: Environment, network: Network, exploration: Exploration, episodes: int) -> Callable:
  """`mean_return` of `best_played`: of so many greedy episodes, the same at every measurement of a run."""
  limit = environment.max_steps or exploration.max_steps

  def choose_by(params):
    def choose(keys, observations, time):
      del time
      values = network.values(params, observations)
      return jax.vmap(dqn.greedy_or_random, in_axes=(0, 0, None))(keys, values, exploration.evaluation)

    return choose

  def mean_return(state, due):
    keys = jax.random.split(randomness.stream_key(state.key, "choice"), episodes)
    # Not `lax.cond`: where seeds are trained side by side it would play at every step.
    returns, _, _ = acting.play(environment, choose_by(state.params), keys, jnp.where(due, limit, 0))
    return returns.mean()

  return mean_return
