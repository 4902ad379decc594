"""What a run of mixtures leaves behind: the best of them, its components and samples; classes told, anomalies told."""

import jax
import ml_collections
import numpy as np

from experiments.parts import classification, generative, mixtures
from experiments.parts.mixtures import FeatureSplits, Model
from experiments.reports import anomaly
from research import randomness
from research.data import files, pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.evaluation import figures, latents
from research.evaluation import mixtures as mixture_figures
from research.families import gaussian_mixture
from research.training.experiment import Report

POINTS, IMAGES = 2000, 64  # that a figure shows


DEFINITIONS = {
  "train_log_likelihood": "mean log density of a training example under the mixture, nats",
  "last_gain": "what the last update added to the mean log-likelihood of the training set, nats",
  "components": "components that hold the expected weight of one training example at least",
  "bic": "Bayesian information criterion of the training set, -2 log L + p log N",
  "test_rand_index": "adjusted Rand index of most probable components and labels (Hubert & Arabie 1985); test set",
}


def report(
  state, config: ml_collections.ConfigDict, model: Model, data: FeatureSplits, left_out: tuple[int, ...]
) -> Report:
  """The report of what the mixtures stand side by side for."""
  if left_out:
    return anomalies(state, config, model, data, left_out)
  if config.model.by_class:
    return classes(state, config, model, data)
  return clusters(state, config, model, data)


def anomalies(state, config, model: Model, data: FeatureSplits, left_out: tuple[int, ...]) -> Report:
  """How well the density tells a class that a mixture has never seen from those that it has learnt."""

  def score(members, batch):
    density = lambda params: jax.nn.logsumexp(model.log_joint(params, batch["inputs"]), axis=-1)
    return -jax.vmap(density)(members.params).T, batch["label"]

  scores, labels = generative.over(_evaluation(data.test, config), score, state.members)
  return anomaly.report(scores, labels, left_out, data.test.class_names, "negative log density")


def classes(state, config, model: Model, data: FeatureSplits) -> Report:
  """Errors and calibration of the generative classifier, and what it takes each class to be."""

  predict = lambda state, batch: jax.nn.log_softmax(
    mixtures.class_log_joint(state.members, model, data, batch["inputs"])
  )
  classified = classification.report(state, predict, _evaluation(data.test, config), data.test, None)
  pictures_by_name = dict(classified.figures)
  if len(data.projection.shape) == 3:
    samples = _samples_by_class(state, config, model, data)
    columns = len(samples) // data.train.num_classes
    pictures = data.projection.backward(samples)
    pictures_by_name["samples"] = figures.image_grid(pictures, columns=columns, title="samples, a class a row")
  return Report(classified.metrics, pictures_by_name, classified.definitions)


