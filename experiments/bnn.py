"""Bayesian neural networks: weights with a posterior, predictions that are means over it, beside the plain network.

  python -m experiments.bnn                                        Bayes by backprop on digits, embedded: a minute
  python -m experiments.bnn --config=configs/bnn/digits.py:plain   dropout, ensemble, langevin, laplace
  python -m experiments.bnn --mode=predict --workdir=... --input=images.npz

Blundell et al. 2015; Gal & Ghahramani 2016; Lakshminarayanan et al. 2017; Welling & Teh 2011; Ritter et al. 2018.
"""

from collections.abc import Callable
from typing import NamedTuple

import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import classification, fields, learning, oddities, splits
from research.data import examples, pipeline, remembered, sources
from research.errors import UserError
from research.families import bayesian_classifier as family_lib
from research.families import classifier as classifier_lib
from research.networks.mlp import MLP
from research.training import durations, precision, steps
from research.training.experiment import Experiment, Program, Report
from research.training.learner import Learner, ensemble

DEFAULT = "configs/bnn/digits.py"


class Method(NamedTuple):
  """A learner, and `predict(state, batch) -> log-probabilities [batch, classes]` under its posterior."""

  learner: Learner
  predict: Callable


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A multilayer perceptron by one of the methods; what is odd is told by the entropy of its predictions."""
  data = splits.load(config.data)
  test = data.test
  if not isinstance(data.train, examples.Examples) or not isinstance(test, examples.Examples):
    raise UserError("config.data.name", config.data.name, "choose a set that is held in memory.")
  fields.refuse_unread(config.data, fields.NEUTRAL.keys() - {"random_area", "centre"}, "a set in memory")
  constants = remembered.value("normalisation", lambda: classification.normalisation(config.data.normalise, data.train))
  train_data = sources.training(data.train, config.train.batch_size, seed=config.seed, **constants._asdict())
  method = method_of(config, data.train.num_classes, len(data.train.inputs), train_data)
  predict = method.predict
  evaluate = lambda state, batch: classifier_lib.score(predict(state, batch), batch)
  measured = lambda part: sources.evaluation(part, config.data.eval_batch_size, **constants._asdict())
  test_data = measured(test)

  def report(state) -> Report:
    told = classification.report(state, predict, test_data, test, None)
    if test.inputs.ndim != 4:
      return told

    def negative_entropy(images):
      arrays = {"inputs": images, "label": np.zeros(len(images), np.int32)}
      odd = pipeline.sequential(arrays, config.data.eval_batch_size, name="odd", assemble=test_data.assemble)
      return -family_lib.entropy(classification.over(odd, predict, state)[0])

    strange = oddities.report(negative_entropy, test.inputs, "entropy of the prediction")
    merged = [{**getattr(told, field), **getattr(strange, field)} for field in ("metrics", "figures", "definitions")]
    return Report(*merged)

  return Experiment(
    learner=method.learner._replace(evaluate=evaluate),
    train_data=train_data,
    eval_data=measured(data.validation) if data.validation is not None else None,
    test_data=test_data,
    report=report,
    predict=lambda state, path: classification.predictions(state, predict, path, test_data, test, config),
    definitions=classifier_lib.DEFINITIONS | {"divergence": "divergence from the prior an example, nats"},
    program=Program.of_batches(predict, test_data),
    notes=splits.notes(data.train),
  )


def method_of(config: ml_collections.ConfigDict, classes: int, count: int, train_data) -> Method:
  """The method that `config.method` names, of `count` training examples.

  Raises:
    UserError: there is no such method; or dropout at test time without dropout.
  """
  model, method = config.model, config.method
  chosen = method[method.name]
  compute = precision.dtype(config.train.precision)
  network = MLP(tuple(model.features), classes, dropout=model.dropout, dtype=compute)
  last = f"Dense_{len(model.features)}"
  match method.name:
    case "plain" | "ensemble":
      family = classifier_lib.classifier(network)
    case "backprop":
      family = family_lib.by_backprop(network, count, chosen.prior, chosen.std, chosen.draws, chosen.temperature)
    case "dropout":
      if not model.dropout:
        raise UserError("config.model.dropout", model.dropout, "dropout is this method's posterior: set it above 0.")
      family = family_lib.by_dropout(network, chosen.draws)
    case "laplace":
      family = family_lib.last_layer_laplace(network, count, chosen.precision, chosen.decay, chosen.draws, last)
    case "langevin":
      return _langevin(config, network, count, train_data)
    case _:
      raise UserError("config.method.name", method.name, "it is no method of Bayesian networks.")
  learner = learning.gradient_learner(config, family, train_data)
  members = chosen.members if method.name == "ensemble" else 1
  predict = classification.predictive(family, members, 0)
  return Method(ensemble(learner, members) if members > 1 else learner, predict)


def _langevin(config: ml_collections.ConfigDict, network: MLP, count: int, train_data) -> Method:
  """Draws from the second half of the run, as many as are to be kept, evenly."""
  chosen, total = config.method.langevin, learning.duration(config, train_data)
  burn_in = durations.steps(
    chosen.burn_in, per_step=train_data.per_step, total_steps=total, field="config.method.langevin.burn_in"
  )
  if burn_in >= total:
    raise UserError("config.method.langevin.burn_in", chosen.burn_in, f"it leaves none of {total} steps to draw from.")
  keep = (burn_in, max((total - burn_in) // chosen.draws, 1), chosen.draws)
  schedule = learning.optimizer(config, train_data)[1]
  family = classifier_lib.classifier(network)
  learner = steps.gradient_learner(
    init=family.init,
    loss=family.loss,
    evaluate=family.evaluate,
    optimizer=family_lib.langevin(schedule, count, chosen.prior, keep, config.seed, chosen.temperature),
    schedule=schedule,
    accumulate=config.train.accumulate,
  )
  predict = lambda state, batch: family_lib.over_draws(network, state.opt_state, state.params, batch["inputs"], keep)
  return Method(learner, predict)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
