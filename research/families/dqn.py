"""Deep Q-learning: what a Q-network's outputs mean, and the losses that move them.

A head turns the network's outputs into values: expected values (Mnih et al. 2015), a distribution over fixed returns
(C51, Bellemare et al. 2017), or quantiles of the return (QR-DQN, Dabney et al. 2018).  `values` and `loss` are those of
one transition; callers map them over a batch.
"""

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


class Head(Protocol):
  """What the outputs of a network mean.

  Attributes:
    outputs: numbers that a network gives for each action.
  """

  @property
  def outputs(self) -> int: ...

  def values(self, outputs: Float[Array, "*batch action output"]) -> Float[Array, "*batch action"]:
    """Expected returns."""
    ...

  def loss(
    self,
    outputs: Float[Array, " output"],
    target: Float[Array, " output"],
    reward: Float[Array, ""],
    discount: Float[Array, ""],
  ) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """(loss, priority) of the outputs of the action taken, by those of the action that follows."""
    ...


class Expected(NamedTuple):
  """One number an action, its expected return; the Huber loss of Mnih et al. 2015, whose gradient is clipped to ±1."""

  @property
  def outputs(self) -> int:
    return 1

  def values(self, outputs):
    return outputs[..., 0]

  def loss(self, outputs, target, reward, discount):
    error = reward + discount * target[0] - outputs[0]
    return optax.huber_loss(error), jnp.abs(error)


class Categorical(NamedTuple):
  """Logits of `atoms` returns, evenly spaced from `low` to `high` (C51; Bellemare et al. 2017, algorithm 1)."""

  low: float
  high: float
  atoms: int = 51

  @property
  def outputs(self) -> int:
    return self.atoms

  @property
  def support(self) -> Float[Array, " atom"]:
    return jnp.linspace(self.low, self.high, self.atoms)

  def values(self, outputs):
    return jax.nn.softmax(outputs) @ self.support

  def project(self, probabilities, reward, discount) -> Float[Array, " atom"]:
    """The distribution of `reward + discount * return`, its mass divided between the nearest two atoms."""
    moved = jnp.clip(reward + discount * self.support, self.low, self.high)
    spacing = (self.high - self.low) / (self.atoms - 1)
    share = jnp.maximum(1 - jnp.abs(moved[:, None] - self.support) / spacing, 0)  # [from, to]
    return probabilities @ share

  def loss(self, outputs, target, reward, discount):
    projected = self.project(jax.nn.softmax(target), reward, discount)
    cross_entropy = -jnp.sum(projected * jax.nn.log_softmax(outputs))
    return cross_entropy, cross_entropy  # which is the priority too (Hessel et al. 2018)


class Quantile(NamedTuple):
  """`quantiles` quantiles of the return at the midpoints (2i + 1) / 2N (QR-DQN; Dabney et al. 2018, equation 10)."""

  quantiles: int = 51
  kappa: float = 1.0

  @property
  def outputs(self) -> int:
    return self.quantiles

  def values(self, outputs):
    return outputs.mean(-1)

  def loss(self, outputs, target, reward, discount):
    errors = reward + discount * target[None, :] - outputs[:, None]  # [quantile, sample of the target]
    levels = (jnp.arange(self.quantiles) + 0.5) / self.quantiles
    weight = jnp.abs(levels[:, None] - (errors < 0))
    loss = (weight * optax.huber_loss(errors, delta=self.kappa) / self.kappa).mean(1).sum()
    return loss, jnp.abs(errors.mean())


def bootstrap(
  head: Head,
  target: Float[Array, "action output"],
  online: Float[Array, "action output"],
) -> Float[Array, " output"]:
  """The outputs of the best action that follows.

  Args:
    head: what outputs mean.
    target: outputs of the target network for the observation after.
    online: of the network that chooses the action: the target network itself (Mnih et al. 2015), or the one that is
      trained (double Q-learning, van Hasselt et al. 2016).
  """
  return target[head.values(online).argmax()]


def lambda_returns(
  rewards: Float[Array, "time row"],
  terminated: Float[Array, "time row"],
  truncated: Float[Array, "time row"],
  values_after: Float[Array, "time row"],
  discount: float,
  decay: float,
) -> Float[Array, "time row"]:
  """Q(λ) targets, `G_t = r_t + γ (λ G_{t+1} + (1 - λ) max_a Q(s_{t+1}, a))` (Gallici et al. 2024, equation 13).

  Args:
    rewards, terminated, truncated: of steps in order; an episode's end cuts the sum.
    values_after: max over actions of Q at the observation *after* each step, the last of an episode included.
    discount, decay: γ and λ.
  """

  def step(following, inputs):
    reward, end, cut, value = inputs
    mixed = jnp.where(cut, value, decay * following + (1 - decay) * value)
    target = reward + discount * (1 - end) * mixed
    return target, target

  inputs = rewards, terminated.astype(jnp.float32), truncated.astype(bool), values_after
  return jax.lax.scan(step, values_after[-1], inputs, reverse=True)[1]


def epsilon(frame: Int[Array, ""], first: float, last: float, frames: int) -> Float[Array, ""]:
  """The share of random actions: falls in a line from `first` to `last` over `frames` frames, then stays."""
  return first + (last - first) * jnp.clip(frame / max(frames, 1), 0, 1)


def greedy_or_random(key, values: Float[Array, " action"], epsilon) -> Int[Array, ""]:
  """The best action, or with probability `epsilon` any."""
  explore, which = jax.random.split(key)
  anything = jax.random.randint(which, (), 0, len(values))
  return jnp.where(jax.random.uniform(explore) < epsilon, anything, values.argmax())
