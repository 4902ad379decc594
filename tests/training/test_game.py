"""The two players' step against one written out by hand; devices; the critic's steps; the guard; the average."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research import axes
from research.errors import UserError
from research.metrics import Mean
from research.training import game

X = np.random.default_rng(0).normal(1.0, 0.5, (24, 2)).astype(np.float32)
BATCH = {"inputs": X, "mask": np.ones(24, np.float32)}


def init(key, batch):
  return {"params": {"shift": jnp.zeros(2)}, "seen": {"count": jnp.zeros(())}}, {"params": {"w": jnp.full(2, 0.3)}}


def generate(variables, batch, key):
  """Noise is a function of the real example, so that a reference needs no keys."""
  return variables["params"]["shift"] + 0.1 * batch["inputs"][:, ::-1], {
    "seen": {"count": variables["seen"]["count"] + 1}
  }


def critic_loss(variables, batch, fake, key):
  score = lambda x: x @ variables["params"]["w"]
  values = jax.nn.softplus(-score(batch["inputs"])) + jax.nn.softplus(score(fake))
  return Mean.of(values, batch["mask"]), ({}, {})


def generator_loss(variables, batch, fake, key):
  return Mean.of(jax.nn.softplus(-fake @ variables["params"]["w"]), batch["mask"]), ({}, {})


def learner(**options):
  defaults = {"generator_optimizer": optax.sgd(0.5), "critic_optimizer": optax.sgd(0.2)}
  evaluate = lambda made, judged, batch: {"shift": Mean.of(batch["mask"] * made["params"]["shift"][0])}
  functions = dict(
    init=init, generate=generate, critic_loss=critic_loss, generator_loss=generator_loss, evaluate=evaluate
  )
  return game.game_learner(**functions, **{**defaults, **options})


def sigmoid(x):
  return 1 / (1 + np.exp(-x))


def by_hand(shift, w, batches):
  """Critic steps, then the generator's on the last batch: derivatives of softplus written out."""
  for x in batches:
    fake = shift + 0.1 * x[:, ::-1]
    w = w - 0.2 * (-(sigmoid(-x @ w)[:, None] * x) + sigmoid(fake @ w)[:, None] * fake).mean(0)
  return shift + 0.5 * sigmoid(-fake @ w).mean() * w, w


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_update_is_that_of_the_algorithm_by_hand(critic_steps):
  """Goodfellow et al. 2014, algorithm 1: each critic step sees other examples; the generator moves once, after them."""
  one = learner(critic_steps=critic_steps)
  state = one.init(jax.random.key(0), BATCH)
  update, shift, w = jax.jit(one.update), np.zeros(2), np.full(2, 0.3)
  for _ in range(3):
    state, metrics = update(state, BATCH)
    shift, w = by_hand(shift, w, [X[i::critic_steps].astype(float) for i in range(critic_steps)])
  np.testing.assert_allclose(state.generator.params["shift"], shift, rtol=1e-5)
  np.testing.assert_allclose(state.critic.params["w"], w, rtol=1e-5)
  assert int(state.step) == 3
  assert float(state.generator.mutable["seen"]["count"]) == 3 * critic_steps
  assert {"critic_loss", "generator_loss", "critic_grad_norm", "generator_grad_norm"} <= set(metrics)


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_four_devices_are_one(critic_steps):
  """Uneven masks too: gradients are of the global mean, and the critic's steps see the same examples."""
  one = learner(critic_steps=critic_steps, ema_decay=0.9)
  batch = {**BATCH, "mask": (np.arange(24) != 5).astype(np.float32) * (np.arange(24) < 20)}
  state = one.init(jax.random.key(0), batch)
  single, _ = jax.jit(one.update)(state, batch)
  split = jax.tree.map(lambda x: x.reshape(4, 6, *x.shape[1:]), batch)
  mapped = jax.pmap(lambda b: one.update(state, b)[0], axis_name=axes.AXIS, devices=jax.devices()[:4])(split)
  assert jax.device_count() >= 4
  for name in ("generator", "critic", "ema"):
    for a, b in zip(jax.tree.leaves(getattr(single, name)), jax.tree.leaves(getattr(mapped, name)), strict=True):
      np.testing.assert_allclose(a, b[3], rtol=1e-5, atol=1e-7)


def test_a_player_whose_gradient_is_not_finite_stays_and_is_counted():
  one = learner(ema_decay=0.9)
  state = one.init(jax.random.key(0), BATCH)
  bad, _ = jax.jit(one.update)(state, {**BATCH, "inputs": np.where(np.arange(24)[:, None] == 3, np.nan, X)})
  assert int(bad.skipped) == 1
  assert int(bad.step) == 1
  for name in ("generator", "critic", "ema"):
    for a, b in zip(jax.tree.leaves(getattr(state, name)), jax.tree.leaves(getattr(bad, name)), strict=True):
      np.testing.assert_array_equal(a, b)
  good, _ = jax.jit(one.update)(state, BATCH)
  assert int(good.skipped) == 0
  assert (good.critic.params["w"] != state.critic.params["w"]).all()


def test_the_average_is_what_is_sampled_and_evaluated():
  """It warms up as (1 + t) / (10 + t): after one update, 0.1 of the old and 0.9 of the new."""
  one = learner(ema_decay=0.9)
  state = one.init(jax.random.key(0), BATCH)
  new, _ = jax.jit(one.update)(state, BATCH)
  expected = 0.1 * state.generator.params["shift"] + 0.9 * new.generator.params["shift"]
  np.testing.assert_allclose(game.generator_of(new)["params"]["shift"], expected, rtol=1e-6)
  assert float(one.evaluate(new, BATCH)["shift"].value()) == pytest.approx(float(expected[0]))
  plain, _ = jax.jit(learner().update)(learner().init(jax.random.key(0), BATCH), BATCH)
  assert game.generator_of(plain)["params"] is plain.generator.params


def test_steps_that_do_not_divide_the_batch_are_refused():
  uneven = learner(critic_steps=5)
  state = uneven.init(jax.random.key(0), BATCH)
  with pytest.raises(UserError, match="24 examples"):
    uneven.update(state, BATCH)
  with pytest.raises(UserError, match="1 or more"):
    learner(critic_steps=0)
