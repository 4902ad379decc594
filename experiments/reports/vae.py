"""What a trained VAE is used for: likelihood, reconstruction, samples, interpolation, maps, imputation, anomalies."""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from matplotlib.figure import Figure

from experiments.parts import generative, oddities
from experiments.reports import anomaly
from research import randomness
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.evaluation import figures, latents
from research.families import vae
from research.training import steps
from research.training.experiment import Report

COLUMNS, LIMIT, MANIFOLD_SIDE = 8, 32, 16
DEFINITIONS = {
  "test_nll": "negative log-likelihood: log of the mean of config.report.importance_samples importance weights of "
  "latents from the posterior (Burda et al. 2016, section 5.1), mean over the whole test set; nats an image",
  "test_bits_per_dim": "test_nll / (pixels x channels x log 2); bits",
  "test_active_units": "latents whose posterior mean has a variance above 0.01 over the test set (Burda et al. 2016)",
  "test_imputation_error": "mean squared error (pixels 0 to 1) of the lower half of config.report.samples test images, "
  "imputed from the upper half by Gibbs sampling (Rezende et al. 2014, appendix F)",
  "test_imputation_error_of_mean": "the same where the mean of those test images is imputed",
}


def report(state, family: vae.VAE, config: ml_collections.ConfigDict, test: Dataset, examples: Examples) -> Report:
  """Test log-likelihood, and a figure for each use.

  Args:
    state: of `steps.gradient_learner`.
    family: the model.
    config: of the experiment.
    test: an evaluation set with `index`, its batches small enough for `config.report.chunk` samples an image.
    examples: the same set: its labels and class names.
  """
  variables, options = steps.variables_of(state), config.report

  def measure(variables, batch):
    logs = vae.log_likelihood(family, variables, batch, options.importance_samples, options.chunk)
    return logs, posterior_means(family, variables, batch)

  logs, means = generative.over(test, measure, variables)
  examples_shown = spread(test, options.samples)
  names = examples.class_names
  conditional = len(names) if config.model.conditional else 0
  errors, imputation = imputed(family, variables, examples_shown, options.sweeps)
  pictures = {
    "reconstructions": reconstructions(family, variables, examples_shown),
    "samples": samples_figure(samples(family, variables, options.samples, conditional), conditional, names),
    "interpolation": interpolation(family, variables, examples_shown),
    "latent_map": latent_map(means, examples),
    "imputation": imputation,
  }
  if means.shape[1] == 2 and not conditional:
    pictures["manifold"] = manifold(family, variables)
  nll = -logs.astype(np.float64).mean()
  metrics = {
    "test_nll": nll,
    "test_bits_per_dim": nll / (np.prod(examples.inputs.shape[1:]) * np.log(2)),
    "test_active_units": latents.active_units(means),
    **errors,
  }
  if not options.oddities:
    return Report(metrics, pictures, DEFINITIONS)
  images = examples.inputs[np.linspace(0, len(examples) - 1, min(options.oddities, len(examples))).round().astype(int)]
  odd = oddities.report(lambda images: log_likelihoods(family, variables, config, images), images)
  return Report({**metrics, **odd.metrics}, {**pictures, **odd.figures}, {**DEFINITIONS, **odd.definitions})


def log_likelihoods(family: vae.VAE, variables, config: ml_collections.ConfigDict, images: np.ndarray) -> np.ndarray:
  """Importance-sampled log-likelihoods of images of bytes, nats."""
  options = config.report
  arrays = {"inputs": images, "label": np.zeros(len(images), np.int32)}
  dataset = pipeline.sequential(arrays, options.batch_size, assemble=pipeline.normalised())
  one = lambda variables, batch: vae.log_likelihood(family, variables, batch, options.importance_samples, options.chunk)
  return generative.over(generative.identified(dataset), one, variables)


