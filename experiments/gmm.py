"""Mixtures of Gaussians: densities, clusters, anomalies, a generative classifier; by EM or variational Bayes.

  python -m experiments.gmm                                                iris, embedded: seconds
  python -m experiments.gmm --config=configs/gmm/iris.py[:tied|diag|spherical|selection|variational]
  python -m experiments.gmm --config=configs/gmm/mnist.py[:anomaly|classifier] --config.data.data_dir=...
  python -m experiments.gmm --mode=predict --workdir=... [--input=my.npz]  components, densities; without input, samples

Dempster, Laird & Rubin 1977; Arthur & Vassilvitskii 2007 (start); Cappé & Moulines 2009 (small batches); Bishop 2006,
section 10.2 (variational Bayes).
"""

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import mixtures, splits
from experiments.parts.mixtures import FeatureSplits, Model
from experiments.reports import anomaly
from experiments.reports import gmm as gmm_report
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError
from research.families import classifier
from research.metrics import Mean
from research.training import statistics
from research.training.experiment import Experiment, Program
from research.training.learner import Learner, ensemble

DEFAULT = "configs/gmm/iris.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """Mixtures side by side: several starts or sizes of which the best counts, one a class, or one without each class."""
  data, model = mixtures.load(config), mixtures.model_of(config)
  left_out = anomaly.classes_left_out(config.data.leave_out, data.train, data.test)
  _check_reasons(config.model, left_out)
  if config.model.by_class:
    train_data = training(*class_by_class(data.train), data.train.name, config)
  else:
    train_data = training(data.train.arrays, len(data.train), data.train.name, config)
  member = member_of(model, config, train_data)
  definitions = model.definitions
  if config.model.by_class:
    learner, definitions = one_a_class(member, model, data), {**definitions, **classifier.DEFINITIONS}
  elif left_out:
    learner = anomaly.without(member, left_out)
  else:
    learner = best_of(member, model, config, data)
  measured = lambda part: pipeline.sequential(part.arrays, config.data.eval_batch_size, name=part.name)
  predict = lambda state, path: gmm_report.predictions(state, path, config, model, data)
  program = Program(
    lambda state, inputs, _: gmm_report.told(state, data.projection.traced(inputs["inputs"]), config, model, data),
    {"inputs": np.zeros((1, *data.projection.shape), data.projection.dtype or data.train.inputs.dtype)},
    {"class": data.test.class_names} if config.model.by_class else {},
  )
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=measured(data.validation) if data.validation else None,
    test_data=measured(data.test),
    report=lambda state: gmm_report.report(state, config, model, data, left_out),
    predict=None if left_out else predict,
    sample=None if left_out else lambda state: predict(state, ""),
    definitions=definitions,
    program=None if left_out else program,
    notes=splits.notes(data.train) if config.model.by_class else (),
  )


def _check_reasons(model: ml_collections.ConfigDict, left_out: tuple[int, ...]) -> None:
  several = model.starts > 1 or len(model.candidates) > 0
  reasons = {"starts or candidates": several, "by_class": model.by_class, "leave_out": bool(left_out)}
  chosen = [name for name, value in reasons.items() if value]
  if len(chosen) > 1:
    raise UserError("config", " and ".join(chosen), "mixtures stand side by side for one reason at a time: choose one.")


def training(arrays, count: int, name: str, config: ml_collections.ConfigDict) -> Dataset:
  """Exact passes; where the config has no batch size the whole set is one batch."""
  return pipeline.passes(arrays, splits.batch_size(config, count), seed=config.seed, name=name)


def class_by_class(train: Examples) -> tuple[dict[str, np.ndarray], int]:
  """A row for each place in a class: `inputs` [row, class, feature], and `present` where the class has so many."""
  sizes = np.bincount(train.label, minlength=train.num_classes)
  if not sizes.all():
    remedy = "every class needs an example to learn from."
    raise UserError("config.model.by_class", train.class_names[int(sizes.argmin())], f"there is none of it: {remedy}")
  order = np.argsort(train.label, kind="stable")
  starts = np.cumsum(sizes) - sizes
  place = np.minimum(np.arange(sizes.max())[:, None], sizes - 1)
  present = (np.arange(sizes.max())[:, None] < sizes).astype(np.float32)
  return {"inputs": train.inputs[order[starts + place]], "present": present}, int(sizes.max())


def member_of(model: Model, config: ml_collections.ConfigDict, train_data: Dataset) -> Learner:
  """One mixture: EM where a batch is the whole set, stepwise EM where it is less."""
  train = config.train
  combine = statistics.latest
  if train_data.num_batches > 1:
    combine = statistics.stepwise(train_data.num_examples, train.step_power, train.step_delay)
  return statistics.statistics_learner(**model.family._asdict(), combine=combine, accumulate=train.accumulate)


def best_of(member: Learner, model: Model, config: ml_collections.ConfigDict, data: FeatureSplits) -> Learner:
  """Several starts of every size, of which the best is measured."""
  starts = config.model.starts
  sizes = jnp.asarray(model.sizes).repeat(starts)

  def view(i, batch, training):
    del training
    return {**batch, "components": jnp.full(len(batch["mask"]), sizes[i])}

  def evaluate(members, batch):
    index = mixtures.best(members, config, model, data)
    return model.family.evaluate(jax.tree.map(lambda leaf: leaf[index], members.params), batch)

  return ensemble(member, len(model.sizes) * starts, view, evaluate)


def one_a_class(member: Learner, model: Model, data: FeatureSplits) -> Learner:
  """A mixture for each class, p(x | y): with the classes' shares of the training set, a classifier."""

  def view(i, batch, training):
    del training
    return {"inputs": batch["inputs"][:, i], "mask": batch["mask"] * batch["present"][:, i]}

  def evaluate(members, batch):
    joint = mixtures.class_log_joint(members, model, data, batch["inputs"])
    density = jax.nn.logsumexp(joint, axis=-1)
    return classifier.score(joint - density[:, None], batch) | {"log_likelihood": Mean.of(density, batch["mask"])}

  return ensemble(member, data.train.num_classes, view, evaluate)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
