"""What a trained GAN is judged by: samples, their measures, and the figures that show what went wrong."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import features, generative
from experiments.parts.splits import Splits
from research import randomness
from research.data import stacked as stacked_lib
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.data.mixtures import Mixture
from research.errors import UserError
from research.evaluation import figures
from research.evaluation import generative as measures
from research.families import gan as family_lib
from research.training import game
from research.training.experiment import Report

_BATCH = 500


class Data(NamedTuple):
  """What a GAN learns.

  Attributes:
    sets: batches in the range of the generator's output.
    shape: of an example.
    labels: of training examples; where classes condition, those of samples are drawn from them.
    num_classes: of the labels.
    signed: images are in [-1, 1], else [0, 1].
    images: as they were read; None for points.
    scale: of points, what they were divided by.
    mixture: where they are from; None for images.
  """

  sets: Splits[Dataset]
  shape: tuple[int, ...]
  labels: np.ndarray
  num_classes: int
  signed: bool = True
  images: Splits[Examples] | None = None
  scale: float = 1.0
  mixture: Mixture | None = None


class Sampler:
  """Samples of a state's generator, the moving average where there is one; the same ones at every call."""

  def __init__(
    self, family: family_lib.GAN, state: game.GameState, data: Data, config: ml_collections.ConfigDict
  ) -> None:
    self.data, self.conditional, self._size = data, config.model.conditional, config.model.latent_size
    self._key, self._variables = randomness.stream_key(state.key, "samples"), game.generator_of(state)
    self._sample, self._seed = jax.jit(family.sample), config.seed

  def latents(self, count: int) -> np.ndarray:
    """Standard normal [count, latent]."""
    return np.asarray(jax.random.normal(self._key, (count, self._size)))

  def labels(self, count: int) -> np.ndarray:
    """Drawn from the training set's, so that classes come as often as they do there; the same ones at every call."""
    return measures.labels_like(self.data.labels, count, self._seed)

  def __call__(self, z: np.ndarray, label: np.ndarray | None = None) -> np.ndarray:
    """Examples made of z: uint8 images, or points at their true scale."""
    given = (self.labels(len(z)) if label is None else label,) if self.conditional else ()
    draw = lambda z, label=None: self._sample(self._variables, z, label).astype(jnp.float32)
    examples = generative.batched(draw, _BATCH, z, *given)
    if self.data.mixture is not None:
      return examples * self.data.scale
    unit = (examples + 1) / 2 if self.data.signed else examples
    return np.round(255 * np.clip(unit, 0, 1)).astype(np.uint8)

  def samples(self, count: int) -> np.ndarray:
    """So many."""
    return self(self.latents(count))


def predictions(sampler: Sampler, path: str, config: ml_collections.ConfigDict) -> Mapping[str, np.ndarray]:
  """`measure.samples` samples, with their labels where the model is conditioned on them."""
  if path:
    raise UserError("--input", path, "a GAN samples and takes no input: leave it out.")
  count = config.measure.samples
  samples = {"samples": sampler.samples(count)}
  return {**samples, "label": sampler.labels(count)} if sampler.conditional else samples


def points(sampler: Sampler, config: ml_collections.ConfigDict) -> Report:
  """Modes covered, share of good samples, and both clouds."""
  mixture = sampler.data.mixture
  assert mixture is not None
  samples = sampler.samples(config.measure.samples)
  true, _ = mixture.draw(len(samples), seed=3)
  coverage, best = (measures.mixture_coverage(x, mixture.centres, mixture.std) for x in (samples, true))
  values = {
    "modes_covered": coverage.modes,
    "share_within_3sd": coverage.share,
    "share_within_3sd_data": best.share,
    # A KL of nothing has no number: all the mass is then on no mode, as far from uniform as one mode is.
    "mode_divergence": np.nan_to_num(coverage.divergence, nan=np.log(len(mixture.centres))),
  }
  definitions = {
    "modes_covered": f"modes of {len(mixture.centres)} with a sample within three standard deviations",
    "share_within_3sd": "share of samples within three standard deviations of a mode",
    "share_within_3sd_data": "the same share of points drawn from the mixture itself",
    "mode_divergence": "KL in nats, from uniform, of the histogram of modes of the samples within three deviations",
  }
  limit = 1.2 * float(np.abs(mixture.centres).max())
  clouds = figures.point_clouds(np.stack([true, samples])[:, :5000], limit, ("data", "samples"))
  return Report(values, {"samples": clouds}, definitions)


