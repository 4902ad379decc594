"""Losses of CycleGAN and pix2pix against NumPy written from the equations; which player's step moves what."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from research.errors import UserError
from research.families import image_translation as family_lib
from research.families.image_translation import TO_A, TO_B
from research.networks import image_translation as networks
from research.training import game
from tests.compiled import compiled

FUNCTIONS = ("init", "generate", "critic_loss", "generator_loss", "evaluate")


class Affine(nn.Module):
  """A generator of two numbers: s x + t."""

  @nn.compact
  def __call__(self, x):
    return self.param("s", nn.initializers.ones, ()) * x + self.param("t", nn.initializers.zeros, ())


class Steep(nn.Module):
  """A critic of two patches: the weighted means of the upper and of the lower half."""

  @nn.compact
  def __call__(self, x):
    weight = self.param("w", nn.initializers.ones, ())
    rows = x.shape[1] // 2
    return weight * jnp.stack([x[:, :rows].mean((1, 2, 3)), x[:, rows:].mean((1, 2, 3))], 1)[:, :, None]


def batch(seed=0, count=5):
  rng = np.random.default_rng(seed)
  a, b = rng.uniform(-1, 1, (2, count, 4, 6, 1)).astype(np.float32)
  return {"a": a, "b": b, "mask": np.asarray([1] * (count - 1) + [0], np.float32)}


def affine(s, t):
  return {"s": jnp.asarray(s), "t": jnp.asarray(t)}


def patches(x, weight):
  rows = x.shape[1] // 2
  return weight * np.stack([x[:, :rows].mean((1, 2, 3)), x[:, rows:].mean((1, 2, 3))], 1)


MAKES = {"params": {TO_B: affine(0.5, 0.25), TO_A: affine(-0.75, 0.125)}}
JUDGES = {"params": {TO_B: {"w": jnp.asarray(2.0)}, TO_A: {"w": jnp.asarray(-3.0)}}}
G, F = (lambda x: 0.5 * x + 0.25), (lambda x: -0.75 * x + 0.125)
KEY = jax.random.key(0)


@pytest.mark.parametrize("identity", [0.0, 0.5])
def test_cycle_gan_is_the_equations(identity):
  """Zhu et al. 2017: equation 3 with the losses of section 4, and the identity loss; the last row is masked."""
  rows = batch()
  a, b = (rows[name][:4].astype(np.float64) for name in "ab")
  game_of = compiled(family_lib.cycle_gan(Affine(), Steep(), cycle=7.0, identity=identity), *FUNCTIONS)
  fake, _ = game_of.generate(MAKES, rows, KEY)
  (critic, (scores, _)), (generator, _) = (
    of(JUDGES, rows, fake, KEY) for of in (game_of.critic_loss, game_of.generator_loss)
  )
  judge_b, judge_a = (lambda x: patches(x, 2.0)), (lambda x: patches(x, -3.0))
  discriminating = [
    ((judge(real) - 1) ** 2).mean() + (judge(made) ** 2).mean()
    for judge, real, made in ((judge_b, b, G(a)), (judge_a, a, F(b)))
  ]
  assert float(critic.value()) == pytest.approx(sum(discriminating) / 2, rel=1e-5)  # halved: section 4
  fooling = ((judge_b(G(a)) - 1) ** 2).mean() + ((judge_a(F(b)) - 1) ** 2).mean()
  cycle = np.abs(F(G(a)) - a).mean() + np.abs(G(F(b)) - b).mean()
  same = np.abs(G(b) - b).mean() + np.abs(F(a) - a).mean()
  assert float(generator.value()) == pytest.approx(fooling + 7 * (cycle + identity * same), rel=1e-5)
  taken = ((judge_b(b) > 0.5).mean() + (judge_a(a) > 0.5).mean()) / 2
  assert float(scores["real_accuracy"].value()) == pytest.approx(taken, abs=1e-6)


def test_pix2pix_is_the_equations():
  """Isola et al. 2017: equation 1, D's halved and G's by log D; equation 3; equation 4."""
  rows = batch(1)
  a, b = (rows[name][:4].astype(np.float64) for name in "ab")
  game_of = compiled(family_lib.pix2pix(Affine(), Steep(), reconstruction=30.0), *FUNCTIONS)
  fake, _ = game_of.generate(MAKES, rows, KEY)
  critic, _ = game_of.critic_loss(JUDGES, rows, fake, KEY)
  generator, _ = game_of.generator_loss(JUDGES, rows, fake, KEY)
  log_probability = lambda x: -np.log1p(np.exp(-patches(np.concatenate([a, x], -1), 2.0)))
  log_improbability = lambda x: -np.log1p(np.exp(patches(np.concatenate([a, x], -1), 2.0)))
  assert float(critic.value()) == pytest.approx(
    -(log_probability(b).mean() + log_improbability(G(a)).mean()) / 2, rel=1e-5
  )
  expected = -log_probability(G(a)).mean() + 30 * np.abs(G(a) - b).mean()
  assert float(generator.value()) == pytest.approx(expected, rel=1e-5)


def test_what_is_measured_is_in_pixels_and_counts_the_rows_that_there_are():
  rows = {**batch(2), "has_a": np.asarray([1, 1, 0, 1, 1], np.float32), "has_b": np.ones(5, np.float32)}
  game_of = compiled(family_lib.cycle_gan(Affine(), Steep(), known=True), *FUNCTIONS)
  values = {name: float(mean.value()) for name, mean in game_of.evaluate(MAKES, JUDGES, rows).items()}
  assert values.keys() == game_of.definitions.keys()
  error = lambda x, y, index: np.abs((x[index] + 1) / 2 - (y[index] + 1) / 2).mean()
  a, b, both, of_b = rows["a"], rows["b"], [0, 1, 3], [0, 1, 2, 3]
  expected = {
    "cycle_error": error(F(G(a)), a, both),
    "cycle_error_back": error(G(F(b)), b, of_b),
    "target_error": error(G(a), b, both),
    "target_error_unchanged": error(a, b, both),
    "target_error_back": error(F(b), a, both),
  }
  assert values == pytest.approx(expected, rel=1e-5)


def test_the_identity_has_no_cycle_and_no_identity_loss():
  rows, same = batch(3), {"params": {TO_B: affine(1.0, 0.0), TO_A: affine(1.0, 0.0)}}
  game_of = compiled(family_lib.cycle_gan(Affine(), Steep(), identity=1.0), *FUNCTIONS)
  fake, _ = game_of.generate(same, rows, KEY)
  _, (terms, _) = game_of.generator_loss(JUDGES, rows, fake, KEY)
  assert float(terms["cycle"].value()) == float(terms["identity"].value()) == 0
  assert float(terms["adversarial"].value()) > 0
  assert float(game_of.evaluate(same, JUDGES, rows)["cycle_error"].value()) == 0


def differs(x, y):
  return bool((x != y).any())


def learner(family, critic_rate, generator_rate):
  return game.game_learner(
    init=family.init,
    generate=family.generate,
    critic_loss=family.critic_loss,
    generator_loss=family.generator_loss,
    evaluate=family.evaluate,
    generator_optimizer=optax.sgd(generator_rate),
    critic_optimizer=optax.sgd(critic_rate),
  )


@pytest.mark.parametrize(
  "family",
  [
    family_lib.cycle_gan(Affine(), Steep(), cycle=0.0, identity=0.0),
    family_lib.pix2pix(Affine(), Steep(), reconstruction=0.0),
  ],
  ids=["cyclegan", "pix2pix"],
)
def test_each_player_s_step_lowers_its_own_loss_and_moves_nothing_else(family):
  rows = {**batch(4), "b": batch(4)["b"] + 1}
  for rates, player, other in (((0.05, 0.0), "critic", "generator"), ((0.0, 0.05), "generator", "critic")):
    of_player = learner(family, *rates)
    start = jax.jit(of_player.init)(KEY, rows)
    step = jax.jit(of_player.update)
    first, before = step(start, rows)
    _, after = step(first, rows)
    assert float(after[f"{player}_loss"].value()) < float(before[f"{player}_loss"].value())
    pairs = {name: (getattr(start, name).params, getattr(first, name).params) for name in (player, other)}
    moved = {name: jax.tree.leaves(jax.tree.map(differs, *pair)) for name, pair in pairs.items()}
    assert all(moved[player])  # both of its networks
    assert not any(moved[other])


@pytest.mark.parametrize("network", [networks.ResNetGenerator((4, 8), 1, 3), networks.UNetGenerator((4, 8), 3)])
def test_generators_make_images_of_the_size_each_by_itself(network):
  x = np.random.default_rng(0).uniform(-1, 1, (3, 12, 16, 3)).astype(np.float32)
  variables = jax.jit(network.init)(KEY, x)
  apply = jax.jit(network.apply)
  y = np.asarray(apply(variables, x))
  assert y.shape == x.shape
  assert np.abs(y).max() <= 1
  np.testing.assert_allclose(apply(variables, x[1:2]), y[1:2], atol=1e-5)
  with pytest.raises(UserError, match=r"config\.domains\.size = '10x12'"):
    jax.eval_shape(networks.UNetGenerator((4, 8), 3).init, KEY, np.zeros((1, 10, 12, 3), np.float32))


def test_a_residual_generator_begins_near_the_identity():
  x = np.sign(np.random.default_rng(0).normal(size=(4, 8, 8, 1))).astype(np.float32)
  network = networks.ResNetGenerator((8, 16), 2, 1)
  y = jax.jit(lambda x: network.apply(network.init(KEY, x), x))(x)
  assert np.abs(np.asarray(y) - x).mean() < 0.2


def test_a_patch_s_logit_sees_that_patch_alone():
  """Without normalisation between, a critic of one halving sees 4 + 2 * 3 pixels; a far corner changes nothing."""
  x = np.random.default_rng(0).normal(size=(1, 24, 24, 1)).astype(np.float32)
  critic = networks.PatchCritic((4,))
  variables = jax.jit(critic.init)(KEY, x)
  other = x.copy()
  other[:, 12:, 12:] += 1
  logits = [np.asarray(jax.jit(critic.apply)(variables, image))[0] for image in (x, other)]
  assert logits[0].shape == (12, 12)
  sees = 2 * np.arange(12) + 6 >= 12  # the last pixel, of 2 r - 3 to 2 r + 6
  np.testing.assert_array_equal(logits[0] != logits[1], np.outer(sees, sees))


def test_instance_normalisation_is_each_channel_s_by_itself():
  x = np.random.default_rng(0).normal(3, 2, (2, 5, 7, 3)).astype(np.float32)
  norm = networks.Norm()
  y = jax.jit(lambda x: norm.apply(norm.init(KEY, x), x))(x)
  wide = x.astype(np.float64)
  expected = (wide - wide.mean((1, 2), keepdims=True)) / wide.std((1, 2), keepdims=True)
  np.testing.assert_allclose(y, expected, atol=1e-4)


def test_another_loss_is_refused():
  for family in (family_lib.cycle_gan, family_lib.pix2pix):
    with pytest.raises(UserError, match="least_squares, non_saturating"):
      family(Affine(), Steep(), loss="hinge")
