"""Q-learning from a file of transitions, without acting: fitted to what others did (Lange, Gabel & Riedmiller 2012).

Values of actions that the file never shows are nobody's experience, and the largest of them would be believed: the
conservative term (Kumar et al. 2020, equation 4, CQL(H)) holds them down.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct
from jaxtyping import Array, Int

from research import randomness
from research.environments.protocol import Environment
from research.errors import UserError
from research.families import replay
from research.metrics import Mean
from research.training import learner as learner_lib
from research.training import steps
from research.training.agents.replayed import Exploration, Network, differences, greedy_metrics, targets


@dataclasses.dataclass(frozen=True)
class Settings:
  """How an offline agent learns.

  Attributes:
    target_every: steps between two copies of the network to the target network.
    discount: γ.
    double: the trained network chooses the action that follows, the target network tells its value.
    conservative: α, the weight of what holds down the values of actions that were not taken; 0: none.
  """

  target_every: int
  discount: float = 0.99
  double: bool = True
  conservative: float = 1.0

  def check(self) -> None:
    """Raises a UserError where they make no sense."""
    if self.target_every < 1 or self.conservative < 0 or not 0 < self.discount <= 1:
      value = (self.target_every, self.conservative, self.discount)
      raise UserError("config.agent.target_every, conservative, discount", value, "give >= 1, >= 0, and above 0 to 1.")


@struct.dataclass
class OfflineState(learner_lib.State):
  """State of an offline agent: see `replayed.AgentState`."""

  params: Any
  target: Any
  opt_state: Any
  updates: Int[Array, ""]


def offline_learner(
  environment: Environment,
  network: Network,
  optimizer: optax.GradientTransformation,
  settings: Settings,
  exploration: Exploration,
  schedule: Callable | None = None,
) -> learner_lib.Learner:
  """A learner whose batches are transitions (`research.data.transitions`); the environment serves evaluation alone.

  Arguments as `replayed.dqn_learner`.
  """
  settings.check()

  def init(key, batch):
    del batch
    seen = jnp.zeros((1, *environment.observation.shape), environment.observation.dtype)
    params = network.init(randomness.stream_key(key, "init"), seen)
    copy = jax.tree.map(jnp.array, params)  # buffers of the state are donated one by one
    zero = jnp.zeros((), jnp.int32)
    return OfflineState.create(key, params=params, target=copy, opt_state=optimizer.init(params), updates=zero)

  def update(state, batch):
    mask, discount = batch["mask"], settings.discount * (1.0 - batch["terminated"])
    window = replay.Window(batch, batch, batch["reward"], discount)
    noise_key = randomness.stream_key(state.key, "noise", state.step)
    noises = [jax.random.fold_in(noise_key, n) if network.noisy else None for n in range(3)]
    target = targets(network, state, batch["next_observation"], settings.double, noises)

    def loss(params):
      outputs = network.outputs(params, batch["observation"], noises[2])
      errors, _ = differences(network, outputs, target, window)
      values = network.head.values(outputs)
      taken = jnp.take_along_axis(values, batch["action"][:, None], 1)[:, 0]
      excess = jax.nn.logsumexp(values, axis=-1) - taken
      return (mask * (errors + settings.conservative * excess)).sum(), (Mean.of(errors, mask), Mean.of(excess, mask))

    (value, (errors, excess)), grads = jax.value_and_grad(loss, has_aux=True)(state.params)
    local = Mean(value, mask.sum())
    params, opt_state, finite = steps.guarded_step(optimizer, local, grads, state.params, state.opt_state)
    due = (state.updates + 1) % settings.target_every == 0
    metrics = {"loss": local, "temporal_difference": errors, "excess": excess}
    if schedule is not None:
      metrics["learning_rate"] = Mean.constant(schedule(state.updates))
    return state.replace(
      step=state.step + 1,
      params=params,
      target=learner_lib.keep_if(due, params, state.target),
      opt_state=opt_state,
      updates=state.updates + 1,
      skipped=state.skipped + ~finite,
    ), metrics

  def evaluate(state, batch):
    return greedy_metrics(environment, network, exploration, state, batch)

  return learner_lib.Learner(init, update, evaluate)
