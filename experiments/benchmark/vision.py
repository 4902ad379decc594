"""Training steps of classifiers, as `update` runs them."""

import time

import jax
import numpy as np
import optax

from experiments.benchmark.timing import BATCH, image_batch, images, result, timed
from research.families import classifier
from research.networks import cnn, mlp, resnet
from research.training import steps


def _network(name: str):
  """(network, data set, optimizer, timed steps) of a workload, as `peers/vision.py` has them."""
  momentum = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(0.1, momentum=0.9))
  return {
    "vision/mlp_step": lambda: (mlp.MLP((512, 512), 10), "mnist", optax.adam(1e-3), 500),
    "vision/cnn_step": lambda: (cnn.CNN(), "mnist", optax.adam(1e-3), 100),
    "vision/resnet20_step": lambda: (resnet.resnet20(), "cifar10", momentum, 30),
    "vision/cnn_mnist_convergence": lambda: (cnn.CNN(), "mnist", optax.adam(1e-3), 0),
  }[name]()


def _learner(network, optimizer):
  family = classifier.classifier(network)
  return steps.gradient_learner(init=family.init, loss=family.loss, evaluate=family.evaluate, optimizer=optimizer)


def _compiled(name: str):
  """(learner, compiled update, initial state, images and labels, detail, timed steps)."""
  network, dataset, optimizer, count = _network(name)
  learner = _learner(network, optimizer)
  inputs, labels, source = images(dataset, "train", 10 * BATCH if count else None)
  if dataset == "cifar10":
    inputs = (inputs - 0.5) / 0.25
  state = jax.jit(learner.init)(jax.random.key(0), image_batch(inputs[:BATCH], labels[:BATCH]))
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  detail = {"batch": BATCH, "parameters": parameters, "data": source}
  return learner, jax.jit(learner.update, donate_argnums=0), state, (inputs, labels), detail, count


def step_time(name: str) -> dict:
  """Median wall time of one update, in ms."""
  _, update, state, (inputs, labels), detail, count = _compiled(name)
  batches = [image_batch(inputs[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, len(labels), BATCH)]
  median, measured = timed(update, state, batches, count)
  return result(name, "step_time", median, "ms", **measured, **detail)


def convergence(name: str) -> dict:
  """Seconds of three epochs of MNIST, compilation and evaluation included, and the test accuracy after each."""
  learner, update, state, (inputs, labels), detail, _ = _compiled(name)
  test_inputs, test_labels, _ = images("mnist", "test", None)
  evaluate = jax.jit(learner.evaluate)
  start, accuracies, evaluation = time.perf_counter(), [], 0.0
  for epoch in range(3):
    order = np.random.default_rng(epoch).permutation(len(labels))
    for rows in np.array_split(order[: len(order) // BATCH * BATCH], len(order) // BATCH):
      state, _ = update(state, image_batch(inputs[rows], labels[rows]))
    jax.block_until_ready(state)
    begin = time.perf_counter()
    slices = [slice(i, i + 1000) for i in range(0, len(test_labels), 1000)]
    sums = [evaluate(state, image_batch(test_inputs[s], test_labels[s]))["accuracy"].total for s in slices]
    accuracies.append(float(sum(sums)) / len(test_labels))
    evaluation += time.perf_counter() - begin
  seconds = time.perf_counter() - start
  measured = {"epochs": 3, "test_accuracy": accuracies[-1], "test_accuracy_by_epoch": accuracies}
  return result(name, "train_time", seconds, "s", **measured, evaluation_s=evaluation, **detail)


WORKLOADS = {
  "mlp_step": step_time,
  "cnn_step": step_time,
  "resnet20_step": step_time,
  "cnn_mnist_convergence": convergence,
}
