"""Generative adversarial networks: a generator G against a discriminator D, by losses on D's logits.

Goodfellow et al. 2014; least squares: Mao et al. 2017; hinge: Lim & Ye 2017, Miyato et al. 2018; Wasserstein with
gradient penalty: Gulrajani et al. 2017; R1: Mescheder et al. 2018; projection of classes: Miyato & Koyama 2018.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research import randomness
from research.errors import UserError
from research.metrics import Mean

DEFINITIONS = {
  "real_logit": "mean logit that the discriminator gives real examples",
  "real_accuracy": "share of real examples that the discriminator takes for real",
}
Logits = Float[Array, " batch"]


class Loss(NamedTuple):
  """The two players' losses, elementwise on logits.

  Attributes:
    real, fake: the discriminator's, of real and of made examples.
    generator: the generator's, of made ones.
    threshold: the logit above which the discriminator says real.
  """

  real: Callable[[Logits], Logits]
  fake: Callable[[Logits], Logits]
  generator: Callable[[Logits], Logits]
  threshold: float


LOSSES = {
  # Goodfellow et al. 2014, equation 1 for D; section 3 for G: maximise log D(G(z)).  At the optimum D = p / (p + q).
  "non_saturating": Loss(lambda s: jax.nn.softplus(-s), jax.nn.softplus, lambda s: jax.nn.softplus(-s), 0.0),
  # Mao et al. 2017, equation 9: targets 1 for real, 0 for made, and 1 for what the generator wants.
  "least_squares": Loss(lambda s: (s - 1) ** 2 / 2, lambda s: s**2 / 2, lambda s: (s - 1) ** 2 / 2, 0.5),
  # Miyato et al. 2018, equations 16 and 17.
  "hinge": Loss(lambda s: jax.nn.relu(1 - s), lambda s: jax.nn.relu(1 + s), lambda s: -s, 0.0),
  # Arjovsky et al. 2017, equation 2; with a gradient penalty, which keeps D 1-Lipschitz.
  "wasserstein": Loss(lambda s: -s, lambda s: s, lambda s: -s, 0.0),
}


class GAN(NamedTuple):
  """The functions of a GAN, as `training.game.game_learner` takes them; and `sample`.

  A batch has `inputs`, `mask` and, where classes condition, `label`.
  """

  init: Callable
  generate: Callable
  critic_loss: Callable
  generator_loss: Callable
  evaluate: Callable
  sample: Callable


def gan(
  generator: nn.Module,
  discriminator: nn.Module,
  *,
  latent_size: int,
  loss: str = "non_saturating",
  gradient_penalty: float = 0.0,
  r1: float = 0.0,
  augment: Callable | None = None,
) -> GAN:
  """A GAN of any two networks, `generator(z, label, train)` and `discriminator(x, label, train) -> logits [batch]`.

  The discriminator sees real and made examples in two passes, so that batch normalisation, where it has some, takes the
  statistics of each apart (Radford et al. 2016).

  Args:
    generator, discriminator: Flax modules; the label is theirs to use or to leave.
    latent_size: components of z, standard normal.
    loss: one of `LOSSES`.
    gradient_penalty: λ of `gradient_penalty_of` (10 in the paper), 0 for none.
    r1: γ of `r1_of`, 0 for none.
    augment: `augment(keys, x) -> x`, differentiable, of whatever the discriminator is shown, for both players (Zhao et
      al. 2020, equations 4 and 5).

  Raises:
    UserError: no such loss; a penalty on a discriminator with batch normalisation.
  """
  if loss not in LOSSES:
    raise UserError("config.model.loss", loss, f"choose one of {', '.join(LOSSES)}.")

  def init(key, batch):
    z = jnp.zeros((1, latent_size), batch["inputs"].dtype)
    label = batch["label"][:1] if "label" in batch else None
    generator_variables = generator.init(randomness.stream_key(key, "generator"), z, label, train=False)
    judged = discriminator.init(randomness.stream_key(key, "critic"), batch["inputs"][:1], label, train=False)
    if (gradient_penalty or r1) and "batch_stats" in judged:
      remedy = "a gradient penalty is of single examples, which batch normalisation mixes: use spectral or none."
      raise UserError("config.model.critic_norm", "batch", remedy)
    return generator_variables, judged

  def sample(variables, z, label=None):
    return generator.apply(variables, z, label, train=False)

  def generate(variables, batch, key):
    z = latents(randomness.stream_key(key, "latent"), len(batch["inputs"]), latent_size, batch["inputs"].dtype)
    return generator.apply(variables, z, batch.get("label"), train=True, mutable=_changing(variables))

  return GAN(init, generate, *_judgement(discriminator, LOSSES[loss], gradient_penalty, r1, augment), sample)


def _judgement(discriminator: nn.Module, losses: Loss, gradient_penalty: float, r1: float, augment):
  """`critic_loss`, `generator_loss` and `evaluate`."""
  judge = functools.partial(_judge, discriminator)

  def shown(x, key, stream):
    if augment is None:
      return x
    return augment(randomness.example_keys(randomness.stream_key(key, stream), len(x)), x)

  def critic_loss(variables, batch, fake, key):
    label, mask = batch.get("label"), batch["mask"]
    real, fake = shown(batch["inputs"], key, "augment_real"), shown(fake, key, "augment_fake")
    on_real, variables = judge(variables, real, label)
    on_fake, variables = judge(variables, fake, label)
    values = losses.real(on_real) + losses.fake(on_fake)
    metrics = _scores(losses, on_real, on_fake, mask)
    one = lambda x: judge(variables, x, label)[0]
    if gradient_penalty:
      penalty = gradient_penalty_of(one, real, fake, randomness.stream_key(key, "interpolate"))
      values, metrics["gradient_penalty"] = values + gradient_penalty * penalty, Mean.of(penalty, mask)
    if r1:
      penalty = r1_of(one, real)
      values, metrics["r1"] = values + r1 / 2 * penalty, Mean.of(penalty, mask)
    return Mean.of(values, mask), (metrics, {name: variables[name] for name in _changing(variables)})

  def generator_loss(variables, batch, fake, key):
    logits, variables = judge(variables, shown(fake, key, "augment_generator"), batch.get("label"))
    changed = {name: variables[name] for name in _changing(variables)}
    return Mean.of(losses.generator(logits), batch["mask"]), ({}, changed)

  def evaluate(generator_variables, judged, batch):
    del generator_variables
    logits = jnp.asarray(discriminator.apply(judged, batch["inputs"], batch.get("label"), train=False))
    right = (logits > losses.threshold).astype(jnp.float32)
    return {"real_logit": Mean.of(logits, batch["mask"]), "real_accuracy": Mean.of(right, batch["mask"])}

  return critic_loss, generator_loss, evaluate


def _judge(discriminator: nn.Module, variables, x, label):
  """Logits [batch], and the variables as the pass leaves them."""
  logits, mutated = discriminator.apply(variables, x, label, train=True, mutable=_changing(variables))
  return logits, {**variables, **mutated}


def _scores(losses: Loss, on_real: Logits, on_fake: Logits, mask) -> dict[str, Mean]:
  """What to watch: a discriminator that is never wrong has left the generator nothing to learn from."""
  return {
    "real_logit": Mean.of(on_real, mask),
    "fake_logit": Mean.of(on_fake, mask),
    "real_accuracy": Mean.of((on_real > losses.threshold).astype(jnp.float32), mask),
    "fake_accuracy": Mean.of((on_fake <= losses.threshold).astype(jnp.float32), mask),
  }


def _changing(variables) -> list[str]:
  return [name for name in variables if name != "params"]


def latents(key, count: int, size: int, dtype=jnp.float32) -> Float[Array, "count size"]:
  """Standard normal z, keyed by the example's position in the global batch."""
  return jax.vmap(lambda k: jax.random.normal(k, (size,), dtype))(randomness.example_keys(key, count))


