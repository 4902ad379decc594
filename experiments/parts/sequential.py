"""An autoregressive network as a model that generates, and as one that compresses."""

import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from research.coding import arithmetic
from research.families.autoregressive import Head
from research.generation.choosing import sample
from research.generation.generate import generate
from research.generation.model import Model, buffered, model


def model_of(network: nn.Module, head: Head, shape: tuple[int, ...], conditional: bool) -> Model:
  """What `generate` runs, of examples of `shape` in raster order; the first token fed is not looked at.

  Networks with `init_carry` and `step` keep what they need; MADE, whose every unit sees everything, computes anew.
  """
  length = int(np.prod(shape))
  if not hasattr(network, "step"):

    def forward(variables, tokens):
      # The buffer begins with the token that is not looked at; the output at t is a function of those before t.
      own = jnp.pad(tokens, ((0, 0), (0, 1)))[:, 1 : length + 1].reshape(len(tokens), *shape)
      return head.logits(network.apply(variables, own, None, False)).reshape(len(tokens), length, head.levels)

    return buffered(forward, length)
  place = (shape,) if len(shape) > 1 else ()

  def init_carry(variables, batch, length, context=None) -> Any:
    del length
    return network.apply(variables, batch, *place, context if conditional else None, method="init_carry")

  def step(variables, carry, token):
    carry, outputs = network.apply(variables, carry, token, method="step")
    return carry, head.logits(jnp.asarray(outputs))

  return model(init_carry, step)


def drawer(generator: Model, shape: tuple[int, ...], temperature: float) -> Callable[..., Int[np.ndarray, "..."]]:
  """`draw(variables, label, key, given=None, mask=None) -> tokens [batch, *shape]`.

  What `given` has where `mask` is true stays as it is, if it comes before all that is drawn: the rest is drawn from
  p(rest | given).
  """
  length = int(np.prod(shape))

  @jax.jit
  def run(variables, label, key, given, mask):
    carry = generator.init_carry(variables, len(label), length, label)
    step = functools.partial(generator.step, variables)
    first = jnp.zeros(len(label), jnp.int32)
    choose = sample(temperature)
    return generate(step, carry, first, key, length, choose=choose, forced=given, forced_mask=mask)[0]

  def draw(variables, label, key, given=None, mask=None):
    count = len(label)
    given = np.zeros((count, *shape), np.int32) if given is None else given
    mask = np.zeros((count, *shape), bool) if mask is None else mask
    flat = lambda x: jnp.asarray(x).reshape(count, length)
    return np.asarray(run(variables, jnp.asarray(label), key, flat(given), flat(mask))).reshape(count, *shape)

  return draw


class Compressor:
  """Examples as bytes by a model's probabilities, and back.

  Encoder and decoder run one compiled step on batches of one size, so that both get the same bits of the same numbers:
  a code can be read by the same program on the same kind of machine.
  """

  def __init__(self, generator: Model, shape: tuple[int, ...]):
    self._generator, self._shape, self._length = generator, shape, int(np.prod(shape))

    @jax.jit
    def step(variables, carry, token):
      carry, logits = generator.step(variables, carry, token)
      return carry, jax.nn.log_softmax(logits)

    self._step = step

  def _begin(self, variables: Any, label: Array):
    return self._generator.init_carry(variables, len(label), self._length, jnp.asarray(label))

  def encode(self, variables: Any, tokens: Int[np.ndarray, "batch ..."], label) -> tuple[bytes, float]:
    """The code of a batch, and the bits that the model says it should take."""
    flat, carry, encoder, bits = (
      tokens.reshape(len(tokens), -1),
      self._begin(variables, label),
      arithmetic.Encoder(),
      0.0,
    )
    previous = np.zeros(len(tokens), np.int32)
    for t in range(self._length):
      carry, logs = self._step(variables, carry, jnp.asarray(previous))
      logs = np.asarray(logs)
      previous = flat[:, t].astype(np.int32)
      bits -= float(logs[np.arange(len(flat)), previous].sum(dtype=np.float64)) / np.log(2)
      for symbol, counts in zip(previous, arithmetic.frequencies(logs)):
        encoder.encode(int(symbol), counts)
    return encoder.finish(), bits

  def decode(self, variables: Any, code: bytes, label) -> Int[np.ndarray, "batch ..."]:
    """The tokens of a code; labels are not in it."""
    carry, decoder = self._begin(variables, label), arithmetic.Decoder(code)
    tokens = np.zeros((len(label), self._length), np.int32)
    previous = np.zeros(len(label), np.int32)
    for t in range(self._length):
      carry, logs = self._step(variables, carry, jnp.asarray(previous))
      previous = np.array([decoder.decode(counts) for counts in arithmetic.frequencies(np.asarray(logs))], np.int32)
      tokens[:, t] = previous
    return tokens.reshape(len(label), *self._shape)


def as_inputs(tokens: Int[np.ndarray, "..."], levels: int) -> Float[np.ndarray, "..."]:
  """From 0 to 1."""
  return np.asarray(tokens, np.float32) / (levels - 1)
