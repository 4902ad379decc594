"""Masked-token pre-training: how much is hidden, and that a text that tells its tokens is filled in."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from research import randomness
from research.families import masked_language_model as family_lib
from research.networks.attention import Style
from research.networks.transformer import Encoder


def test_shares_of_what_is_hidden():
  tokens = jnp.full((200, 100), 3)
  keys = randomness.example_keys(jax.random.key(0), 200)
  found, chosen = map(np.asarray, jax.jit(lambda t, k: family_lib.hidden(t, k, 10))(tokens, keys))
  assert (found[~chosen] == 3).all()
  assert abs(chosen.mean() - 0.15) < 0.01
  masked = (found[chosen] == 0).mean()
  # Of those replaced at random one in ten is what it was.
  assert abs(masked - 0.8) < 0.03
  assert abs((found[chosen] == 3).mean() - (0.1 + 0.1 / 10)) < 0.03
  again = np.asarray(family_lib.hidden(tokens[:3], keys[:3], 10)[0])
  np.testing.assert_array_equal(again, found[:3])


def test_tokens_are_told_from_both_sides():
  """Of rows of one token each is known from any other: less than the entropy of a token is left."""
  network = Encoder(Style(features=16, heads=2), 5, 1)
  family = family_lib.masked_language_model(network, 4)
  batch = {"inputs": jnp.tile(jnp.arange(32)[:, None] % 4 + 1, (1, 8)), "mask": jnp.ones((32, 8))}
  optimizer = optax.adam(1e-2)

  @jax.jit
  def train(variables):
    def step(state, key):
      variables, moments = state
      loss = lambda v: (lambda mean: mean.total / mean.count)(family.loss(v, batch, key)[0])
      updates, moments = optimizer.update(jax.grad(loss)(variables), moments)
      return (optax.apply_updates(variables, updates), moments), None

    state = variables, optimizer.init(variables)
    return jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 200))[0][0]

  variables = train(jax.jit(family.init)(jax.random.key(0), batch))
  found = jax.jit(family.evaluate)(variables, batch)
  assert found["accuracy"].value() > 0.95
  assert 0 < found["accuracy"].count < 0.3 * 32 * 8
  hidden = batch["inputs"].at[:, 5].set(0)
  assert (np.asarray(family.logits(variables, hidden)).argmax(-1)[:, 5] == np.arange(32) % 4 + 1).mean() > 0.95