def clusters(state, config, model: Model, data: FeatureSplits) -> Report:
  """The best mixture: what it costs and holds, and its components among the points or as images."""
  index = int(mixtures.best(state.members, config, model, data))
  chosen = _member(state.members, index)
  joint, labels = generative.over(_evaluation(data.test, config), _joint_of(model), chosen.params)
  fitted, _ = generative.over(_evaluation(data.train, config), _joint_of(model), chosen.params)
  total, examples = float(np.logaddexp.reduce(fitted, axis=1).sum()), len(data.train)
  mixture = jax.device_get(model.mixture(chosen.params))
  metrics = {
    "train_log_likelihood": total / examples,
    "components": int((mixture.weights * examples >= 1).sum()),
  }
  if config.model.name != "variational":
    before = float(chosen.statistics.log_likelihood / chosen.statistics.counts.sum())
    size = model.sizes[index // config.model.starts]
    parameters = gaussian_mixture.num_parameters(size, data.projection.num_features, mixture.covariance)
    metrics["last_gain"] = total / examples - before
    metrics["bic"] = float(gaussian_mixture.bic(total, parameters, examples))
  if data.test.num_classes > 1:
    from sklearn.metrics import adjusted_rand_score  # here: it takes a second to import

    metrics["test_rand_index"] = adjusted_rand_score(labels, joint.argmax(-1))
  pictures = pictured(state, config, mixture, data)
  if len(model.sizes) > 1:
    pictures["selection"] = _selection(state, config, model, data)
  return Report(metrics, pictures, {name: DEFINITIONS[name] for name in metrics})


@jax.jit
def _member(members, index):
  return jax.tree.map(lambda leaf: leaf[index], members)


def pictured(state, config, mixture: gaussian_mixture.Mixture, data: FeatureSplits) -> dict:
  """Weights; and of images means and samples, of vectors the components as ellipses among the test points."""
  weights, means = np.asarray(mixture.weights), np.asarray(mixture.means)
  order = np.argsort(-weights, kind="stable")
  by_name = {"weights": latents.bars(weights[order], "component, by weight", "weight")}
  if len(data.projection.shape) == 3:
    order = order[:IMAGES]
    captions = [f"{weight:.3f}" for weight in weights[order]]
    pictures = data.projection.backward(means[order])
    by_name["means"] = figures.image_grid(pictures, captions, title="means of the components, and their weights")
    samples, _ = _samples(state, config, mixture)
    by_name["samples"] = figures.image_grid(data.projection.backward(samples), title="samples")
  elif data.projection.num_features > 1:
    points, labels = data.test.inputs[:POINTS], data.test.label[:POINTS]
    matrices = np.asarray(gaussian_mixture.covariance_matrices(mixture))
    title = "components at one and two standard deviations"
    by_name["components"] = mixture_figures.ellipses(
      points, labels, data.test.class_names, weights, means, matrices, title
    )
  return by_name


def _selection(state, config, model, data):
  """The best start of every size by both criteria."""
  least, akaike = {}, lambda total, parameters, examples: gaussian_mixture.aic(total, parameters)
  for name, criterion in {"BIC": gaussian_mixture.bic, "AIC": akaike}.items():
    values = np.asarray(mixtures.criterion_of(state.members, config, model, data, criterion))
    least[name] = values.reshape(len(model.sizes), -1).min(-1)
  return mixture_figures.selection(model.sizes, least)


def predictions(
  state, path: str, config: ml_collections.ConfigDict, model: Model, data: FeatureSplits
) -> dict[str, np.ndarray]:
  """Of the inputs at `path` the component or class, its posterior and the log density (nats); without one, samples."""
  index = mixtures.best(state.members, config, model, data)
  params = _member(state.members.params, index)
  names = np.asarray(data.test.class_names)
  if not path:
    if config.model.by_class:
      samples = _samples_by_class(state, config, model, data)
      return {"samples": data.projection.backward(samples), "class_name": np.repeat(names, len(samples) // len(names))}
    samples, component = _samples(state, config, model.mixture(params))
    return {"samples": data.projection.backward(samples), "component": component}
  inputs, rows = files.unlabelled(path, data.projection.shape, dtype=data.projection.dtype, columns=data.test.columns)
  features = data.projection.forward(inputs, data.test.inputs.dtype)
  given = Examples(path, features, np.zeros(len(features), np.int32), data.test.class_names)
  joint_of = _class_joint_of(model, data) if config.model.by_class else _joint_of(model)
  joint, _ = generative.over(_evaluation(given, config), joint_of, state.members if config.model.by_class else params)
  density = np.logaddexp.reduce(joint, axis=1)
  scores = {"log_density": density, "probabilities": np.exp(joint - density[:, None]), "input": np.asarray(rows)}
  kind = "predicted" if config.model.by_class else "component"
  named = {"class_name": names[joint.argmax(-1)]} if config.model.by_class else {}
  return {kind: joint.argmax(-1), **named, **scores}


def told(state, features, config: ml_collections.ConfigDict, model: Model, data: FeatureSplits) -> dict[str, jax.Array]:
  """Of features [row, feature] the log density, nats, and the probability of each component, or class."""
  if config.model.by_class:
    joint = mixtures.class_log_joint(state.members, model, data, features)
  else:
    index = mixtures.best(state.members, config, model, data)
    joint = model.log_joint(_member(state.members.params, index), features)
  return {"log_density": jax.nn.logsumexp(joint, axis=-1), "probabilities": jax.nn.softmax(joint)}


def _evaluation(part: Examples, config) -> Dataset:
  return pipeline.sequential(part.arrays, config.data.eval_batch_size, name=part.name)


def _joint_of(model):
  return lambda params, batch: (model.log_joint(params, batch["inputs"]), batch["label"])


def _class_joint_of(model, data):
  return lambda members, batch: (mixtures.class_log_joint(members, model, data, batch["inputs"]), batch["label"])


def _samples(state, config, mixture) -> tuple[np.ndarray, np.ndarray]:
  """Features and the components that they are from."""
  draw = jax.jit(gaussian_mixture.sample, static_argnums=2)
  return jax.device_get(draw(mixture, randomness.stream_key(state.key, "samples"), config.report.samples))


def _samples_by_class(state, config, model, data) -> np.ndarray:
  """Features, as many of each class, class after class."""
  classes = data.train.num_classes
  count = max(1, config.report.samples // classes)
  keys = randomness.example_keys(randomness.stream_key(state.key, "samples"), classes)
  draw = lambda params, key: gaussian_mixture.sample(model.mixture(params), key, count)[0]
  return np.concatenate(jax.device_get(jax.jit(jax.vmap(draw))(state.members.params, keys)))