def posterior_means(family: vae.VAE, variables, batch) -> jax.Array:
  """Means of the posterior of every level, in one vector [batch, latent]."""
  count = len(batch["inputs"])
  zeros = [jnp.zeros((count, *shape)) for shape in family.latent_shapes]
  _, levels = family.infer(variables, batch["inputs"], batch["label"], zeros)
  return jnp.concatenate([mean.reshape(count, -1) for _, (mean, _), _ in levels], -1)


def codes(family: vae.VAE, variables, batch) -> list[jax.Array]:
  """Each level's posterior mean, in units of its prior: `family.generate` makes the reconstruction of them."""
  zeros = [jnp.zeros((len(batch["inputs"]), *shape)) for shape in family.latent_shapes]

  @jax.jit
  def standardised(variables, inputs, label):
    _, levels = family.infer(variables, inputs, label, zeros)
    return [(latent - mean) * jnp.exp(-log_std) for latent, _, (mean, log_std) in levels]

  return standardised(variables, batch["inputs"], batch["label"])


def encoded(family: vae.VAE, variables, batch) -> dict[str, jax.Array]:
  """Latents and reconstruction of each example."""
  pixels = family.likelihood.mean(family.generate(variables, codes(family, variables, batch), batch["label"]))
  return {"latents": posterior_means(family, variables, batch), "reconstruction": pixels}


def spread(dataset: Dataset, count: int) -> dict[str, np.ndarray]:
  """Examples from all over an evaluation set, as one batch: the first ones are of one class where a set is sorted."""
  everything = generative.over(dataset, lambda _, batch: batch, None)
  total = len(everything["inputs"])
  places = np.linspace(0, total - 1, min(count, total)).round().astype(int)
  return jax.tree.map(lambda x: np.asarray(x)[places], everything)


def decoded(family: vae.VAE, variables, noise, label) -> np.ndarray:
  """Expected images of latents, [batch, height, width, channel] in [0, 1]."""
  images = jax.jit(lambda *args: jnp.clip(family.likelihood.mean(family.generate(*args)), 0, 1))
  return np.asarray(images(variables, noise, label))


def samples(family: vae.VAE, variables, count: int, classes: int = 0, seed: int = 0) -> np.ndarray:
  """Expected images of latents from the prior; of a conditional model, of its classes in turn."""
  keys = randomness.example_keys(jax.random.key(seed), count)
  label = jnp.arange(count) % max(classes, 1)
  return decoded(family, variables, vae.standard_noise(family.latent_shapes, keys), label)


def samples_figure(images: np.ndarray, classes: int, names) -> Figure:
  """A grid; of a conditional model a column a class."""
  if not classes:
    return figures.image_grid(images, columns=max(1, int(np.sqrt(len(images)))), title="samples from the prior")
  captions = [names[i % classes] if i < classes else "" for i in range(len(images))]
  return figures.image_grid(images, captions, columns=min(classes, len(images)), title="samples, a column a class")


def reconstructions(family: vae.VAE, variables, batch) -> Figure:
  """Images above what the decoder makes of their posterior means."""
  decoded_images = decoded(family, variables, codes(family, variables, batch), batch["label"])
  return pairs(batch["inputs"], decoded_images)


def pairs(images: np.ndarray, reconstructed: np.ndarray) -> Figure:
  """Images above their reconstructions."""
  return _rows([images, reconstructed], "test images, and below each its reconstruction")


def _rows(kinds: list[np.ndarray], title: str, columns: int = COLUMNS) -> Figure:
  """Rows of images of each kind in turn, so that what belongs together stands in a column."""
  count = min(len(kinds[0]), LIMIT)
  count = count // columns * columns or count
  columns = min(columns, count)
  blocks = [kind[start : start + columns] for start in range(0, count, columns) for kind in kinds]
  return figures.image_grid(np.concatenate(blocks), columns=columns, title=title)


