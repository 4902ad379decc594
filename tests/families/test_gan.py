"""Losses of GANs at their known optima, penalties against finite differences, what is drawn and what is refused."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from research import randomness
from research.errors import UserError
from research.families import gan
from research.networks import dcgan
from tests.compiled import compiled

P, Q = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.1, 0.2, 0.3, 0.4])


def best_logits(loss):
  """The logits that minimise the discriminator's loss over two discrete densities, on a fine grid."""
  grid = np.linspace(-4, 4, 80_001)
  values = P[:, None] * np.asarray(loss.real(grid)) + Q[:, None] * np.asarray(loss.fake(grid))
  return grid[values.argmin(1)], values.min(1).sum()


def test_optimal_discriminator_of_the_original_game():
  """D* = p / (p + q), and the value there is log 4 less twice the Jensen-Shannon divergence (2014, theorem 1)."""
  logits, value = best_logits(gan.LOSSES["non_saturating"])
  np.testing.assert_allclose(1 / (1 + np.exp(-logits)), P / (P + Q), atol=1e-4)
  middle = (P + Q) / 2
  jensen_shannon = (P * np.log(P / middle) + Q * np.log(Q / middle)).sum() / 2
  assert value == pytest.approx(np.log(4) - 2 * jensen_shannon, abs=1e-6)


def test_optimal_discriminator_of_least_squares():
  """With targets 1 and 0 it is p / (p + q) itself (Mao et al. 2017, equation 5)."""
  logits, value = best_logits(gan.LOSSES["least_squares"])
  np.testing.assert_allclose(logits, P / (P + Q), atol=1e-4)
  assert value == pytest.approx((P * Q / (P + Q)).sum() / 2, abs=1e-6)


def test_optimal_discriminator_of_the_hinge():
  """The sign of p - q, and twice the overlap of the densities as value: one less their total variation."""
  logits, value = best_logits(gan.LOSSES["hinge"])
  np.testing.assert_allclose(logits, np.sign(P - Q), atol=1e-4)
  assert value == pytest.approx(2 * np.minimum(P, Q).sum(), abs=1e-6)


def test_wasserstein_loss_is_the_difference_of_means():
  loss = gan.LOSSES["wasserstein"]
  assert float((P * loss.real(np.arange(4.0)) + Q * loss.fake(np.arange(4.0))).sum()) == pytest.approx(
    float((Q - P) @ np.arange(4.0))
  )


@pytest.mark.parametrize("name", gan.LOSSES)
def test_generators_gain_where_the_discriminator_says_real(name):
  slope = jax.vmap(jax.grad(lambda s: gan.LOSSES[name].generator(s[None])[0]))(jnp.linspace(-3, 0.4, 9))
  assert (slope < 0).all()


def family(**options):
  generator = dcgan.MLPGenerator((3,), (8,), "linear")
  return gan.gan(generator, dcgan.MLPDiscriminator((8, 8)), latent_size=4, **options)


class Curved(nn.Module):
  """A smooth discriminator with weights large enough for its curvature to count."""

  @nn.compact
  def __call__(self, x, label, train):
    hidden = nn.tanh(nn.Dense(6, kernel_init=nn.initializers.normal(1.0))(x))
    return nn.Dense(1, kernel_init=nn.initializers.normal(1.0))(hidden)[:, 0]


def finite_differences(f, x, step=1e-5):
  at = lambda shift: f((x.ravel() + shift).reshape(x.shape))
  return np.array([(at(step * e) - at(-step * e)) / (2 * step) for e in np.eye(x.size)]).reshape(x.shape)


@pytest.fixture
def double():
  jax.config.update("jax_enable_x64", True)
  yield
  jax.config.update("jax_enable_x64", False)


def penalised(kind, variables, real, fake, key):
  judge = lambda x: Curved().apply(variables, x, None, True)
  if kind == "r1":
    return gan.r1_of(judge, real)
  return gan.gradient_penalty_of(judge, real, fake, key)


@pytest.mark.parametrize("kind", ["gradient_penalty", "r1"])
def test_penalties_and_their_gradients_are_those_of_finite_differences(kind, double):
  """The penalty by differences of D, and its gradient to D's weights by differences of the penalty."""
  rng, key = np.random.default_rng(0), jax.random.key(1)
  real, fake = rng.normal(size=(2, 3, 4))
  variables = jax.tree.map(lambda x: x.astype(float), Curved().init(key, real, None, True))
  found = jax.jit(lambda v: penalised(kind, v, real, fake, key))(variables)
  for i in range(3):
    one = lambda x: float(Curved().apply(variables, x[None], None, True)[0])
    share = jax.random.uniform(randomness.example_keys(key, 3)[i], (1,), real.dtype)
    at = real[i] if kind == "r1" else share * real[i] + (1 - share) * fake[i]
    slope = np.linalg.norm(finite_differences(one, np.asarray(at)))
    assert found[i] == pytest.approx(slope**2 if kind == "r1" else (slope - 1) ** 2, rel=1e-5)
  kernel = np.asarray(variables["params"]["Dense_0"]["kernel"])
  with_kernel = lambda k: {
    "params": {**variables["params"], "Dense_0": {**variables["params"]["Dense_0"], "kernel": k}}
  }
  total = jax.jit(lambda k: penalised(kind, with_kernel(k), real, fake, key).sum())
  np.testing.assert_allclose(jax.jit(jax.grad(total))(kernel), finite_differences(total, kernel), rtol=1e-4, atol=1e-7)


