"""The classifier by whose features and labels samples are measured: this project's own small network.

It is loaded from a run of `experiments.cnn`, or trained once by that experiment and kept in the user's cache folder, so
that measuring needs nothing else.
"""

import hashlib
import logging
import pathlib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import traverse_util
from jaxtyping import Float, Int

from experiments.command import cli
from experiments.parts import classification, convolutional, generative, pretrained, splits
from research.data import cache
from research.data.examples import Examples
from research.evaluation import generative as measures_lib
from research.training import precision, steps
from research.training.executor import Executor

_BATCH = 500


class Measured(NamedTuple):
  """What the classifier makes of images: the inputs of its last layer, and the most probable class."""

  features: Float[np.ndarray, "example feature"]
  labels: Int[np.ndarray, " example"]


class Classifier(NamedTuple):
  """What measures.

  Attributes:
    measure: `measure(images) -> Measured` of uint8 images [example, height, width, channel].
    accuracy: its share of right answers on the test set.
    num_classes: how many it tells apart.
  """

  measure: Callable[[np.ndarray], Measured]
  accuracy: float
  num_classes: int


def classifier(measure: ml_collections.ConfigDict, data: ml_collections.ConfigDict) -> Classifier:
  """The classifier that a config's `measure` asks for.

  Args:
    measure: `configs._generative.measure()`.
    data: the config's `data`: what is generated, and what a new classifier learns.

  Raises:
    UserError: `measure.classifier` is no folder of a run of `experiments.cnn`.
  """
  if measure.classifier:
    config, arrays = _loaded(pathlib.Path(measure.classifier))
  else:
    config = cli.load_config(measure.config)
    with config.unlocked():
      config.train.duration = measure.duration
      config.data.update({name: data[name] for name in config.data if name in data and name != "validation"})
      config.data.validation = 0.0
    key = {"config": _essence(config), "data": _digest(splits.in_memory(config.data).train)}
    arrays = cache.cached("classifier", key, lambda: _trained(config))
  return _of(config, arrays, splits.in_memory(config.data).train)


def trained_on(measure: ml_collections.ConfigDict, parts: splits.Splits[Examples]) -> Classifier:
  """A classifier that learns and is measured on these, once, and is kept.

  Args:
    measure: its `config` is that of the classifier, of `configs/cnn`, and `duration` that of its training.
    parts: images in memory, with labels.
  """
  config = cli.load_config(measure.config)
  with config.unlocked():
    config.train.duration = measure.duration
    config.data.validation = 0.0
  key = {"config": _essence(config), "data": _digest(parts.train)}
  arrays = cache.cached("classifier", key, lambda: _trained(config, parts._replace(validation=None)))
  return _of(config, arrays, parts.train)


def _of(config: ml_collections.ConfigDict, arrays: Mapping[str, np.ndarray], train: Examples) -> Classifier:
  """The classifier of a config of `configs/cnn`, of its variables by path and its accuracy."""
  network = convolutional.network(config.model, train.num_classes, precision.dtype(config.train.precision))
  constants = classification.normalisation(config.data.normalise, train)
  mean, std = (0.0, 1.0) if constants.mean is None else constants
  variables = traverse_util.unflatten_dict(
    {name: value for name, value in arrays.items() if name != "accuracy"}, sep="/"
  )

  @jax.jit
  def of_batch(variables, images):
    features, logits = penultimate(network, variables, (images.astype(jnp.float32) / 255 - mean) / std)
    return features, logits.argmax(-1)

  def of_all(images):
    placed = jax.device_put(variables)
    features, labels = generative.batched(lambda rows: of_batch(placed, rows), _BATCH, images)
    return Measured(features, labels.astype(np.int64))

  return Classifier(of_all, float(arrays["accuracy"]), train.num_classes)


DEFINITIONS = {
  "classes_covered": "classes that the classifier of `measure` finds among the samples",
  "class_divergence": "KL in nats of the samples' class histogram, by that classifier, from the training set's",
  "classifier_feature_distance": "Fréchet distance between Gaussians fitted to that classifier's features of the "
  "whole training set and of samples, as many as there are test examples; not FID, whose features are Inception's",
  "classifier_feature_distance_floor": "the same distance of as many test examples from the whole training set",
  "distance_over_floor": "classifier_feature_distance over its floor",
  "precision": "share of samples within the manifold of training examples, k = 3 (Kynkäänniemi et al. 2019); up to "
  "10,000 of each, drawn by the seed",
  "recall": "share of training examples within the manifold of samples, k = 3; of the same",
  "classifier_accuracy": "share of test examples that the classifier of `measure` gets right",
}