def interpolation(family: vae.VAE, variables, batch, width: int = 9) -> Figure:
  """Each row from one test image to another, along a straight line between their codes."""
  pairs = max(1, min(8, len(batch["inputs"]) // 2))
  weight = np.linspace(0, 1, width, dtype=np.float32)

  def between(code):
    left, right = np.asarray(code)[: 2 * pairs].reshape(2, pairs, 1, *code.shape[1:])
    along = weight.reshape(width, *(1,) * (code.ndim - 1))
    return ((1 - along) * left + along * right).reshape(-1, *code.shape[1:])

  noise = [between(code) for code in codes(family, variables, batch)]
  labels = np.asarray(batch["label"])[: 2 * pairs].reshape(2, pairs, 1)
  label = np.where(weight < 0.5, *labels).reshape(-1)
  images = decoded(family, variables, noise, label)
  return figures.image_grid(images, columns=width, title="from one test image to another")


def latent_map(means: np.ndarray, examples: Examples) -> Figure:
  """Posterior means in the plane, coloured by class: as they are if there are two latents, else by PCA."""
  if means.shape[1] == 2:
    return latents.scatter(means, examples.label, examples.class_names, ("$z_1$", "$z_2$"), "posterior means")
  points, shares = latents.principal_components(means)
  axes = [f"principal component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares)]
  title = f"posterior means, {means.shape[1]} latents"
  return latents.scatter(points, examples.label, examples.class_names, (axes[0], axes[1]), title)


def manifold(family: vae.VAE, variables) -> Figure:
  """What the decoder makes of a plane of latents, spread as the prior is (Kingma & Welling 2014, figure 4)."""
  grid = np.asarray(latents.quantile_grid(MANIFOLD_SIDE), np.float32)
  images = decoded(family, variables, [grid], np.zeros(len(grid), np.int32))
  return figures.image_grid(images, columns=MANIFOLD_SIDE, title="the plane of latents")


def imputed(family: vae.VAE, variables, batch, sweeps: int) -> tuple[dict[str, float], Figure]:
  """The lower half of images from their upper half: the error, and the figure."""
  inputs = batch["inputs"]
  observed = np.ones_like(inputs)
  observed[:, inputs.shape[1] // 2 :] = 0
  fill = jax.jit(lambda x, seen: vae.impute(family, variables, x, seen, batch["label"], jax.random.key(0), sweeps))
  filled = np.asarray(fill(inputs, observed))
  truth, missing = inputs, observed == 0
  squared = lambda guess: float(np.square(guess - truth)[missing].mean())
  errors = {"test_imputation_error": squared(filled), "test_imputation_error_of_mean": squared(truth.mean(0))}
  hidden = np.where(missing, 0.5, truth)
  return errors, _rows(
    [truth, hidden, np.clip(filled, 0, 1)], "test images, what is seen of them, and the rest imputed"
  )


def anomalies(state, family: vae.VAE, left_out: tuple[int, ...], test: Dataset, examples: Examples) -> Report:
  """How well the bound tells a class that a model has never seen from those that it has learnt."""
  members = jax.vmap(steps.variables_of)(state.members)

  def score(members, batch):
    bound = lambda variables: family.terms(variables, batch, randomness.evaluation_keys(batch["index"]), 10).elbo()
    return -jax.vmap(bound)(members).T, batch["label"]

  scores, labels = generative.over(test, score, members)
  return anomaly.report(scores, labels, left_out, examples.class_names, "-ELBO")


def predictions(
  state, family: vae.VAE, config: ml_collections.ConfigDict, path: str, test: Examples, assemble: pipeline.Assemble
) -> dict:
  """Latents, bound on the log-likelihood and reconstruction of the images at `path`; without a path, samples."""
  variables, options = steps.variables_of(state), config.report
  if not path:
    classes = test.num_classes if config.model.conditional else 0
    arrays = {"samples": samples(family, variables, options.samples, classes, config.seed)}
    return {**arrays, "label": np.arange(options.samples) % classes} if classes else arrays
  dataset, names = generative.inputs_at(path, test, options.batch_size, assemble)

  def one(variables, batch):
    bound = vae.log_likelihood(family, variables, batch, options.importance_samples, options.chunk)
    return {**encoded(family, variables, batch), "log_likelihood_bound": bound}

  return {**generative.over(generative.identified(dataset), one, variables), "input": names}
