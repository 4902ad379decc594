"""Naive Bayes: five models of p(x, y) that one pass of counting fits, and what they are worth beside deep ones.

  python -m experiments.naive_bayes                                        digits, embedded: seconds
  python -m experiments.naive_bayes --config=configs/naive_bayes/mnist.py[:gaussian|multinomial|...]
  python -m experiments.naive_bayes --config=configs/naive_bayes/generative_discriminative.py
  python -m experiments.naive_bayes --mode=predict --workdir=... [--input=images.npz]   classes; without input, samples

Maron 1961; McCallum & Nigam 1998; Rennie et al. 2003.  Against logistic regression: Ng & Jordan 2002.
"""

import functools
from collections.abc import Callable

import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import generative, splits
from experiments.reports import naive_bayes as naive_bayes_report
from research.data import pipeline, sources
from research.errors import UserError
from research.families import naive_bayes as family_lib
from research.training import precision, statistics
from research.training.experiment import Experiment, Program

DEFAULT = "configs/naive_bayes/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A naive Bayes model of images, or of vectors, and their classes."""
  if config.data.normalise != "none":
    raise UserError("config.data.normalise", config.data.normalise, "the models are of pixels 0 to 1: set it to none.")
  data, train = generative.load(config.data, tables=True), config.train
  family = family_of(config, data.train)
  for part in (data.train, data.validation, data.test):
    if part is not None:
      _check(config, family, part)
  assemble = pipeline.normalised()
  train_data = pipeline.passes(
    data.train.arrays, train.batch_size, seed=config.seed, name=data.train.name, assemble=assemble
  )
  measure = functools.partial(sources.evaluation, batch_size=config.data.eval_batch_size)
  learner = statistics.statistics_learner(
    init=family.init,
    prepare=family.prepare,
    expect=family.expect,
    maximise=family.maximise,
    evaluate=family.evaluate,
    combine=statistics.total,
    accumulate=train.accumulate,
  )
  predict = lambda state, path: naive_bayes_report.predictions(state, path, config, family, data)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=measure(data.validation) if data.validation else None,
    test_data=measure(data.test),
    report=lambda state: naive_bayes_report.report(state, config, family, learner, data),
    predict=predict,
    sample=lambda state: predict(state, ""),
    definitions=family_lib.DEFINITIONS,
    program=Program.of_batches(
      lambda state, batch: family.log_joint(state.params, batch["inputs"]), measure(data.test)
    ),
    notes=splits.notes(data.train),
  )


def family_of(config: ml_collections.ConfigDict, data) -> family_lib.NaiveBayes:
  """The model that a config names, of inputs as these."""
  model, dtype = config.model, precision.dtype(config.train.precision)
  if dtype == jnp.bfloat16:
    raise UserError("config.train.precision", "bfloat16", "counts need more digits: choose float32 or float64.")
  features = int(np.prod(data.inputs.shape[1:]))
  fields = model[model.name]
  builders: dict[str, Callable] = {
    "gaussian": lambda: family_lib.gaussian(fields.var_smoothing),
    "bernoulli": lambda: family_lib.bernoulli(fields.alpha, fields.threshold),
    "multinomial": lambda: family_lib.multinomial(fields.alpha),
    "complement": lambda: family_lib.complement(fields.alpha, fields.norm),
    "categorical": lambda: family_lib.categorical([fields.levels] * features, fields.alpha),
  }

  def encode(inputs):
    inputs = family_lib.flat(inputs).astype(dtype)
    if model.name != "categorical":
      return inputs
    # A pixel of 1 belongs to the highest level.
    return jnp.minimum(jnp.floor(inputs * fields.levels), fields.levels - 1)

  return family_lib.NaiveBayes(builders[model.name](), data.num_classes, encode=encode)


def _check(config, family: family_lib.NaiveBayes, data) -> None:
  """Bytes are within the bounds of every model; floats are what the user made them."""
  if data.inputs.dtype == np.uint8:
    return
  if config.model.name == "categorical" and data.inputs.max() > 1:
    remedy = f"its levels divide values of 0 to 1, but those of {data.name} reach {data.inputs.max():.4g}: scale them."
    raise UserError("config.model.name", "categorical", remedy)
  family.check(np.asarray(family.encode(data.inputs)), f"{data.name}: inputs")


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
