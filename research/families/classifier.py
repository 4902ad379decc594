"""Classification: a categorical distribution over labels, p(y | x) = softmax(network(x)), fitted by cross-entropy."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from research import randomness
from research.metrics import Mean

DEFINITIONS = {
  "accuracy": "share of examples whose most probable class is the label",
  "loss": "mean negative log-likelihood of the label, nats",
}


class Classifier(NamedTuple):
  """The functions of a classifier; `variables` are Flax collections, a batch has `inputs`, `label` and `mask`."""

  init: Callable
  loss: Callable
  evaluate: Callable
  log_probabilities: Callable


def classifier(
  network: nn.Module,
  *,
  label_smoothing: float = 0.0,
  augment: Callable[[Any, Mapping], Mapping] | None = None,
  views: Callable[[Array], list[Array]] | None = None,
) -> Classifier:
  """A classifier over any network `(inputs, train) -> logits [batch, classes]`.

  Args:
    network: a Flax module.
    label_smoothing: mass that training moves from the label to the uniform distribution (Szegedy et al. 2016, sec. 7).
    augment: `augment(keys, batch) -> batch`, one key per example, in training only; labels may become [batch, classes].
    views: `views(inputs) -> [inputs, ...]`: at test time, probabilities are averaged over these.
  """

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["inputs"], train=False)

  def loss(variables, batch, key):
    count = batch["inputs"].shape[0]
    if augment is not None:
      keys = randomness.example_keys(randomness.stream_key(key, "augment"), count)
      batch = augment(keys, batch)
    collections = [name for name in variables if name != "params"]
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    logits, mutated = network.apply(variables, batch["inputs"], train=True, rngs=rngs, mutable=collections)
    targets = smooth(batch["label"], logits.shape[-1], label_smoothing)
    cross_entropy = -(targets * jax.nn.log_softmax(logits)).sum(-1)
    correct = logits.argmax(-1) == targets.argmax(-1)
    metrics = {"accuracy": Mean.of(correct.astype(jnp.float32), batch["mask"])}
    return Mean.of(cross_entropy, batch["mask"]), (metrics, mutated)

  def log_probabilities(variables, inputs) -> Float[Array, "batch classes"]:
    seen = views(inputs) if views else [inputs]
    logs = [jax.nn.log_softmax(jnp.asarray(network.apply(variables, x, train=False))) for x in seen]
    return average_log_probabilities(jnp.stack(logs))

  def evaluate(variables, batch):
    return score(log_probabilities(variables, batch["inputs"]), batch)

  return Classifier(init, loss, evaluate, log_probabilities)


def smooth(labels: Int[Array, " batch"] | Float[Array, "batch classes"], classes: int, amount: float):
  """Target probabilities [batch, classes] of labels, or of probabilities (mixup), smoothed towards uniform."""
  targets = jax.nn.one_hot(labels, classes) if labels.ndim == 1 else labels
  return (1 - amount) * targets + amount / classes


def average_log_probabilities(logs: Float[Array, "members batch classes"]) -> Float[Array, "batch classes"]:
  """Log of the mean probability over members (an ensemble, test-time views), renormalised by construction."""
  return jax.nn.logsumexp(logs, axis=0) - jnp.log(logs.shape[0])


def score(log_probabilities: Float[Array, "batch classes"], batch) -> dict[str, Mean]:
  """Accuracy and negative log-likelihood, padded examples left out."""
  labels = batch["label"]
  nll = -jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1)[:, 0]
  correct = (log_probabilities.argmax(-1) == labels).astype(jnp.float32)
  return {"loss": Mean.of(nll, batch["mask"]), "accuracy": Mean.of(correct, batch["mask"])}
