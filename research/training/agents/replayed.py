"""DQN and its improvements: act, remember, and follow the temporal difference of what is drawn from memory.

Mnih et al. 2015, algorithm 1; each improvement that Hessel et al. 2018 (Rainbow) combine is a setting.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Float, Int

from research import axes, randomness
from research.environments.protocol import Environment
from research.errors import UserError
from research.families import dqn, replay
from research.metrics import Mean
from research.training import learner as learner_lib
from research.training import steps
from research.training.agents import acting

_SMALLEST = 1e-6  # added to every priority, so that nothing is forgotten


class Network(NamedTuple):
  """A Q-network as agents see it.

  Attributes:
    init: `init(key, observations [1, ...]) -> params`.
    outputs: `outputs(params, observations [row, ...], key) -> [row, action, output]`; `key` None: without noise.
    head: what they mean.
    noisy: whether noise explores, in place of random actions.
  """

  init: Callable
  outputs: Callable
  head: dqn.Head
  noisy: bool = False

  def values(self, params, observations, key=None) -> Float[Array, "row action"]:
    """Expected returns of every action."""
    return self.head.values(self.outputs(params, observations, key))


@dataclasses.dataclass(frozen=True)
class Exploration:
  """Share of random actions, falling in a line over the first `frames` frames; `evaluation`: of greedy episodes."""

  first: float = 1.0
  last: float = 0.05
  frames: int = 10_000
  evaluation: float = 0.0
  max_steps: int = 10_000  # of an episode that is played to be measured


@dataclasses.dataclass(frozen=True)
class Settings:
  """How a replayed agent learns.

  Attributes:
    rows: environments.
    steps: of each environment in an update.
    capacity: transitions remembered, over all environments.
    batch_size: transitions of a gradient step, over all devices.
    gradient_steps: of an update.
    learning_starts: frames before the first of them.
    target_every: gradient steps between two copies of the network to the target network.
    target_rate: share by which the target network follows at every one of those; 1 copies.
    discount: γ.
    n_steps: rewards of a return, before what follows is estimated.
    double: the trained network chooses the action that follows, the target network tells its value.
    priority: α, the power of the priorities by which transitions are drawn; 0 draws all alike.
    importance: β, the power of the weights that correct for it, at the beginning; it rises to 1 over `total_frames`.
    total_frames: of the run.
  """

  rows: int
  steps: int
  capacity: int
  batch_size: int
  gradient_steps: int
  learning_starts: int
  target_every: int
  target_rate: float = 1.0
  discount: float = 0.99
  n_steps: int = 1
  double: bool = False
  priority: float = 0.0
  importance: float = 0.4
  total_frames: int = 1

  @property
  def frames(self) -> int:
    """Of an update."""
    return self.rows * self.steps

  @property
  def row_capacity(self) -> int:
    """Transitions remembered of each environment: a multiple of the steps of an update."""
    return max(self.capacity // self.rows // self.steps, 1) * self.steps

  def check(self) -> None:
    """Raises a UserError where they make no sense."""
    if self.row_capacity < self.steps + self.n_steps:
      remedy = f"each of {self.rows} environments must hold more than {self.steps + self.n_steps} steps."
      raise UserError("config.agent.capacity", self.capacity, remedy)
    if not 0 < self.discount <= 1:
      raise UserError("config.agent.discount", self.discount, "give a number above 0, and 1 at most.")
    if self.n_steps < 1 or self.gradient_steps < 1 or self.target_every < 1:
      value = (self.n_steps, self.gradient_steps, self.target_every)
      raise UserError("config.agent.n_steps, gradient_steps, target_every", value, "give 1 or more of each.")


@struct.dataclass
class AgentState(learner_lib.State):
  """State of a replayed agent.

  Attributes:
    params, target: of the network, and of the one that estimates what follows.
    opt_state: Optax's.
    updates: gradient steps so far.
    actors: the environments.
    memory: transitions.
    priorities: a sum tree over the places of `memory`; None where all are drawn alike.
    highest: the highest priority met, which a new transition is given.
    recent: returns of the last episodes.
  """

  params: Any
  target: Any
  opt_state: Any
  updates: Int[Array, ""]
  actors: acting.Actors
  memory: replay.Ring
  priorities: Float[Array, " node"] | None
  highest: Float[Array, ""]
  recent: acting.Recent


def dqn_learner(
  environment: Environment,
  network: Network,
  optimizer: optax.GradientTransformation,
  settings: Settings,
  exploration: Exploration,
  schedule: Callable | None = None,
) -> learner_lib.Learner:
  """A learner that acts and replays.

  An update is `settings.steps` steps of every environment, then `settings.gradient_steps` gradient steps.  Batches are
  a clock: their rows say which part of each drawn batch is this device's, and in evaluation which episodes it plays.
  Environments are divided over the devices, the memory is held by all, gradients are of the global mean.

  Args:
    environment, network: see there.
    optimizer: an Optax transformation.
    settings, exploration: see there.
    schedule: learning rate by gradient step, logged only.
  """
  settings.check()

  def init(key, batch):
    del batch
    actors = acting.begin(environment, randomness.stream_key(key, "environments"), settings.rows)
    params = network.init(randomness.stream_key(key, "init"), actors.observation[:1])
    example = jax.eval_shape(lambda: _transition(environment))
    places = settings.rows * settings.row_capacity
    return AgentState.create(
      key,
      params=params,
      target=jax.tree.map(jnp.array, params),  # a copy: buffers of the state are donated one by one
      opt_state=optimizer.init(params),
      updates=jnp.zeros((), jnp.int32),
      actors=actors,
      memory=replay.ring(example, settings.rows, settings.row_capacity),
      priorities=replay.tree(places) if settings.priority else None,
      highest=jnp.ones(()),
      recent=acting.Recent.none(),
    )

  def update(state, batch):
    state, metrics = _remember(environment, network, settings, exploration, state)
    frames = (state.step + 1) * settings.frames
    count = jnp.where(frames >= settings.learning_starts, settings.gradient_steps, 0)
    total = Mean(jnp.zeros(()), jnp.zeros(()))
    one = lambda i, carry: _gradient_step(network, optimizer, settings, i, len(batch["mask"]), *carry)
    state, loss = jax.lax.fori_loop(0, count, one, (state, total))
    metrics |= {"loss": loss, "recent_return": state.recent.mean()}
    if schedule is not None:
      metrics["learning_rate"] = Mean.constant(schedule(state.updates))
    return state.replace(step=state.step + 1), metrics

  def evaluate(state, batch):
    return greedy_metrics(environment, network, exploration, state, batch) | {"recent_return": state.recent.mean()}

  return learner_lib.Learner(init, update, evaluate)


def greedy_metrics(environment, network: Network, exploration: Exploration, state, batch) -> dict[str, Mean]:
  """Mean return and length of full greedy episodes, one for each row of the batch."""
  key = randomness.stream_key(state.key, "evaluation")
  keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(batch["row"])

  def choose(keys, observations, time):
    del time
    values = network.values(state.params, observations)
    return jax.vmap(dqn.greedy_or_random, in_axes=(0, 0, None))(keys, values, exploration.evaluation)

  limit = environment.max_steps or exploration.max_steps
  returns, lengths, ended = acting.play(environment, choose, keys, limit)
  mask = batch["mask"]
  return {
    "return": Mean.of(returns, mask),
    "length": Mean.of(lengths.astype(jnp.float32), mask),
    "unfinished": Mean.of(1.0 - ended, mask),
  }


def _transition(environment: Environment) -> dict[str, Any]:
  """One transition as it is remembered, of no meaning."""
  seen = jnp.zeros(environment.observation.shape, environment.observation.dtype)
  return {
    "observation": seen,
    "next_observation": seen,
    "action": jnp.zeros((), jnp.int32),
    "reward": jnp.zeros(()),
    "terminated": jnp.zeros((), bool),
    "truncated": jnp.zeros((), bool),
  }


def _remember(environment, network, settings, exploration, state: AgentState):
  """The state after acting, with what happened in memory, and metrics."""
  key = randomness.stream_key(state.key, "act", state.step)
  noise = randomness.stream_key(state.key, "act_noise", state.step) if network.noisy else None

  def choose(keys, observations, time):
    frame = state.step * settings.frames + time * settings.rows
    share = 0.0 if network.noisy else dqn.epsilon(frame, exploration.first, exploration.last, exploration.frames)
    values = network.values(state.params, observations, None if noise is None else jax.random.fold_in(noise, time))
    return jax.vmap(dqn.greedy_or_random, in_axes=(0, 0, None))(keys, values, share)

  actors, record = acting.act(environment, choose, acting.mine(state.actors), key, settings.steps)
  actors, whole = axes.whole((actors, record))
  block = {name: getattr(whole, name) for name in _transition(environment)}
  before, memory = state.memory.written, replay.write(state.memory, block)
  priorities = state.priorities
  if priorities is not None:
    priorities = _prioritise_new(priorities, memory, before, state.highest, settings)
  recent = state.recent.after(whole.done, whole.episode_return)
  metrics = acting.episode_metrics(record)
  return dataclasses.replace(state, actors=actors, memory=memory, priorities=priorities, recent=recent), metrics


def _prioritise_new(tree, memory: replay.Ring, before, highest, settings: Settings):
  """New transitions get the highest priority met as soon as the steps of their return are there; till then none."""
  offsets = jnp.arange(-(settings.n_steps - 1), settings.steps)
  ripe = (offsets < settings.steps - (settings.n_steps - 1)) & (before + offsets >= 0)
  places = (before + offsets) % memory.capacity
  leaves = (jnp.arange(memory.rows)[:, None] * memory.capacity + places).ravel()
  values = jnp.broadcast_to(jnp.where(ripe, highest**settings.priority, 0), (memory.rows, len(offsets))).ravel()
  # Places before the first step of all are those at the end of the ring: nothing is there, and 0 is right.
  return replay.update(tree, leaves, values)


def _gradient_step(network: Network, optimizer, settings: Settings, i, rows: int, state: AgentState, total: Mean):
  """One gradient step on transitions drawn from memory; `rows` of them are this device's."""
  key = jax.random.fold_in(randomness.stream_key(state.key, "replay", state.step), i)
  keys = randomness.example_keys(key, rows)
  row, place, weight = _draw(state, settings, keys, rows)
  window = replay.window(state.memory, row, place, settings.n_steps, settings.discount)
  noise_key = jax.random.fold_in(randomness.stream_key(state.key, "noise", state.step), i)
  noises = [jax.random.fold_in(noise_key, n) if network.noisy else None for n in range(3)]
  target = targets(network, state, window.last["next_observation"], settings.double, noises)

  def loss(params):
    outputs = network.outputs(params, window.first["observation"], noises[2])
    losses, errors = differences(network, outputs, target, window)
    return (weight * losses).sum(), errors

  (value, errors), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
  local = Mean(value, jnp.float32(rows))
  params, opt_state, finite = steps.guarded_step(optimizer, local, grads, state.params, state.opt_state)
  updates = state.updates + 1
  due = updates % settings.target_every == 0
  target_params = learner_lib.keep_if(
    due, optax.incremental_update(params, state.target, settings.target_rate), state.target
  )
  state = dataclasses.replace(
    state, params=params, opt_state=opt_state, target=target_params, updates=updates, skipped=state.skipped + ~finite
  )
  return _reprioritise(state, settings, row, place, errors), total + local


