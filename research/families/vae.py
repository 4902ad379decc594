"""Variational autoencoders: p(x) = the integral of p(x | z) p(z), bounded from below by a learned posterior q(z | x).

Kingma & Welling 2014 (ELBO); Higgins et al. 2017 (beta); Bowman et al. 2016, Sønderby et al. 2016 (warm-up, ladder);
Sohn et al. 2015 (labels); Burda, Grosse & Salakhutdinov 2016 (IWAE); Rezende, Mohamed & Wierstra 2014 (imputation).

A network has the methods `encode`, `infer` and `generate`, and `latent_shapes`, as `research/networks/autoencoder.py`
says.  A batch has `inputs` in [0, 1], `label`, `mask`, in training `step`, in evaluation `index`.  All is in nats.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from research import randomness
from research.errors import UserError
from research.metrics import Mean

Pixels = Float[Array, "batch height width channel"]
Parameters = Float[Array, "batch height width channel parameter"]
PerExample = Float[Array, " batch"]
Normal = tuple[Array, Array]

OBJECTIVES = ("elbo", "iwae")
DEFINITIONS = {
  "loss": "negative evidence lower bound (Kingma & Welling 2014, equation 3), mean over images of one sample of the "
  "latents, KL analytic; nats an image",
  "reconstruction": "negative expected log-likelihood of the image given its latents; nats an image",
  "kl": "KL divergence of the posterior from the prior, summed over the levels of latents; nats an image",
  "iwae": "negative importance-weighted bound (Burda et al. 2016, equation 8) of config.train.eval_samples samples; "
  "nats an image",
}


class Likelihood(NamedTuple):
  """p(x | z), every pixel independent of the others.

  Attributes:
    parameters: numbers a pixel that the decoder puts out.
    log_prob: `log_prob(parameters, x) -> [batch]`, nats.
    mean: `mean(parameters) -> x`: the expected image.
    sample: `sample(key, parameters) -> x`, one image.
    dequantise: whether `log_prob` is of an x that was made continuous (`dequantised`; Theis et al. 2016, section 3.1);
      `mean` and `sample` are of bytes / 255 all the same.
  """

  parameters: int
  log_prob: Callable[[Parameters, Pixels], PerExample]
  mean: Callable[[Parameters], Pixels]
  sample: Callable[[Key[Array, ""], Array], Array]
  dequantise: bool = False


def bernoulli() -> Likelihood:
  """Pixels are 0 or 1; the decoder puts out logits.  Pixels between count as probabilities (a cross-entropy)."""

  def log_prob(parameters, x):
    logits = parameters[..., 0]
    return _sum(x * logits - jax.nn.softplus(logits))

  mean = lambda parameters: jax.nn.sigmoid(parameters[..., 0])
  sample = lambda key, parameters: jax.random.bernoulli(key, mean(parameters)).astype(parameters.dtype)
  return Likelihood(1, log_prob, mean, sample)


def gaussian(std: float | None = None, *, dequantise: bool = False) -> Likelihood:
  """Normal pixels; the decoder puts out means and, unless `std` fixes it, log standard deviations.

  Args:
    std: of every pixel, in units of x; None learns it for every pixel.
    dequantise: x are bytes / 255 and not continuous numbers: the density is of (255 x + u) / 256, u uniform, and the
      log-likelihood that of the byte, a lower bound.
  """
  if std is not None and std <= 0:
    raise UserError("config.model.std", std, "give a positive number, or 0 in a config to learn it.")

  def split(parameters):
    mean = parameters[..., 0]
    return mean, jnp.full_like(mean, np.log(std)) if std is not None else jnp.clip(parameters[..., 1], -5.0, 5.0)

  def log_prob(parameters, x):
    return _sum(normal_log_prob(x, split(parameters)))

  def sample(key, parameters):
    mean, log_std = split(parameters)
    return mean + jnp.exp(log_std) * jax.random.normal(key, mean.shape, mean.dtype)

  to_bytes = lambda x: jnp.clip(jnp.floor(256 * x), 0, 255) / 255
  return Likelihood(
    2 if std is None else 1,
    log_prob,
    (lambda parameters: undo_middles(parameters[..., 0])) if dequantise else lambda parameters: parameters[..., 0],
    (lambda key, parameters: to_bytes(sample(key, parameters))) if dequantise else sample,
    dequantise,
  )


def discretised_logistic(levels: int = 256) -> Likelihood:
  """Bytes, as bins of a logistic distribution (Kingma et al. 2016, section 6; Salimans et al. 2017, equation 2).

  The decoder puts out mean and log scale, in units in which bytes are x = byte / 255 in [0, 1]; the first and the last
  bin are open, so that the probabilities of the levels add up to 1.

  Args:
    levels: that pixels have, even from 0 to 1: 256 are all bytes; each is taken for the nearest.

  Raises:
    UserError: fewer than 2 levels, or more than bytes have.
  """
  if not 2 <= levels <= 256:
    raise UserError("config.model.levels", levels, "give 2 to 256.")
  last_level = levels - 1
  half = 0.5 / last_level

  def split(parameters):
    return 0.5 + parameters[..., 0], jnp.clip(parameters[..., 1] - 2.0, -8.0, 8.0)

  def log_prob(parameters, x):
    x = jnp.round(x * last_level) / last_level
    mean, log_scale = split(parameters)
    above, below = (x + half - mean) * jnp.exp(-log_scale), (x - half - mean) * jnp.exp(-log_scale)
    # sigmoid(a) - sigmoid(b) = (1 - exp(b - a)) sigmoid(a) sigmoid(-b), which does not cancel.
    inside = jnp.log(-jnp.expm1(below - above)) + jax.nn.log_sigmoid(above) + jax.nn.log_sigmoid(-below)
    first, last = jax.nn.log_sigmoid(above), jax.nn.log_sigmoid(-below)
    return _sum(jnp.where(x < half, first, jnp.where(x > 1 - half, last, inside)))

  def sample(key, parameters):
    mean, log_scale = split(parameters)
    value = mean + jnp.exp(log_scale) * jax.random.logistic(key, mean.shape, mean.dtype)
    return jnp.clip(jnp.round(last_level * value), 0, last_level) / last_level

  return Likelihood(2, log_prob, lambda parameters: jnp.clip(split(parameters)[0], 0, 1), sample)


def normal_log_prob(x: Array, normal: Normal) -> Array:
  """Elementwise log density of x under (mean, log standard deviation)."""
  mean, log_std = normal
  return -0.5 * jnp.square((x - mean) * jnp.exp(-log_std)) - log_std - 0.5 * np.log(2 * np.pi)


def normal_kl(one: Normal, other: Normal) -> Array:
  """Elementwise KL(one || other); with a standard normal `other`, Kingma & Welling 2014, appendix B."""
  (mean, log_std), (other_mean, other_log_std) = one, other
  log_ratio = log_std - other_log_std
  squared = jnp.square((mean - other_mean) * jnp.exp(-other_log_std))
  return 0.5 * (jnp.exp(2 * log_ratio) + squared - 1) - log_ratio


def _sum(x: Float[Array, "batch ..."]) -> PerExample:
  return x.reshape(x.shape[0], -1).sum(-1)


class Terms(NamedTuple):
  """What the bounds are made of, for each example and sample of its latents [batch, sample], in nats.

  Attributes:
    log_likelihood: log p(x | z).
    kl: KL(q || p), analytic given the levels above, summed over levels.
    log_ratio: log p(z) - log q(z | x).
  """

  log_likelihood: Float[Array, "batch sample"]
  kl: Float[Array, "batch sample"]
  log_ratio: Float[Array, "batch sample"]

  def elbo(self, beta: Any = 1.0) -> PerExample:
    """Evidence lower bound; with `beta`, Higgins et al. 2017, equation 4."""
    return (self.log_likelihood - beta * self.kl).mean(-1)

  def iwae(self, beta: Any = 1.0) -> PerExample:
    """Importance-weighted bound (Burda et al. 2016, equation 8), never below the ELBO in expectation."""
    weights = self.log_likelihood + beta * self.log_ratio
    return jax.nn.logsumexp(weights, axis=-1) - jnp.log(weights.shape[-1])


class VAE(NamedTuple):
  """The functions of a VAE; `variables` are Flax collections, keys are one for each example.

  Attributes:
    init, loss, evaluate: as `steps.gradient_learner` takes them.
    terms: `terms(variables, batch, keys, samples) -> Terms`.
    infer: `infer(variables, inputs, label, noise) -> (parameters, levels)`; `noise` [batch, ...], an array a level,
      standard normal; zeros give the posterior's mean.  Where training dequantises, of the middle of every byte's bin.
    generate: `generate(variables, noise, label) -> parameters`.
    latent_shapes: of the levels, top first.
    likelihood: p(x | z).
  """

  init: Callable
  loss: Callable
  evaluate: Callable
  terms: Callable
  infer: Callable
  generate: Callable
  latent_shapes: tuple[tuple[int, ...], ...]
  likelihood: Likelihood


def vae(
  network: Any,
  likelihood: Likelihood,
  *,
  objective: str = "elbo",
  samples: int = 1,
  beta: float = 1.0,
  warmup: int = 0,
  eval_samples: int = 1,
  augment: Callable | None = None,
) -> VAE:
  """A VAE over any network of `research/networks/autoencoder.py`.

  Args:
    network: a Flax module, see above.
    likelihood: p(x | z).
    objective: what training maximises, 'elbo' or 'iwae'.
    samples: of the latents, for each image and step of training.
    beta: weight of the KL in training.
    warmup: steps over which that weight rises from 0, linearly.
    eval_samples: samples of the importance-weighted bound in evaluation.
    augment: `augment(keys, inputs) -> inputs`, in training only; dynamic binarisation is one.

  Raises:
    UserError: an unknown objective, or fewer than one sample.
  """
  _check(objective, samples, eval_samples)
  shapes = network.latent_shapes

  def init(key, batch):
    keys = randomness.example_keys(key, len(batch["inputs"]))
    arguments = (likelihood, batch["inputs"], batch["label"], standard_noise(shapes, keys, 1), False)
    return network.init({"params": key, "dropout": key}, *arguments, method=_terms)

  def terms(variables, batch, keys, samples):
    inputs = dequantised(keys, batch["inputs"]) if likelihood.dequantise else batch["inputs"]
    arguments = (likelihood, inputs, batch["label"], standard_noise(shapes, keys, samples), False)
    return network.apply(variables, *arguments, method=_terms)

  def loss(variables, batch, key):
    keys = randomness.example_keys(randomness.stream_key(key, "latents"), len(batch["inputs"]))
    inputs = batch["inputs"]
    if augment is not None:
      inputs = augment(randomness.example_keys(randomness.stream_key(key, "augment"), len(inputs)), inputs)
    inputs = dequantised(keys, inputs) if likelihood.dequantise else inputs
    arguments = (likelihood, inputs, batch["label"], standard_noise(shapes, keys, samples), True)
    collections = [name for name in variables if name != "params"]
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    bound_terms, mutated = network.apply(variables, *arguments, rngs=rngs, mutable=collections, method=_terms)
    weight = beta * jnp.minimum(1.0, (batch["step"][0] + 1) / warmup) if warmup else beta
    bound = bound_terms.iwae(weight) if objective == "iwae" else bound_terms.elbo(weight)
    metrics = {"reconstruction": Mean.of(-bound_terms.log_likelihood.mean(-1), batch["mask"])}
    metrics |= {"kl": Mean.of(bound_terms.kl.mean(-1), batch["mask"]), "beta": Mean.constant(weight)}
    return Mean.of(-bound, batch["mask"]), (metrics, mutated)

  def evaluate(variables, batch):
    bound_terms = terms(variables, batch, randomness.evaluation_keys(batch["index"]), eval_samples)
    first = Terms(*(x[:, :1] for x in bound_terms))
    values = {"loss": -first.elbo(), "reconstruction": -first.log_likelihood[:, 0], "kl": first.kl[:, 0]}
    return {name: Mean.of(value, batch["mask"]) for name, value in {**values, "iwae": -bound_terms.iwae()}.items()}

  def infer(variables, inputs, label, noise):
    inputs = middles(inputs) if likelihood.dequantise else inputs
    both = lambda module: module.infer(module.encode(inputs, label, False), noise, label, False)
    return network.apply(variables, method=both)

  def generate(variables, noise, label):
    return network.apply(variables, noise, label, False, method="generate")

  return VAE(init, loss, evaluate, terms, infer, generate, shapes, likelihood)


def _check(objective: str, samples: int, eval_samples: int) -> None:
  if objective not in OBJECTIVES:
    raise UserError("config.train.objective", objective, f"choose one of {', '.join(OBJECTIVES)}.")
  for field, value in {"samples": samples, "eval_samples": eval_samples}.items():
    if value < 1:
      raise UserError(f"config.train.{field}", value, "draw at least one sample.")


def _terms(module, likelihood, inputs, label, noise, train) -> Terms:
  """The terms of as many samples as there is noise for; those of an example stand together in the network's batch."""
  count = noise[0].shape[1]
  repeat = lambda x: jnp.repeat(x, count, axis=0)
  joined = [x.reshape(-1, *x.shape[2:]) for x in noise]
  evidence = module.encode(inputs, label, train)
  outputs, levels = module.infer(jax.tree.map(repeat, evidence), joined, repeat(label), train)
  log_likelihood = likelihood.log_prob(outputs, repeat(inputs))
  if likelihood.dequantise:  # from the density of an image to the probability of its bytes
    log_likelihood -= np.log(256) * np.prod(inputs.shape[1:])
  log_ratio, kl = jnp.zeros_like(log_likelihood), jnp.zeros_like(log_likelihood)
  for latent, posterior, prior in levels:
    log_ratio += _sum(normal_log_prob(latent, prior) - normal_log_prob(latent, posterior))
    kl += _sum(normal_kl(posterior, prior))
  return Terms(*(x.reshape(-1, count) for x in (log_likelihood, kl, log_ratio)))


