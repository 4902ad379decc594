"""Restricted Boltzmann machines, alone or in a stack: a density of binary images, features, and an MLP's first weights.

  python -m experiments.rbm                                        digits, embedded: a minute
  python -m experiments.rbm --config=configs/rbm/digits.py:deep    a deep belief net that initialises an MLP
  python -m experiments.rbm --config=configs/rbm/binarized_mnist.py --config.data.path=...
  python -m experiments.rbm --mode=predict --workdir=... --input=images.npz    features and free energy
  python -m experiments.rbm --mode=sample --workdir=...

Hinton 2002 (contrastive divergence); Tieleman 2008 (chains that go on); Desjardins et al. 2010 (tempering);
Salakhutdinov & Murray 2008 (log Z); Hinton, Osindero & Teh 2006 (stacks).
"""

import dataclasses

import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import generative, learning
from experiments.reports import rbm as rbm_report
from research.data import pipeline, remembered
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError
from research.families import rbm
from research.training import steps
from research.training.experiment import Experiment, Program

DEFAULT = "configs/rbm/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """One machine for each of `config.model.hidden`, learnt from the lowest up."""
  data = generative.load(config.data, labels=config.report.fine_tune > 0)
  assemble = assembly(config, data.train)
  train_data = training(config, data.train, assemble)
  family = family_of(config, data.train)
  learner = learning.gradient_learner(config, family, train_data, init_carry=family.init_carry)
  measured = lambda part: pipeline.sequential(
    part.arrays, config.data.eval_batch_size, name=part.name, assemble=assemble
  )
  sets = data.map(measured)
  predict = lambda state, path: rbm_report.predictions(state, family, config, path, data.test, assemble)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=sets.validation,
    test_data=sets.test,
    report=lambda state: rbm_report.report(state, family, config, data, sets),
    predict=predict,
    sample=lambda state: predict(state, ""),
    definitions=rbm.DEFINITIONS,
    program=Program.of_batches(
      lambda state, batch: rbm_report.features(family.machines(steps.variables_of(state)), batch["inputs"]), sets.test
    ),
  )


def family_of(config: ml_collections.ConfigDict, train: Examples) -> rbm.Stack:
  """The machines, with the biases of independent units at the start."""
  model = config.model
  if model.visible not in (rbm.BERNOULLI, rbm.GAUSSIAN):
    raise UserError("config.model.visible", model.visible, "choose bernoulli or gaussian.")
  if not model.hidden or min(model.hidden) < 1:
    raise UserError("config.model.hidden", tuple(model.hidden), "give the number of hidden units of each machine.")
  negative = rbm.Negative(model.name, **model[model.name])
  if negative.sweeps < 1 or negative.temperatures < 2:
    given = (negative.sweeps, negative.temperatures)
    raise UserError(f"config.model.{model.name}", given, "give one sweep and two temperatures at least.")
  flat = lambda: _flat(config, train).mean(0)
  average = remembered.value("average", flat) if model.visible == rbm.BERNOULLI else np.zeros(_size(train), np.float32)
  return rbm.rbm(
    tuple(model.hidden),
    model.visible,
    negative,
    average=average,
    decay=config.train.decay,
    rate=config.train.follow,
  )


def training(config: ml_collections.ConfigDict, train: Examples, assemble: pipeline.Assemble) -> Dataset:
  """Shuffled images; of a stack each row says which machine learns, one after the other in equal shares of the run."""
  arrays, layers = train.arrays, len(config.model.hidden)
  images = pipeline.shuffled(arrays, config.train.batch_size, seed=config.seed, name=train.name, assemble=assemble)
  if layers == 1:
    return images
  total = learning.duration(config, images)

  def feed(step: int):
    layer = min(step * layers // total, layers - 1)
    return {**images.feed(step), "layer": np.full(images.batch_size, layer, np.int32)}

  return dataclasses.replace(images, feed=feed)


def assembly(config: ml_collections.ConfigDict, train: Examples) -> pipeline.Assemble:
  """Rows [row, visible]: pixels that are 0 or 1, or, for Gaussian units, of mean 0 and deviation 1."""
  if config.model.visible == rbm.GAUSSIAN:
    values = lambda: _flat(config, train).reshape(-1, *train.inputs.shape[1:])
    mean, std = (
      remembered.value(name, of)
      for name, of in (("mean", lambda: values().mean(0)), ("deviation", lambda: values().std(0)))
    )
    scaled = pipeline.normalised(mean, np.where(std > 0.01, std, 1))
  else:
    scaled = pipeline.normalised()

  def assemble(resident, fed):
    batch = scaled(resident, fed)
    rows = batch["inputs"].reshape(len(batch["inputs"]), -1)
    if config.model.visible == rbm.BERNOULLI:
      rows = (rows >= 0.5).astype(rows.dtype)
    return {**batch, "inputs": rows}

  return assemble


def _flat(config: ml_collections.ConfigDict, train: Examples) -> np.ndarray:
  """All training rows, pixels 0 to 1; of Bernoulli units 0 or 1."""
  rows = train.inputs.reshape(len(train), -1) / np.float32(255 if train.inputs.dtype == np.uint8 else 1)
  return (rows >= 0.5).astype(np.float32) if config.model.visible == rbm.BERNOULLI else rows.astype(np.float32)


def _size(train: Examples) -> int:
  return int(np.prod(train.inputs.shape[1:]))


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