def images(sampler: Sampler, config: ml_collections.ConfigDict) -> Report:
  """Measures by the classifier's features, and the figures."""
  assert sampler.data.images is not None
  train, _, test = sampler.data.images
  samples, count = sampler.samples(config.measure.samples), config.report.samples
  pictures = {
    "samples": figures.image_grid(samples[:count]),
    "interpolation": interpolation(sampler, max(2, count // 8)),
  }
  if not train.labelled:  # nothing that a classifier could learn, whose features would measure
    return Report({}, {**pictures, "nearest": nearest(samples[:10], train.inputs)}, {})
  classifier = features.classifier(config.measure, config.data)
  if config.data.stacked:
    values, definitions = stacked_measures(classifier, samples)
    return Report(values, pictures, definitions)
  pictures["nearest"] = nearest(samples[:10], train.inputs)
  measured, definitions = classifier.measure(samples), dict(features.DEFINITIONS)
  values = features.measures(features.reference(classifier, train, test, config.seed), measured)
  if sampler.conditional:
    values["class_agreement"] = float((measured.labels == sampler.labels(len(samples))).mean())
    definitions |= features.CLASS_AGREEMENT
    pictures["classes"] = by_class(sampler)
  return Report(values, pictures, definitions)


def stacked_measures(classifier: features.Classifier, samples: np.ndarray) -> tuple[dict[str, float], dict[str, str]]:
  """Modes of 1,000, by the classifier's reading of each channel."""
  classes = classifier.num_classes
  digits = [classifier.measure(samples[..., channel : channel + 1]).labels for channel in range(stacked_lib.CHANNELS)]
  labels = np.asarray(digits).T @ (classes ** np.arange(stacked_lib.CHANNELS)[::-1])
  modes = classes**stacked_lib.CHANNELS
  values = {
    "modes_covered": measures.covered(labels, modes),
    "mode_divergence": measures.histogram_divergence(labels, modes),
    "classifier_accuracy": classifier.accuracy,
  }
  count = len(samples)
  definitions = {
    "modes_covered": f"triples of digits of {modes} that the classifier finds among {count} samples",
    "mode_divergence": f"KL in nats, from uniform, of the histogram of triples of {count} samples; "
    f"about {(modes - 1) / (2 * count):.3f} of perfect ones",
    "classifier_accuracy": features.DEFINITIONS["classifier_accuracy"],
  }
  return values, definitions


def nearest(samples: np.ndarray, train: np.ndarray):
  """Samples above, and below each the training image nearest to it by the Euclidean distance of pixels."""
  index, _ = measures.nearest_neighbours(samples.astype(np.float32), train.astype(np.float32))
  return figures.image_grid(
    np.concatenate([samples, train[index]]), columns=len(samples), title="samples; below, their nearest training images"
  )


def interpolation(sampler: Sampler, rows: int, columns: int = 8):
  """Along great circles between pairs of z, which keep the length that a normal vector has (White 2016)."""
  start, stop = jnp.split(sampler.latents(2 * rows), 2)
  unit = lambda x: x / jnp.linalg.norm(x, axis=-1, keepdims=True)
  angle = jnp.arccos(jnp.clip((unit(start) * unit(stop)).sum(-1), -1, 1))[:, None, None]
  t = jnp.linspace(0, 1, columns)[:, None]
  z = (jnp.sin((1 - t) * angle) * start[:, None] + jnp.sin(t * angle) * stop[:, None]) / jnp.sin(angle)
  label = np.repeat(sampler.labels(rows), columns)
  between = sampler(np.asarray(z).reshape(rows * columns, -1), label)
  return figures.image_grid(between, columns=columns, title="from one z to another")


def by_class(sampler: Sampler, rows: int = 8):
  """Each column one class, each row one z."""
  classes = min(sampler.data.num_classes, 10)
  z = np.repeat(sampler.latents(rows), classes, axis=0)
  samples = sampler(z, np.tile(np.arange(classes, dtype=np.int32), rows))
  return figures.image_grid(samples, columns=classes, title="columns: class; rows: z")