def standard_noise(
  shapes: Sequence[tuple[int, ...]], keys: Key[Array, " batch"], count: int | None = None
) -> list[Float[Array, "batch ..."]]:
  """Standard normal numbers [batch, *shape] for every shape, or [batch, count, *shape]; a key an example."""
  lead = () if count is None else (count,)
  draw = lambda i, shape: jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, i), (*lead, *shape)))(keys)
  return [draw(i, shape) for i, shape in enumerate(shapes)]


def binarised(keys: Key[Array, " batch"], inputs: Pixels) -> Pixels:
  """Pixels drawn from Bernoulli distributions of their grey values (Salakhutdinov & Murray 2008), a key an example."""
  return jax.vmap(lambda key, x: jax.random.bernoulli(key, x).astype(x.dtype))(keys, inputs)


def dequantised(keys: Key[Array, " batch"], inputs: Pixels) -> Pixels:
  """Bytes / 255 made continuous: (255 x + u) / 256 in [0, 1), u uniform, one key an example."""
  draw = lambda key, x: (255 * x + jax.random.uniform(randomness.stream_key(key, "dequantise"), x.shape)) / 256
  return jax.vmap(draw)(keys, inputs)


def middles(inputs: Pixels) -> Pixels:
  """Bytes / 255 as the mean of what `dequantised` makes of them."""
  return (255 * inputs + 0.5) / 256


