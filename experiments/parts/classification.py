"""What the classification experiments share: a network and a config become an Experiment."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.parts import fields, generative, learning, splits
from research.data import augmentation, examples, files, pipeline, remembered, sources
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import classification as measures
from research.evaluation import figures
from research.families import classifier as family_lib
from research.training import precision, steps
from research.training.experiment import Experiment, Program, Report
from research.training.learner import cross_validation, ensemble

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation of its training pixels
_AVERAGED = {
  name: f"{text}; probabilities are means over an image's views (data.test_views)"
  for name, text in family_lib.DEFINITIONS.items()
}


class Normalisation(NamedTuple):
  """What is taken from inputs and what they are divided by, one a channel; None and None leave pixels 0 to 1."""

  mean: np.ndarray | None
  std: np.ndarray | None


def normalisation(normalise: str, train: examples.Examples | examples.Stream) -> Normalisation:
  """What `config.data.normalise` asks for; nothing of the test set reaches it."""
  match normalise:
    case "none":
      return Normalisation(None, None)
    case "imagenet":
      return Normalisation(*map(np.asarray, IMAGENET))
    case "train" if isinstance(train, examples.Examples):
      return Normalisation(*pipeline.statistics(train.inputs))
  remedy = "choose none (pixels 0 to 1), train (the training set's statistics; sets in memory only) or imagenet."
  raise UserError("config.data.normalise", normalise, remedy)


def experiment(
  config: ml_collections.ConfigDict,
  network: Callable[..., nn.Module],
  *,
  views: Callable | None = None,
  prepare: Callable | None = None,
  first_layer: Callable | None = None,
  images: bool = True,
  parts: splits.Splits[examples.Examples] | None = None,
) -> Experiment:
  """A classifier, its optimizer and its data.

  Args:
    config: `configs._classification.classification`.
    network: `network(num_classes=..., dtype=...) -> nn.Module`.
    views: of the test inputs, `views(inputs) -> [inputs, ...]`.
    prepare: `prepare(variables, batch) -> variables`: an initialisation that looks at data.
    first_layer: `first_layer(params, image_shape) -> kernel` for the figure of the filters.
    images: whether the network takes nothing else.
    parts: what is learnt and measured; by default what `config.data` names.
  """
  data, train = parts or splits.load(config.data, tables=not images), config.train
  if isinstance(data.train, examples.Examples):
    fields.refuse_unread(config.data, fields.NEUTRAL.keys() - {"random_area", "centre"}, "a set in memory")
    _check_images(config, data.train, images)
  constants = remembered.value("normalisation", lambda: normalisation(config.data.normalise, data.train))
  compute = precision.dtype(train.precision)
  family = family_lib.classifier(
    network(num_classes=data.train.num_classes, dtype=compute),
    label_smoothing=train.label_smoothing,
    augment=augmentation_of(config.augment, data.train.num_classes, constants),
    views=views,
  )
  folds = config.data.folds
  if folds:
    if data.validation is not None:
      raise UserError("config.data.validation", config.data.validation, "folds hold out what is measured: set it to 0.")
    train_data = _with_folds(config, data.test, constants)
  else:
    train_data = sources.training(
      data.train, train.batch_size, seed=config.seed, **constants._asdict(), scale=_area(config)
    )
  init = None if prepare is None else lambda key, batch: prepare(family.init(key, batch), batch)
  member = learning.gradient_learner(config, family, train_data, init=init)
  predict = predictive(family, train.members, folds)
  evaluate = lambda state, batch: family_lib.score(predict(state, batch), batch)
  learner = member._replace(evaluate=evaluate)
  if folds:
    learner = cross_validation(member, folds)._replace(evaluate=evaluate)
  elif train.members > 1:
    learner = ensemble(member, train.members)._replace(evaluate=evaluate)

  measure = functools.partial(
    sources.evaluation, batch_size=config.data.eval_batch_size, **constants._asdict(), centre=config.data.centre
  )
  test_data = _with_folds(config, data.test, constants, training=False) if folds else measure(data.test)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=measure(data.validation) if data.validation is not None else None,
    test_data=test_data,
    report=lambda state: report(state, predict, test_data, data.test, first_layer),
    predict=lambda state, path: predictions(state, predict, path, test_data, data.test, config),
    definitions=family_lib.DEFINITIONS if views is None else _AVERAGED,
    program=Program.of_batches(predict, test_data, {"class": data.test.class_names}),
    notes=splits.notes(data.train),
  )


def _check_images(config: ml_collections.ConfigDict, train: examples.Examples, needed: bool) -> None:
  """Raises UserError where examples are rows of numbers, and the network or the augmentation takes images alone."""
  if train.inputs.ndim == 4:
    return
  if needed:
    name, value = ("path", config.data.path) if config.data.path else ("name", config.data.name)
    remedy = (
      f"an example of shape {train.inputs.shape[1:]} is no image, [height, width, channel], which this network needs: "
    )
    raise UserError(f"config.data.{name}", value, f"{remedy}python -m experiments.mlp takes rows of numbers.")
  neutral = {"rotation": 0, "translation": 0, "scale": (1, 1), "elastic": 0, "crop": 0, "flip": False, "cutout": 0}
  for field, nothing in neutral.items():
    if config.augment[field] != nothing:
      remedy = f"{train.name} has no images to change so: set it to {nothing}."
      raise UserError(f"config.augment.{field}", config.augment[field], remedy)


def augmentation_of(section: ml_collections.ConfigDict, num_classes: int, constants: Normalisation) -> Callable | None:
  """The augmentations that `config.augment` asks for, in order; None if none."""
  ranges = section.rotation, section.translation, tuple(section.scale)
  affine = ranges != (0.0, 0.0, (1.0, 1.0)) or section.elastic
  black = 0.0 if constants.mean is None else tuple(-constants.mean / constants.std)
  chosen = [
    augmentation.random_affine(*ranges, black, section.elastic) if affine else None,
    augmentation.random_crop(section.crop, None) if section.crop else None,
    augmentation.random_flip() if section.flip else None,
    augmentation.cutout(section.cutout) if section.cutout else None,
    augmentation.mixup(section.mixup, num_classes) if section.mixup else None,
  ]
  chosen = [function for function in chosen if function is not None]
  return augmentation.compose(*chosen) if chosen else None


def _with_folds(config, whole: examples.Examples | examples.Stream, constants: Normalisation, training: bool = True):
  """The whole labelled set, each example with the fold that holds it out."""
  if isinstance(whole, examples.Stream):
    raise UserError("config.data.folds", config.data.folds, "only a set in memory can be cross-validated: set it to 0.")
  arrays = {
    **whole.arrays,
    "fold": (examples.ranks(whole.label, config.seed) % config.data.folds).astype(np.int32),
  }
  assemble = pipeline.normalised(*constants)
  if training:
    return pipeline.shuffled(arrays, config.train.batch_size, seed=config.seed, name=whole.name, assemble=assemble)
  return pipeline.sequential(arrays, config.data.eval_batch_size, name=whole.name, assemble=assemble)


def _area(config):
  """Random parts of streamed training images, as for ImageNet (Szegedy et al. 2015), where the config asks for them."""
  return tuple(config.data.random_area) or None


def predictive(family: family_lib.Classifier, members: int, folds: int) -> Callable:
  """`predict(state, batch) -> log-probabilities [batch, classes]` of a network, an ensemble or a cross-validation.

  Of an ensemble they are of the mean probabilities; of a cross-validation, whose examples have a field `fold`, of the
  member that never saw the example, and of new examples, which have none, of the mean of all.
  """
  of_one = lambda state, inputs: family.log_probabilities(steps.variables_of(state), inputs)
  if not folds and members == 1:
    return lambda state, batch: of_one(state, batch["inputs"])

  def predict(state, batch):
    logs = jax.vmap(of_one, in_axes=(0, None))(state.members, batch["inputs"])
    if "fold" in batch:  # of each example, the member that never saw it
      return jnp.take_along_axis(logs, batch["fold"][None, :, None], axis=0)[0]
    return family_lib.average_log_probabilities(logs)

  return predict


def over(dataset: Dataset, predict: Callable, state) -> tuple[np.ndarray, np.ndarray]:
  """Log-probabilities [example, class] and labels [example] of a whole evaluation set, on one device."""
  return generative.over(dataset, lambda state, batch: (predict(state, batch), batch["label"]), state)


def report(state, predict, dataset, test, first_layer) -> Report:
  """Calibration and the figures that show where a classifier errs."""
  logs, labels = over(dataset, predict, state)
  names = test.class_names
  pictures = {"reliability": figures.reliability_diagram(measures.reliability(logs, labels))}
  if len(names) <= 50:
    pictures["confusion"] = figures.confusion_matrix(measures.confusion_matrix(logs, labels), names)
  is_image = isinstance(test, examples.Examples) and test.inputs.ndim == 4
  if is_image:
    pictures["misclassified"] = figures.misclassified(test.inputs, logs, labels, names)
  if is_image and first_layer is not None:
    params = state.params if hasattr(state, "params") else jax.tree.map(lambda x: x[0], state.members.params)
    pictures["filters"] = first_layer(jax.device_get(params), test.inputs.shape[1:])
  metrics = {
    "test_error": 1 - measures.accuracy(logs, labels),
    "test_ece": measures.expected_calibration_error(logs, labels),
    "test_brier": measures.brier_score(logs, labels),
  }
  definitions = {
    "test_error": "share of test examples whose most probable class is not the label",
    "test_ece": "expected calibration error, 15 equal-width bins of confidence (Guo et al. 2017); test set",
    "test_brier": "mean over test examples of the squared distance between probabilities and the one-hot label",
  }
  if len(names) > 50:
    metrics["test_top5"] = measures.top_k_accuracy(logs, labels, 5)
    definitions["test_top5"] = "share of test examples whose label is among the five most probable classes"
  return Report(metrics, pictures, definitions)


def predictions(
  state, predict: Callable, path: str, test_data: Dataset, test: examples.Examples | examples.Stream, config
) -> dict[str, np.ndarray]:
  """Probabilities and classes of the inputs at `path`: an `.npz`, an image, a folder; by default of the test set.

  Args:
    state, predict: of `predictive`; of new inputs a cross-validation's networks are averaged.
    path: see above; empty for the test set.
    test_data, test: the test set, in batches and as it was read.
    config: of the experiment.
  """
  if path:
    streamed = isinstance(test, examples.Stream)
    shape = (test.image_size, test.image_size, test.channels) if streamed else test.inputs.shape[1:]
    centre = config.data.centre if streamed else 1.0  # as `sources.evaluation` takes it
    dtype, columns = (np.uint8, None) if streamed else (test.inputs.dtype, test.columns)
    inputs, rows = files.unlabelled(path, shape, centre, dtype, columns)
    # What was assembled of the test set, but of no fold.
    arrays = {"inputs": inputs, "label": np.zeros(len(inputs), np.int32)}
    dataset = pipeline.sequential(arrays, config.data.eval_batch_size, name=path, assemble=test_data.assemble)
  else:
    dataset, rows = test_data, None
  logs, labels = over(dataset, predict, state)
  predicted, names = logs.argmax(-1), np.asarray(test.class_names)
  beside = {"label": labels} if rows is None else {"input": np.asarray(rows)}
  return {"predicted": predicted, "class_name": names[predicted], "probabilities": np.exp(logs), **beside}