CLASS_AGREEMENT = {
  "class_agreement": "share of samples whose class, to the classifier of `measure`, is the label they were drawn for"
}


class Reference(NamedTuple):
  """What samples are held against.

  Attributes:
    train, test: what the classifier makes of the whole sets.
    moments: of the training set's features.
    classifier: that classifier.
    seed: by which parts of sets are drawn.
  """

  train: Measured
  test: Measured
  moments: measures_lib.Moments
  classifier: Classifier
  seed: int

  def distance(self, features: Float[np.ndarray, "example feature"], count: int) -> float:
    """`classifier_feature_distance` of `count` of these examples: it falls with their number, so compare equal ones."""
    several = features[measures_lib.subset(len(features), count, self.seed)]
    return measures_lib.frechet_distance(measures_lib.moments(several), self.moments)


def reference(classifier: Classifier, train: Examples, test: Examples, seed: int) -> Reference:
  """Training and test set as the classifier sees them."""
  of_train, of_test = classifier.measure(train.inputs), classifier.measure(test.inputs)
  return Reference(of_train, of_test, measures_lib.moments(of_train.features), classifier, seed)


def measures(against: Reference, samples: Measured, pairs: int = 10_000) -> dict[str, float]:
  """What `DEFINITIONS` says of samples, as the classifier sees them; precision and recall of up to `pairs` of each."""
  classes, count = against.classifier.num_classes, min(len(samples.features), len(against.test.features))
  several = min(pairs, len(samples.features), len(against.train.features))
  some = lambda features: features[measures_lib.subset(len(features), several, against.seed)]
  quality = measures_lib.precision_recall(some(against.train.features), some(samples.features))
  expected = measures_lib.histogram(against.train.labels, classes)
  distance, floor = (against.distance(measured.features, count) for measured in (samples, against.test))
  return {
    "classes_covered": measures_lib.covered(samples.labels, classes),
    "class_divergence": measures_lib.histogram_divergence(samples.labels, classes, expected),
    "classifier_feature_distance": distance,
    "classifier_feature_distance_floor": floor,
    "distance_over_floor": distance / floor,
    "precision": quality.precision,
    "recall": quality.recall,
    "classifier_accuracy": against.classifier.accuracy,
  }


def penultimate(network: nn.Module, variables: Any, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
  """The input [batch, feature] of a network's last dense layer, and its output: features and logits."""
  entered = []

  def note(call, args, kwargs, context):
    if isinstance(context.module, nn.Dense) and context.method_name == "__call__":
      entered.append(args[0])
    return call(*args, **kwargs)

  with nn.intercept_methods(note):
    logits = jnp.asarray(network.apply(variables, inputs, train=False))
  return entered[-1], logits


def trained(config: ml_collections.ConfigDict, parts: splits.Splits[Examples] | None = None) -> tuple[Executor, Any]:
  """A classifier of `experiments.cnn`, trained in a folder that is then thrown away: its executor and state."""
  return pretrained.trained(lambda config: convolutional.classifier(config, parts), config)


def _trained(config: ml_collections.ConfigDict, parts: splits.Splits[Examples] | None = None) -> dict[str, np.ndarray]:
  logging.warning("Training the classifier that measures samples (%s), once.", config.train.duration)
  return _arrays(*trained(config, parts))


def _loaded(folder: pathlib.Path) -> tuple[ml_collections.ConfigDict, dict[str, np.ndarray]]:
  field = "config.measure.classifier"
  config, executor, state = pretrained.loaded(convolutional.classifier, folder, field, "experiments.cnn")
  return config, _arrays(executor, state)


def _arrays(executor, state) -> dict[str, np.ndarray]:
  """The variables by path, and the test accuracy."""
  accuracy = executor.evaluate(state, executor.experiment.test_data)["accuracy"]
  variables = traverse_util.flatten_dict(steps.variables_of(jax.device_get(state)), sep="/")
  return {**{name: np.asarray(value) for name, value in variables.items()}, "accuracy": np.asarray(accuracy)}


def _essence(config: ml_collections.ConfigDict) -> dict[str, Any]:
  """What of a config changes the trained network."""
  whole = config.to_dict()
  data = {name: value for name, value in whole["data"].items() if name not in ("data_dir", "path")}
  return {**{name: whole[name] for name in ("seed", "model", "augment", "optimizer", "train")}, "data": data}


def _digest(train: Examples) -> str:
  """Of a training set, wherever it lies."""
  return hashlib.sha256(train.inputs.tobytes() + train.label.tobytes()).hexdigest()