def targets(network: Network, state: Any, following, double: bool, noises=(None, None)) -> Float[Array, "row output"]:
  """Outputs of the best action in the observations that follow, by `state.target`; chosen by it or `state.params`."""
  of_target = network.outputs(state.target, following, noises[0])
  chooser = network.outputs(state.params, following, noises[1]) if double else of_target
  return jax.vmap(lambda t, o: dqn.bootstrap(network.head, t, o))(of_target, chooser)


def differences(network: Network, outputs, target, window: replay.Window):
  """(loss [row], size of the temporal difference [row]) of the actions taken, by a network's outputs there."""
  taken = jnp.take_along_axis(outputs, window.first["action"][:, None, None], 1)[:, 0]
  return jax.vmap(network.head.loss)(taken, target, window.reward, window.discount)


def _draw(state: AgentState, settings: Settings, keys, rows: int):
  """(row, place, importance weight) of this device's part of a batch."""
  memory = state.memory
  if state.priorities is None:
    return *replay.uniform(memory, keys, settings.n_steps), jnp.ones(rows)
  total = state.priorities[1]
  stratum = axes.index() * rows + jnp.arange(rows)  # one draw from each equal part of the mass
  mass = (stratum + jax.vmap(jax.random.uniform)(keys)) / (rows * axes.size()) * total
  leaf = replay.find(state.priorities, mass)
  share = state.priorities[leaf + len(state.priorities) // 2] / total
  progress = jnp.clip(state.step * settings.frames / settings.total_frames, 0, 1)
  beta = settings.importance + (1 - settings.importance) * progress
  held = memory.size * memory.rows
  weight = (held * jnp.maximum(share, 1e-12)) ** -beta
  largest = axes.whole(weight).max()
  return leaf // memory.capacity, leaf % memory.capacity, weight / largest


def _reprioritise(state: AgentState, settings: Settings, row, place, errors) -> AgentState:
  """Drawn transitions get the priority of their error; every device sees all of them."""
  if state.priorities is None:
    return state
  leaf, errors = axes.whole((row * state.memory.capacity + place, errors))
  priority = jnp.where(jnp.isfinite(errors), errors, 0) + _SMALLEST
  tree = replay.update(state.priorities, leaf, priority**settings.priority)
  return dataclasses.replace(state, priorities=tree, highest=jnp.maximum(state.highest, priority.max()))
