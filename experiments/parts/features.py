"""The classifier by whose features and labels samples are measured: this project's own small network.

It is loaded from a run of `experiments.cnn`, or trained once by that experiment and kept in the user's cache folder, so
that measuring needs nothing else.
"""

import contextlib
import hashlib
import logging
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from flax import traverse_util
from jaxtyping import Float, Int

from experiments import cnn
from experiments.command import cli, session
from experiments.parts import classification, splits
from research.data import cache
from research.data.examples import Examples
from research.errors import UserError
from research.evaluation import generative as measures_lib
from research.training import loop, parallel, precision, rundir, steps

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
    measure: `configs.common.measure()`.
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
    key = {"config": _essence(config), "data": _digest(config)}
    arrays = cache.cached("classifier", key, lambda: _trained(config))
  train = splits.in_memory(config.data).train
  network = cnn.network(config.model, train.num_classes, precision.dtype(config.train.precision))
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
    placed, found = jax.device_put(variables), []
    for start in range(0, len(images), _BATCH):
      batch = images[start : start + _BATCH]
      padded = np.pad(batch, ((0, _BATCH - len(batch)), (0, 0), (0, 0), (0, 0)))  # one compiled program
      found.append([np.asarray(x)[: len(batch)] for x in of_batch(placed, padded)])
    features, labels = (np.concatenate(parts) for parts in zip(*found))
    return Measured(features, labels.astype(np.int64))

  return Classifier(of_all, float(arrays["accuracy"]), train.num_classes)


DEFINITIONS = {
  "classes_covered": "classes that the classifier of `measure` finds among the samples",
  "class_divergence": "KL in nats of the samples' class histogram, by that classifier, from the training set's",
  "classifier_feature_distance": "Fréchet distance between Gaussians fitted to that classifier's features of the "
  "samples and of the training set; not FID, whose features are Inception's",
  "classifier_feature_distance_floor": "the same distance of the test set from the training set",
  "precision": "share of samples within the manifold of training examples, k = 3 (Kynkäänniemi et al. 2019)",
  "recall": "share of training examples within the manifold of samples, k = 3",
  "classifier_accuracy": "share of test examples that the classifier of `measure` gets right",
}


def measures(
  classifier: Classifier, samples: np.ndarray, train: Examples, test: Examples, pairs: int = 10_000
) -> dict[str, float]:
  """What `DEFINITIONS` says, of uint8 samples [sample, height, width, channel].

  As many samples go into the distance as there are test examples, because it depends on their number; and up to `pairs`
  of each kind into precision and recall.
  """
  ours, theirs, held_out = (classifier.measure(images) for images in (samples, train.inputs, test.inputs))
  real, several = measures_lib.moments(theirs.features), min(pairs, len(samples), len(train))
  quality = measures_lib.precision_recall(theirs.features[:several], ours.features[:several])
  classes = classifier.num_classes
  return {
    "classes_covered": measures_lib.covered(ours.labels, classes),
    "class_divergence": measures_lib.histogram_divergence(
      ours.labels, classes, measures_lib.histogram(theirs.labels, classes)
    ),
    "classifier_feature_distance": measures_lib.frechet_distance(
      measures_lib.moments(ours.features[: len(test)]), real
    ),
    "classifier_feature_distance_floor": measures_lib.frechet_distance(measures_lib.moments(held_out.features), real),
    "precision": quality.precision,
    "recall": quality.recall,
    "classifier_accuracy": classifier.accuracy,
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


def _trained(config: ml_collections.ConfigDict) -> dict[str, np.ndarray]:
  logging.warning("Training the classifier that measures samples (%s), once.", config.train.duration)
  with tempfile.TemporaryDirectory() as folder, contextlib.closing(rundir.RunDirectory(folder)) as directory:
    experiment = cnn.experiment(config)
    settings = session.settings_of(config, experiment.train_data)
    executor = loop.executor(experiment, settings, parallel.plan("jit", 1))
    return _arrays(executor, loop.train(executor, settings, directory).state)


def _loaded(folder: pathlib.Path) -> tuple[ml_collections.ConfigDict, dict[str, np.ndarray]]:
  if not (folder / "config.json").is_file() or not (folder / "checkpoints").is_dir():
    remedy = "name the folder of a finished run of experiments.cnn, or leave it empty."
    raise UserError("config.measure.classifier", str(folder), remedy)
  with contextlib.closing(rundir.RunDirectory(folder)) as directory:
    config = ml_collections.ConfigDict(directory.read_json("config.json"))
    try:
      experiment = cnn.experiment(config)
    except AttributeError as error:  # what ml_collections raises of a field that is not there
      remedy = f"another revision wrote its config.json, which has no {error}: train it anew."
      raise UserError("config.measure.classifier", str(folder), remedy) from error
    settings = session.settings_of(config, experiment.train_data)
    executor = loop.executor(experiment, settings, parallel.plan("jit", 1))
    state = session.restore(executor, settings, directory)
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


def _digest(config: ml_collections.ConfigDict) -> str:
  """Of the training set, wherever it lies."""
  train = splits.in_memory(config.data).train
  return hashlib.sha256(train.inputs.tobytes() + train.label.tobytes()).hexdigest()
