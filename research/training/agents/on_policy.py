"""PQN (Gallici et al. 2024): Q-learning on what many environments have just been through: no replay, no target network.

Returns are Q(λ)'s; layer normalisation in the network is what keeps it stable.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from research import axes, randomness
from research.environments.protocol import Environment
from research.errors import UserError
from research.families import dqn
from research.metrics import Mean
from research.training import learner as learner_lib
from research.training import steps
from research.training.agents import acting
from research.training.agents.replayed import Exploration, Network, greedy_metrics


@dataclasses.dataclass(frozen=True)
class Settings:
  """How an agent on policy learns.

  Attributes:
    rows: environments.
    steps: of each environment in an update.
    epochs, minibatches: passes over what happened in an update, each in so many gradient steps.
    discount, decay: γ and λ.
  """

  rows: int
  steps: int
  epochs: int = 2
  minibatches: int = 32
  discount: float = 0.99
  decay: float = 0.65

  @property
  def frames(self) -> int:
    """Of an update."""
    return self.rows * self.steps

  def check(self, devices: int = 1) -> None:
    """Raises a UserError where minibatches do not divide an update, or devices a minibatch."""
    if self.frames % (self.minibatches * devices):
      remedy = f"minibatches, each in {devices} equal parts, must divide the {self.frames} transitions of an update."
      raise UserError("config.agent.minibatches", self.minibatches, remedy)


@struct.dataclass
class OnPolicyState(learner_lib.State):
  """State of an agent on policy: see `replayed.AgentState`."""

  params: Any
  opt_state: Any
  updates: Any
  actors: acting.Actors
  recent: acting.Recent


def pqn_learner(
  environment: Environment,
  network: Network,
  optimizer: optax.GradientTransformation,
  settings: Settings,
  exploration: Exploration,
  schedule: Callable | None = None,
) -> learner_lib.Learner:
  """A learner that acts and learns from it at once; arguments as `replayed.dqn_learner`.

  The network's head must be `dqn.Expected`.  Each minibatch is drawn from all environments, and divided over devices.
  """
  settings.check()

  def init(key, batch):
    del batch
    actors = acting.begin(environment, randomness.stream_key(key, "environments"), settings.rows)
    params = network.init(randomness.stream_key(key, "init"), actors.observation[:1])
    zero = jnp.zeros((), jnp.int32)
    fields = {"params": params, "opt_state": optimizer.init(params), "updates": zero, "actors": actors}
    return OnPolicyState.create(key, recent=acting.Recent.none(), **fields)

  def update(state, batch):
    del batch
    key = randomness.stream_key(state.key, "act", state.step)

    def choose(keys, observations, time):
      frame = state.step * settings.frames + time * settings.rows
      share = dqn.epsilon(frame, exploration.first, exploration.last, exploration.frames)
      values = network.values(state.params, observations)
      return jax.vmap(dqn.greedy_or_random, in_axes=(0, 0, None))(keys, values, share)

    actors, record = acting.act(environment, choose, acting.mine(state.actors), key, settings.steps)
    targets = _targets(network, settings, state.params, record)
    actors, whole, targets = axes.whole((actors, record, targets))
    state = state.replace(actors=actors, recent=state.recent.after(whole.done, whole.episode_return))
    flat = lambda x: x.reshape(-1, *x.shape[2:])
    examples = jax.tree.map(flat, (whole.observation, whole.action, targets))
    state, loss = _learn(network, optimizer, settings, state, examples)
    metrics = {**acting.episode_metrics(record), "loss": loss, "recent_return": state.recent.mean()}
    if schedule is not None:
      metrics["learning_rate"] = Mean.constant(schedule(state.updates))
    return state.replace(step=state.step + 1), metrics

  def evaluate(state, batch):
    return greedy_metrics(environment, network, exploration, state, batch) | {"recent_return": state.recent.mean()}

  return learner_lib.Learner(init, update, evaluate)


def _targets(network: Network, settings: Settings, params, record: acting.Record):
  """Q(λ) targets [row, time]."""
  per_step = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), record)
  after = jax.lax.map(lambda seen: network.values(params, seen).max(-1), per_step.next_observation)
  returns = dqn.lambda_returns(
    per_step.reward, per_step.terminated, per_step.truncated, after, settings.discount, settings.decay
  )
  return returns.T


def _learn(network: Network, optimizer, settings: Settings, state: OnPolicyState, examples):
  """Passes over the examples [frame, ...], which every device holds whole; each takes its part of every minibatch."""
  size = settings.frames // settings.minibatches
  settings.check(axes.size())  # or what is left over would be lost
  share = size // axes.size()
  key = randomness.stream_key(state.key, "minibatches", state.step)

  def gradient_step(i, carry):
    state, total = carry
    order = jax.random.permutation(jax.random.fold_in(key, i // settings.minibatches), settings.frames)
    first = (i % settings.minibatches) * size + axes.index() * share
    chosen = jax.lax.dynamic_slice_in_dim(order, first, share)
    seen, action, target = jax.tree.map(lambda x: x[chosen], examples)

    def loss(params):
      values = network.values(params, seen)
      taken = jnp.take_along_axis(values, action[:, None], 1)[:, 0]
      return 0.5 * jnp.square(taken - target).sum()

    value, grads = jax.value_and_grad(loss)(state.params)
    local = Mean(value, jnp.float32(share))
    params, opt_state, finite = steps.guarded_step(optimizer, local, grads, state.params, state.opt_state)
    state = state.replace(
      params=params, opt_state=opt_state, updates=state.updates + 1, skipped=state.skipped + ~finite
    )
    return state, total + local

  start = state, Mean(jnp.zeros(()), jnp.zeros(()))
  return jax.lax.fori_loop(0, settings.epochs * settings.minibatches, gradient_step, start)
