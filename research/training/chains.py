"""Markov chains: `update` is one transition of many chains, warm-up and draws are in the state.

Chains are rows of a clock (`data/clock.py`), held in the state as a global [chain, ...].  Step size and mass are
adapted to all chains together, gathered from the devices, so that a run on four, or one that was killed, is the run on
one.
"""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jaxtyping import Array, Float

from research import axes, randomness
from research.errors import UserError
from research.inference import adaptation, kernels
from research.inference.kernels import Kernel
from research.inference.model import Target
from research.metrics import Mean
from research.training.learner import Learner, State


@dataclasses.dataclass(frozen=True)
class Settings:
  """How chains run.

  Attributes:
    chains: side by side, over all devices.
    warmup: transitions that adapt, and are not kept.
    transitions: in all, those of the warm-up among them.
    thin: of the transitions after warm-up each `thin`-th is kept.
    step_size: at the beginning; of kernels that adapt none, throughout.
    dense: a dense mass, in place of a diagonal one.
  """

  chains: int
  warmup: int
  transitions: int
  thin: int = 1
  step_size: float = 0.5
  dense: bool = False

  @property
  def capacity(self) -> int:
    """Draws of a chain that are kept."""
    return (self.transitions - self.warmup) // self.thin

  def check(self) -> None:
    """Raises a UserError where nothing would be kept."""
    if self.capacity < 1:
      remedy = f"of {self.transitions} transitions after {self.warmup} of warm-up each {self.thin}-th is kept, so none."
      raise UserError("config.train.duration", self.transitions, f"{remedy} Run longer.")
    if self.step_size <= 0:
      raise UserError("config.method.step_size", self.step_size, "it must be positive.")


@struct.dataclass
class ChainState(State):
  """State of many chains.

  Attributes:
    chains: position, log-density and gradient of each, [chain, ...].
    adaptation: step size and mass, of all.
    draws: positions kept [chain, draw, size]; zeros where there is none yet.
    record: of each draw kept [chain, draw]: acceptance, gradients, divergent, energy, log_density.
    gradients: evaluated so far, warm-up included [chain].
    warmup_divergences: divergent transitions of the warm-up [chain].
  """

  chains: kernels.Chain
  adaptation: adaptation.Adaptation
  draws: Float[Array, "chain draw size"]
  record: Mapping[str, Array]
  gradients: Array
  warmup_divergences: Array


def chain_learner(target: Target, kernel: Kernel, settings: Settings, evaluate=None) -> Learner:
  """Many chains of one kernel.

  Args:
    target: the density; `evaluate` by default is its mean at the chains' positions.
    kernel: how they move.
    settings: how many, how long.
    evaluate: `evaluate(state, batch) -> metrics`.
  """
  settings.check()
  schedule = adaptation.windows(settings.warmup)

  def init(key, batch):
    del batch
    rows = jnp.arange(settings.chains)
    positions = starts(target, key, settings.chains)
    zeros = lambda dtype: jnp.zeros((settings.chains, settings.capacity), dtype)
    real = positions.dtype
    return ChainState.create(
      key,
      chains=jax.vmap(kernel.init)(positions),
      adaptation=adaptation.begin(settings.step_size, target.size, settings.dense),
      draws=jnp.zeros((settings.chains, settings.capacity, target.size), real),
      record={
        "acceptance": zeros(real),
        "gradients": zeros(jnp.int32),
        "divergent": zeros(bool),
        "energy": zeros(real),
        "log_density": zeros(real),
      },
      gradients=jnp.zeros_like(rows, jnp.int32),
      warmup_divergences=jnp.zeros_like(rows, jnp.int32),
    )

  def update(state, batch):
    keys = randomness.example_keys(randomness.stream_key(state.key, "transition", state.step), len(batch["mask"]))
    tuning = adaptation.tuning(state.adaptation, state.step, settings.warmup)
    own, info = jax.vmap(kernel.step, (0, 0, None))(keys, axes.mine(state.chains), tuning)
    metrics = _metrics(own, info, tuning, batch["mask"])
    chains, info = axes.whole((own, info))
    adapted = adaptation.adapt(
      state.adaptation, state.step, schedule, (info.acceptance.mean(), kernel.acceptance), chains.position
    )
    draws, record = _keep(settings, state, chains, info)
    warming = state.step < settings.warmup
    return state.replace(
      step=state.step + 1,
      chains=chains,
      adaptation=adapted,
      draws=draws,
      record=record,
      gradients=state.gradients + info.gradients,
      warmup_divergences=state.warmup_divergences + (info.divergent & warming),
    ), metrics

  def evaluate_positions(state, batch):
    own = axes.mine(state.chains.log_density)
    return {"log_density": Mean.of(own, batch["mask"])}

  return Learner(init, update, evaluate or evaluate_positions, watched=("log_density",))


def starts(target: Target, key, chains: int) -> Float[Array, "chain size"]:
  """Where chains of a run's key begin."""
  keys = randomness.place_keys(randomness.stream_key(key, "start"), np.arange(chains))
  return jax.vmap(target.start)(keys)


def _metrics(own: kernels.Chain, info: kernels.Info, tuning: kernels.Tuning, mask) -> dict[str, Mean]:
  return {
    "log_density": Mean.of(own.log_density, mask),
    "acceptance": Mean.of(info.acceptance, mask),
    "gradients": Mean.of(info.gradients.astype(jnp.float32), mask),
    "divergent": Mean.of(info.divergent.astype(jnp.float32), mask),
    "step_size": Mean.constant(tuning.step_size),
  }


def _keep(settings: Settings, state: ChainState, chains: kernels.Chain, info: kernels.Info):
  """Draws and their record with this transition's, in its place if it is to be kept."""
  after = state.step - settings.warmup
  kept = (after >= 0) & (after % settings.thin == settings.thin - 1)
  place = jnp.where(kept, after // settings.thin, settings.capacity)  # past the end: dropped
  put = lambda buffer, row: buffer.at[:, place].set(row, mode="drop")
  facts = {**info._asdict(), "log_density": chains.log_density}
  record = {name: put(buffer, facts[name].astype(buffer.dtype)) for name, buffer in state.record.items()}
  return put(state.draws, chains.position), record


def kept(state: ChainState, settings: Settings) -> Array:
  """Draws of a chain that there are so far."""
  return jnp.clip((state.step - settings.warmup) // settings.thin, 0, settings.capacity)