def test_gradient_penalty_of_a_flat_discriminator_is_finite():
  flat = lambda w: gan.gradient_penalty_of(
    lambda x: w * x.sum(-1), jnp.ones((2, 3)), jnp.zeros((2, 3)), jax.random.key(0)
  )
  assert np.isfinite(jax.grad(lambda w: flat(w).sum())(0.0))
  np.testing.assert_allclose(flat(0.0), 1, rtol=1e-6)


def test_the_loss_has_the_penalties_with_their_weights():
  """What λ and γ add to the loss is λ and γ/2 times what the metrics say."""
  batch = {"inputs": np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32), "mask": np.ones(6, np.float32)}
  key = jax.random.key(0)
  plain, with_both = (
    compiled(one, "init", "generate", "critic_loss") for one in (family(), family(gradient_penalty=10.0, r1=3.0))
  )
  made, judged = plain.init(key, batch)
  fake, _ = plain.generate(made, batch, key)
  without, _ = plain.critic_loss(judged, batch, fake, key)
  penalised, (metrics, _) = with_both.critic_loss(judged, batch, fake, key)
  expected = without.value() + 10 * metrics["gradient_penalty"].value() + 1.5 * metrics["r1"].value()
  assert float(penalised.value()) == pytest.approx(float(expected), rel=1e-5)
  assert float(metrics["r1"].value()) > 0


def test_masked_examples_count_for_nothing():
  rng = np.random.default_rng(0)
  batch = {"inputs": rng.normal(size=(6, 3)).astype(np.float32), "mask": np.array([1, 1, 1, 1, 0, 0], np.float32)}
  one, key = compiled(family(r1=1.0), "init", "generate", "critic_loss", "evaluate"), jax.random.key(0)
  made, judged = one.init(key, batch)
  fake, _ = one.generate(made, batch, key)
  spoiled = {**batch, "inputs": np.where(batch["mask"][:, None] > 0, batch["inputs"], np.nan)}
  a, b = one.critic_loss(judged, batch, fake, key)[0], one.critic_loss(judged, spoiled, fake, key)[0]
  assert float(a.value()) == pytest.approx(float(b.value()))
  assert float(a.count) == 4
  scores = [one.evaluate(made, judged, x)["real_logit"] for x in (batch, spoiled)]
  assert float(scores[0].value()) == pytest.approx(float(scores[1].value()))


@pytest.mark.parametrize("norm", ["batch", "spectral"])
def test_batch_norm_takes_the_statistics_of_real_and_made_apart(norm):
  """The logits of real images do not depend on the made ones, nor the reverse."""
  real = jnp.asarray(np.random.default_rng(0).normal(size=(4, 8, 8, 1)), jnp.float32)
  network = dcgan.Discriminator((4, 8), norm)
  one = gan.gan(dcgan.Generator((8, 8, 1), (8, 4)), network, latent_size=4)
  batch, key = {"inputs": real, "mask": jnp.ones(4)}, jax.random.key(0)
  made, judged = jax.jit(one.init)(key, batch)
  fake, _ = jax.jit(one.generate)(made, batch, key)
  critic_loss = jax.jit(one.critic_loss)
  scores = [critic_loss(judged, batch, x, key)[1][0]["real_logit"].value() for x in (fake, 3 * fake + 1)]
  assert float(scores[0]) == float(scores[1])
  _, (_, mutated) = critic_loss(judged, batch, fake, key)
  changed = [(a != b).any() for a, b in zip(*(jax.tree.leaves({n: v[n] for n in mutated}) for v in (judged, mutated)))]
  assert any(bool(c) for c in changed), "statistics are updated"


def test_what_cannot_be_is_refused():
  with pytest.raises(UserError, match="non_saturating"):
    family(loss="minimax")
  images = {"inputs": jnp.zeros((2, 8, 8, 1)), "mask": jnp.ones(2)}
  mixed = gan.gan(dcgan.Generator((8, 8, 1), (8, 4)), dcgan.Discriminator((4, 8)), latent_size=4, r1=1.0)
  with pytest.raises(UserError, match="batch normalisation mixes"):
    jax.eval_shape(mixed.init, jax.random.key(0), images)