def undo_middles(x: Pixels) -> Pixels:
  """The inverse of `middles`."""
  return (256 * x - 0.5) / 255


def log_likelihood(family: VAE, variables, batch, samples: int, chunk: int) -> PerExample:
  """log of the mean of `samples` importance weights: log p(x), from below, and in the limit (Burda et al. 2016).

  Args:
    family, variables, batch: an evaluation batch, with `index`.
    samples: importance samples an image, drawn from the posterior.
    chunk: of them at once, which bounds the memory.

  Raises:
    UserError: chunks do not fill the samples.
  """
  if samples % chunk:
    raise UserError("config.report.chunk", chunk, f"give a divisor of config.report.importance_samples = {samples}.")
  fold = jax.vmap(jax.random.fold_in, in_axes=(0, None))
  keys = randomness.evaluation_keys(batch["index"])

  def add(total, i):
    return jnp.logaddexp(total, family.terms(variables, batch, fold(keys, i), chunk).iwae()), None

  start = jnp.full(len(batch["inputs"]), -jnp.inf)
  total, _ = jax.lax.scan(add, start, jnp.arange(samples // chunk))
  return total - jnp.log(samples // chunk)


def impute(family: VAE, variables, inputs: Pixels, observed: Pixels, label, key, sweeps: int) -> Pixels:
  """Missing pixels by Gibbs sampling (Rezende et al. 2014, appendix F): z given x, then missing x given z, and again.

  Args:
    family, variables: the model.
    inputs: images; what they hold where `observed` is 0 does not matter.
    observed: 1 where a pixel is known, else 0.
    label: [batch], for a conditional model.
    key: of the chain.
    sweeps: of Gibbs sampling.

  Returns:
    The images, known pixels as they were, missing ones as the decoder expects them, averaged over the second half of
    the sweeps: an estimate of E[missing | known].
  """
  count, burn_in = len(inputs), sweeps // 2

  def sweep(i, carry):
    x, total = carry
    keys = randomness.example_keys(randomness.stream_key(key, "impute", i), count)
    parameters, _ = family.infer(variables, x, label, standard_noise(family.latent_shapes, keys))
    pixel_keys = jax.vmap(lambda key: randomness.stream_key(key, "pixels"))(keys)
    reconstruction = jax.vmap(family.likelihood.sample)(pixel_keys, parameters)
    total += jnp.where(i >= burn_in, family.likelihood.mean(parameters), 0)
    return jnp.where(observed > 0, inputs, reconstruction), total

  chaos = jax.random.bernoulli(randomness.stream_key(key, "start"), 0.5, inputs.shape).astype(inputs.dtype)
  start = jnp.where(observed > 0, inputs, chaos), jnp.zeros_like(inputs)
  _, total = jax.lax.fori_loop(0, sweeps, sweep, start)
  return jnp.where(observed > 0, inputs, total / (sweeps - burn_in))
