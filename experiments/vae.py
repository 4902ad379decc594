"""Variational autoencoders: a density with latent variables, to sample from, to look into and to find oddities with.

  python -m experiments.vae                                        digits, embedded: a minute
  python -m experiments.vae --config=configs/vae/digits.py:anomaly     AUROC of each class, left out of training
  python -m experiments.vae --mode=evaluate --workdir=...          log-likelihood, and every figure again
  python -m experiments.vae --mode=predict --workdir=... [--input=images.npz]    latents and bound; or samples

Kingma & Welling 2014.  Figures: reconstructions, samples, interpolation, imputation, and a map of the latents.
"""

import dataclasses

import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import generative, learning, quantised
from experiments.reports import anomaly
from experiments.reports import vae as vae_report
from research import randomness
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError
from research.families import vae
from research.networks.autoencoder import ConvAutoencoder, MLPAutoencoder
from research.training import precision, steps
from research.training.experiment import Experiment, Program

DEFAULT = "configs/vae/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A VAE, or the VQ-VAE where the config asks for it."""
  if config.model.name == "vq":
    return quantised.experiment(config)
  data = generative.load_pixels(config.data, config.model.conditional)
  left_out = anomaly.classes_left_out(config.data.leave_out, data.train, data.test)
  train_data, sets = training(data.train, config), data.map(lambda part: evaluation(part, config))
  likelihood = quantised.likelihood_of(config.model)
  family = vae.vae(
    network(config, data.train, likelihood.parameters),
    likelihood,
    objective=config.train.objective,
    samples=config.train.samples,
    beta=config.train.beta,
    warmup=learning.duration(config, train_data, "warmup"),
    eval_samples=config.train.eval_samples,
    augment=vae.binarised if config.data.binarise else None,
  )
  learner = learning.gradient_learner(config, family, train_data)
  report = lambda state: vae_report.report(state, family, config, evaluation(data.test, config, "report"), data.test)
  anomalies = lambda state: vae_report.anomalies(state, family, left_out, sets.test, data.test)
  predict = lambda state, path: vae_report.predictions(state, family, config, path, data.test, assembly(config))
  encode = lambda state, batch: vae_report.encoded(family, steps.variables_of(state), batch)
  return Experiment(
    learner=anomaly.without(learner, left_out) if left_out else learner,
    train_data=train_data,
    eval_data=sets.validation,
    test_data=sets.test,
    report=anomalies if left_out else report,
    predict=None if left_out else predict,
    sample=None if left_out else lambda state: predict(state, ""),
    definitions=vae.DEFINITIONS,
    program=None if left_out else Program.of_batches(encode, sets.test),
  )


def network(config: ml_collections.ConfigDict, data: Examples, parameters: int) -> MLPAutoencoder | ConvAutoencoder:
  """Encoder and decoder, as `config.model` has them."""
  model = config.model
  classes, compute = data.num_classes if model.conditional else 0, precision.dtype(config.train.precision)
  match model.name:
    case "mlp":
      return MLPAutoencoder(image_shape(data), parameters, **model.mlp, num_classes=classes, dtype=compute)
    case "conv":
      return ConvAutoencoder(image_shape(data), parameters, **model.conv, num_classes=classes, dtype=compute)
  raise UserError("config.model.name", model.name, "choose mlp, conv or vq.")


def image_shape(data: Examples) -> tuple[int, int, int]:
  """(height, width, channel)."""
  return data.inputs.shape[1], data.inputs.shape[2], data.inputs.shape[3]


def training(data: Examples, config: ml_collections.ConfigDict) -> Dataset:
  """Shuffled images 0 to 1; the field `step`, the same for every row, is what the weight of the KL rises by."""
  images = pipeline.shuffled(
    data.arrays, config.train.batch_size, seed=config.seed, name=data.name, assemble=pipeline.normalised()
  )
  feed = lambda step: {**images.feed(step), "step": np.full(images.batch_size, step, np.int32)}
  return dataclasses.replace(images, feed=feed)


def evaluation(data: Examples, config: ml_collections.ConfigDict, use: str = "loss") -> Dataset:
  """Images in order, each known by its `index`; the report, which draws many samples of each, takes fewer at once."""
  size = config.report.batch_size if use == "report" else config.data.eval_batch_size
  return generative.identified(pipeline.sequential(data.arrays, size, name=data.name, assemble=assembly(config)))


def assembly(config: ml_collections.ConfigDict) -> pipeline.Assemble:
  """Images 0 to 1; where training binarises anew at each step, evaluation does so once, the same in every run."""
  plain = pipeline.normalised()

  def binarised(resident, fed):
    batch, keys = plain(resident, fed), randomness.evaluation_keys(fed["index"], "binarise")
    return {**batch, "inputs": vae.binarised(keys, batch["inputs"])}

  return binarised if config.data.binarise else plain


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
