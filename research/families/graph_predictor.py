"""Properties of whole graphs: numbers by least squares, or yes and no by cross-entropy; several tasks, some unknown.

A batch has `graph`, and [row, place, ...] `targets` [..., task], `known` [..., task] and `mask`, as `data/graph_packs`
makes it; the network puts out a row for each place and one more, for padding.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from research import randomness
from research.errors import UserError
from research.metrics import Mean

KINDS = ("regression", "classification")
DEFINITIONS = {
  "regression": {
    "loss": "mean squared error over graphs and known targets, in the square of the target's unit",
    "rmse": "root of `loss`, pooled over the members where there are several; unit of the target",
  },
  "classification": {
    "loss": "mean negative log-likelihood of known targets, nats",
    "accuracy": "share of known targets whose more probable value is right",
  },
}


class GraphPredictor(NamedTuple):
  """The functions of a predictor; `predict(variables, batch)` is [row, place, task]: a value, or a log-odds."""

  init: Callable
  loss: Callable
  evaluate: Callable
  predict: Callable[[Any, Any], Float[Array, "row place task"]]


def graph_predictor(network: nn.Module, kind: str, *, mean=0.0, std=1.0) -> GraphPredictor:
  """A predictor over any network `(graph, train) -> [graph, task]`.

  Args:
    network: a Flax module.
    kind: `regression` or `classification`.
    mean, std: of the training targets, by task: the network puts out standardised values; of regression.

  Raises:
    UserError: another kind.
  """
  if kind not in KINDS:
    raise UserError("config.data.kind", kind, f"choose one of {', '.join(KINDS)}.")

  def outputs(variables, batch, train, **options):
    of_graphs = jnp.asarray(network.apply(variables, batch["graph"], train=train, **options))
    rows, places = batch["mask"].shape
    return of_graphs.reshape(rows, places + 1, -1)[:, :-1]

  def measured(prediction, batch, unit) -> dict[str, Mean]:
    known = batch["known"].ravel()
    prediction, target = prediction.ravel(), batch["targets"].ravel()
    if kind == "regression":
      return {"loss": Mean.of(jnp.square(prediction - (batch["targets"] / unit - mean / unit).ravel()), known)}
    correct = ((prediction > 0) == (target > 0.5)).astype(jnp.float32)
    return {
      "loss": Mean.of(jax.nn.softplus(prediction) - target * prediction, known),
      "accuracy": Mean.of(correct, known),
    }

  def init(key, batch):
    return network.init({"params": key, "dropout": key}, batch["graph"], train=False)

  def loss(variables, batch, key):
    rngs = {"dropout": randomness.stream_key(key, "dropout")}
    metrics = measured(outputs(variables, batch, True, rngs=rngs), batch, std)
    return metrics["loss"], ({name: value for name, value in metrics.items() if name != "loss"}, {})

  def predict(variables, batch):
    standardised = outputs(variables, batch, False)
    return standardised * std + mean if kind == "regression" else standardised

  def evaluate(variables, batch):
    standardised = outputs(variables, batch, False)
    return measured(standardised * std, batch, 1.0) if kind == "regression" else measured(standardised, batch, 1.0)

  return GraphPredictor(init, loss, evaluate, predict)
