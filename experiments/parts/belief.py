"""A deep belief net as the beginning of an MLP, beside a random one (Hinton & Salakhutdinov 2006)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax

from experiments.parts.splits import Splits
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError
from research.families import classifier
from research.families.rbm import Machine
from research.networks.mlp import MLP
from research.training import steps

if TYPE_CHECKING:
  from matplotlib.figure import Figure

BATCH, POINTS = 50, 20  # rows of a step; points of a curve


def fine_tuned(
  machines: Sequence[Machine], data: Splits[Examples], sets: Splits[Dataset], config: ml_collections.ConfigDict
) -> dict[str, list[float]]:
  """Test accuracies during the training of an MLP of logistic units, from the machines' weights and from random ones.

  Raises:
    UserError: a set of one class.
  """
  if data.train.num_classes < 2:
    raise UserError(
      "config.report.fine_tune", config.report.fine_tune, f"{data.train.name} has no labels: set it to 0."
    )
  whole = _rows(sets.train)
  # The first of each class, then the second: all classes alike.
  rank = np.zeros(len(whole["label"]), int)
  for label in range(data.train.num_classes):
    at = np.flatnonzero(whole["label"] == label)
    rank[at] = np.arange(len(at))
  chosen = np.argsort(rank, kind="stable")[: config.report.labels]
  train, test = {name: value[chosen] for name, value in whole.items()}, _rows(sets.test)
  family = classifier.classifier(MLP(tuple(config.model.hidden), data.train.num_classes, activation=nn.sigmoid))
  return {name: _curve(family, given, train, test, config) for name, given in (("machines", machines), ("random", ()))}


def _rows(part: Dataset) -> dict[str, np.ndarray]:
  batches = [jax.device_get(part.assemble(dict(part.resident), part.feed(i))) for i in range(part.num_batches)]
  mask = np.concatenate([batch["mask"] for batch in batches]) > 0
  return {name: np.concatenate([batch[name] for batch in batches])[mask] for name in ("inputs", "label")}


def _curve(family, machines, train, test, config) -> list[float]:
  """Accuracy at the beginning and at `POINTS` steps after it."""

  def init(key, batch):
    variables = family.init(key, batch)
    params = dict(variables["params"])
    for i, machine in enumerate(machines):
      params[f"Dense_{i}"] = {"kernel": machine.weights, "bias": machine.hidden}
    return {**variables, "params": params}

  learner = steps.gradient_learner(init=init, loss=family.loss, evaluate=family.evaluate, optimizer=optax.adam(3e-3))
  whole = {**test, "mask": jnp.ones(len(test["label"]))}

  @jax.jit
  def some(state, index):
    one = lambda state, rows: (learner.update(state, {**_at(train, rows), "mask": jnp.ones(len(rows))})[0], None)
    state = jax.lax.scan(one, state, index)[0]
    return state, learner.evaluate(state, whole)["accuracy"].value()

  rng, each = np.random.default_rng(0), -(-config.report.fine_tune // POINTS)
  size = min(BATCH, len(train["label"]))
  first = {**_at(train, np.arange(size)), "mask": jnp.ones(size)}
  state = jax.jit(learner.init)(jax.random.key(0), first)
  accuracies = []
  for _ in range(POINTS):
    index = np.stack([rng.permutation(len(train["label"]))[:size] for _ in range(each)])
    state, accuracy = some(state, index)
    accuracies.append(float(accuracy))
  return accuracies


def _at(arrays, rows):
  return {name: jnp.asarray(value)[rows] for name, value in arrays.items()}


def figure(curves: dict[str, list[float]], config: ml_collections.ConfigDict) -> "Figure":
  """Accuracy against steps."""
  from matplotlib.figure import Figure

  curves_figure = Figure(figsize=(5, 3.4), layout="constrained")
  axes = curves_figure.add_subplot()
  names = {"machines": "from the machines' weights", "random": "from random weights"}
  for (name, values), colour in zip(curves.items(), ("#2f6db5", "#8a8f98")):
    at = np.arange(1, len(values) + 1) * -(-config.report.fine_tune // POINTS)
    axes.plot(at, values, color=colour, label=names[name])
  axes.set(xlabel="steps", ylabel="test accuracy", title=f"an MLP, {config.report.labels} labelled images")
  axes.legend(frameon=False)
  axes.spines[["top", "right"]].set_visible(False)
  return curves_figure