def gradients_of(judge: Callable, x: Float[Array, "batch ..."]) -> Float[Array, "batch ..."]:
  """∇_x D(x) of every example."""
  return jax.grad(lambda x: judge(x).sum())(x)


def gradient_penalty_of(
  judge: Callable, real: Float[Array, "batch ..."], fake: Float[Array, "batch ..."], key
) -> Logits:
  """(‖∇D(x̂)‖₂ - 1)² at x̂ = ε x + (1 - ε) x̃ with ε uniform, of every example (Gulrajani et al. 2017, equation 3)."""
  keys = randomness.example_keys(key, len(real))
  epsilon = jax.vmap(lambda k: jax.random.uniform(k, (1,) * (real.ndim - 1), real.dtype))(keys)
  squared = _squared_norm(gradients_of(judge, epsilon * real + (1 - epsilon) * fake))
  # The square root has no derivative at 0, where a ReLU network may well be flat.
  return (jnp.sqrt(squared + jnp.finfo(squared.dtype).tiny ** 0.5) - 1) ** 2


def r1_of(judge: Callable, real: Float[Array, "batch ..."]) -> Logits:
  """‖∇D(x)‖₂² at real examples (Mescheder et al. 2018, equation 9; the loss has γ/2 of it)."""
  return _squared_norm(gradients_of(judge, real))


def _squared_norm(x: Float[Array, "batch ..."]) -> Logits:
  return jnp.square(x).reshape(len(x), -1).sum(-1)
