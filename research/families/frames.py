"""Sequences of binary frames: p(frames) as a product over time steps, and within one over its bits, lowest first."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from research import randomness
from research.metrics import Mean

DEFINITIONS = {
  "nll": "negative log-likelihood of a frame given those before it, nats a time step, all steps of the set pooled",
}


class FrameModel(NamedTuple):
  """The functions of a model of frames; a batch has `inputs` [batch, time, bit], `length` and `mask` [batch].

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them.
    sample: `sample(variables, keys [batch], length, temperature) -> frames` int [batch, length, bit].
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  sample: Callable


def frame_model(network: nn.Module, bits: int, transpose: int = 0) -> FrameModel:
  """A model over a network with the methods of `networks.music.RecurrentNade`.

  Args:
    network: `(frames, train) -> logits`.
    bits: of a frame.
    transpose: in training each piece is moved by -transpose to transpose bits, drawn evenly.
  """

  def nll(variables, inputs, batch, train: bool, rngs=None) -> Mean:
    logits = jnp.asarray(network.apply(variables, inputs, train, rngs=rngs))
    real = (jnp.arange(inputs.shape[1]) < batch["length"][:, None]) * batch["mask"][:, None]
    cross_entropy = (jax.nn.softplus(logits) - inputs * logits).sum(-1)
    return Mean(jnp.where(real > 0, cross_entropy, 0).sum(), real.sum())

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["inputs"].astype(jnp.float32), False)

  def loss(variables, batch, key):
    inputs = batch["inputs"].astype(jnp.float32)
    if transpose:
      keys = randomness.example_keys(randomness.stream_key(key, "transpose"), len(inputs))
      inputs = moved(inputs, jax.vmap(lambda key: jax.random.randint(key, (), -transpose, transpose + 1))(keys))
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    return nll(variables, inputs, batch, True, rngs), ({}, {})

  def evaluate(variables, batch):
    return {"nll": nll(variables, batch["inputs"].astype(jnp.float32), batch, False)}

  def sample(variables, keys: Key[Array, " batch"], length: int, temperature: float):
    method = lambda name, *arguments: network.apply(variables, *arguments, method=name)

    def one(state, time):
      carry, frame = state
      carry, biases = method("step", carry, frame)
      frame = method("draw", biases, randomness.fold_in(keys, time), temperature)
      frame = jnp.asarray(frame)
      return (carry, frame.astype(jnp.float32)), frame

    first = jnp.zeros((len(keys), bits))
    start = method("init_carry", len(keys)), first
    return jax.lax.scan(one, start, jnp.arange(length))[1].swapaxes(0, 1)

  return FrameModel(init, loss, evaluate, sample)


def moved(frames: Float[Array, "batch time bit"], by: Int[Array, " batch"]) -> Float[Array, "batch time bit"]:
  """Each row's bits so many places up; what leaves at one end comes back at the other, where little is played."""
  return jax.vmap(lambda row, shift: jnp.roll(row, shift, axis=-1))(frames, by)
