"""A tiny recurrent model of the next token, and the same in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np

from research.generation.model import model

WIDTH = 6


def weights(vocabulary: int, seed: int = 0):
  rng = np.random.default_rng(seed)
  shapes = {"embed": (vocabulary, WIDTH), "recurrent": (WIDTH, WIDTH), "out": (WIDTH, vocabulary)}
  return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def recurrent():
  def init_carry(variables, batch, length, context=None):
    return jnp.zeros((batch, WIDTH))

  def step(variables, carry, token):
    carry = jnp.tanh(variables["embed"][token] + carry @ variables["recurrent"])
    return carry, carry @ variables["out"]

  return model(init_carry, step)


def forward(variables, tokens):
  """Logits at every position, [batch, time, vocabulary]: what `buffered` takes."""

  def one(carry, token):
    carry, logits = recurrent().step(variables, carry, token)
    return carry, logits

  return jax.lax.scan(one, jnp.zeros((len(tokens), WIDTH)), tokens.T)[1].swapaxes(0, 1)


def logits_after(variables, tokens):
  """float64 NumPy: logits [vocabulary] after a sequence of tokens."""
  w = {name: value.astype(np.float64) for name, value in variables.items()}
  h = np.zeros(WIDTH)
  for token in tokens:
    h = np.tanh(w["embed"][token] + h @ w["recurrent"])
  return h @ w["out"]


def log_softmax(logits):
  return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
