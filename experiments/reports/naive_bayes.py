"""What a naive Bayes run leaves behind: class means, samples, errors; and the comparison with logistic regression."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
from jaxtyping import Float

from experiments.parts import classification, generative
from experiments.parts.splits import Splits
from research import randomness
from research.data import pipeline, sources
from research.errors import UserError
from research.evaluation import figures
from research.families import naive_bayes as family_lib
from research.training.experiment import Report
from research.training.learner import Learner


def report(
  state, config: ml_collections.ConfigDict, family: family_lib.NaiveBayes, learner: Learner, data: Splits
) -> Report:
  """Errors and calibration, what the model takes each class to be, and the comparison where the config asks for it."""
  test = sources.evaluation(data.test, config.data.eval_batch_size)
  classified = classification.report(state, _posterior(family), test, data.test, None)
  pictures = dict(classified.figures)
  if data.test.inputs.ndim == 4:
    pictures |= _pictures(state, config, family, data)
  metrics, definitions = dict(classified.metrics), dict(classified.definitions)
  if config.comparison.sizes:
    compared = compare(config, family, learner, data, state.key)
    pictures["generative_discriminative"] = figures.sample_efficiency(
      compared.sizes, compared.accuracy, compared.crossing
    )
    metrics |= compared.metrics()
    definitions |= {name: text for name, text in compared.definitions().items() if name in metrics}
  return Report(metrics, pictures, definitions)


def _posterior(family):
  return lambda state, batch: family.log_posterior(state.params, batch["inputs"])


def _pictures(state, config, family, data) -> dict:
  shape, names = data.test.inputs.shape[1:], data.test.class_names
  means = _pixels(config, family.mean(state.params), shape)
  pictures = {"class_means": figures.image_grid(means, names, columns=5, title="expected image of each class")}
  if family.observation.sample is not None:
    count = config.report.samples
    label = np.repeat(np.arange(len(names)), count)
    inputs = family.sample(state.params, randomness.stream_key(state.key, "samples"), label)
    pictures["samples"] = figures.image_grid(
      _pixels(config, inputs, shape), columns=count, title="samples, a class a row"
    )
  return pictures


def _pixels(config, inputs, shape) -> Float[np.ndarray, "image height width channel"]:
  """Features as pixels, 0 to 1: a category is in the middle of its grey level."""
  inputs = np.asarray(inputs, np.float32).reshape(len(inputs), *shape)
  if config.model.name == "categorical":
    return (inputs + 0.5) / config.model.categorical.levels
  return np.clip(inputs, 0, 1)


def predictions(
  state, path: str, config: ml_collections.ConfigDict, family: family_lib.NaiveBayes, data: Splits
) -> dict[str, np.ndarray]:
  """Classes and log-probabilities (nats) of the inputs at `path`; without one, samples from p(x, y)."""
  names, shape = np.asarray(data.test.class_names), data.test.inputs.shape[1:]
  if not path:
    count = config.report.samples * len(names)
    label = family.sample_labels(state.params, randomness.stream_key(state.key, "labels"), count)
    inputs = family.sample(state.params, randomness.stream_key(state.key, "samples"), label)
    return {"samples": np.asarray(inputs).reshape(count, *shape), "class_name": names[np.asarray(label)]}
  dataset, rows = generative.inputs_at(path, data.test, config.data.eval_batch_size, pipeline.normalised())
  logs = generative.over(dataset, _posterior(family), state)
  predicted = logs.argmax(-1)
  return {"predicted": predicted, "class_name": names[predicted], "log_probabilities": logs, "input": rows}


class Comparison(NamedTuple):
  """Test accuracy of a generative model and of its discriminative twin on random training sets.

  Attributes:
    sizes: of the training sets, ascending.
    accuracy: of each model by name, [size, repeat].
  """

  sizes: tuple[int, ...]
  accuracy: dict[str, Float[np.ndarray, "size repeat"]]

  @property
  def crossing(self) -> float | None:
    """The size from which on logistic regression is better, linear in log size between those measured; None: never.

    Where it is better from the start, the least size.
    """
    generative_model, discriminative = (accuracy.mean(1) for accuracy in self.accuracy.values())
    lead = discriminative - generative_model
    if lead[-1] <= 0:
      return None
    last = np.flatnonzero(lead <= 0).max(initial=-1)
    if last < 0:
      return float(self.sizes[0])
    low, high = np.log(self.sizes[last]), np.log(self.sizes[last + 1])
    return float(np.exp(low + (high - low) * lead[last] / (lead[last] - lead[last + 1])))

  def metrics(self) -> dict[str, float]:
    values = {
      f"{name.lower().replace(' ', '_')}_at_{size}": float(accuracy[i].mean())
      for name, accuracy in self.accuracy.items()
      for i, size in enumerate(self.sizes)
    }
    return values if self.crossing is None else {"crossing_size": self.crossing, **values}

  def definitions(self) -> dict[str, str]:
    texts = {
      name: "test accuracy after training on so many examples, mean over random subsets" for name in self.metrics()
    }
    text = (
      "training examples from which on logistic regression has the higher mean test accuracy, interpolated in log size"
    )
    return {**texts, "crossing_size": text}


def compare(config, family: family_lib.NaiveBayes, learner: Learner, data: Splits, key) -> Comparison:
  """Naive Bayes against logistic regression on the features that make the two a pair (Ng & Jordan 2002, section 2).

  A repeat is a random order of the training set, of which every size takes the first examples: both models see the
  same.

  Raises:
    UserError: a size of less than 2 or of more than there are examples, or sizes that do not ascend.
  """
  sizes = tuple(config.comparison.sizes)
  if list(sizes) != sorted(set(sizes)) or sizes[0] < 2 or sizes[-1] > len(data.train):
    raise UserError(
      "config.comparison.sizes", sizes, f"give ascending sizes from 2 to {len(data.train)}, the whole set."
    )
  train, test = (_whole(part) for part in (data.train, data.test))
  keys = randomness.example_keys(randomness.stream_key(key, "subsets"), config.comparison.repeats)
  orders = jax.vmap(lambda key: jax.random.permutation(key, len(data.train)))(keys)
  return Comparison(
    sizes,
    {
      "naive Bayes": _naive_bayes_accuracy(learner, train, test, orders, sizes),
      "logistic regression": _logistic_accuracy(config, family, train, test, orders, sizes),
    },
  )


def _whole(part) -> dict:
  arrays = {name: jnp.asarray(value) for name, value in part.arrays.items()}
  return dict(pipeline.normalised()(arrays, {"index": jnp.arange(len(part))}))


def _naive_bayes_accuracy(learner, train, test, orders, sizes) -> Float[np.ndarray, "size repeat"]:
  """Subsets are masks of the whole set, since what is counted is weighed by the mask."""
  ranks = jnp.argsort(orders, axis=1)

  @jax.jit
  def of_size(size):
    def one(rank):
      batch = {**train, "mask": (rank < size).astype(jnp.float32)}
      state, _ = learner.update(learner.init(jax.random.key(0), batch), batch)
      return learner.evaluate(state, test)["accuracy"].value()

    return jax.lax.map(one, ranks)

  return np.stack([np.asarray(of_size(size)) for size in sizes])


def _logistic_accuracy(config, family, train, test, orders, sizes) -> Float[np.ndarray, "size repeat"]:
  from sklearn.linear_model import LogisticRegression  # here: it takes a second to import

  features = lambda part: np.asarray(family.observation.features(family.encode(part["inputs"])))
  inputs, labels, test_inputs, test_labels = features(train), train["label"], features(test), test["label"]
  inputs, labels, test_inputs, test_labels = map(np.asarray, (inputs, labels, test_inputs, test_labels))
  # Unscaled pixels take many steps; the penalty makes the optimum unique.
  model = LogisticRegression(C=config.comparison.inverse_penalty, max_iter=10_000)
  fitted = lambda rows: model.fit(inputs[rows], labels[rows]).score(test_inputs, test_labels)
  return np.array([[fitted(order[:size]) for order in np.asarray(orders)] for size in sizes])
