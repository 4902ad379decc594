"""Variational autoencoders: a density with latent variables, to sample from, to look into and to find oddities with.

  python -m experiments.vae                                        digits, embedded: a minute
  python -m experiments.vae --config=configs/vae/digits.py:anomaly     AUROC of each class, left out of training
  python -m experiments.vae --config=configs/vae/binarized_mnist.py --config.data.path=...
  python -m experiments.vae --mode=evaluate --workdir=...          log-likelihood, and every figure again
  python -m experiments.vae --mode=predict --workdir=... [--input=images.npz]    latents and bound; or samples

Kingma & Welling 2014.  Figures: reconstructions, samples, interpolation, imputation, and a map of the latents.
"""

import dataclasses

import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import generative
from experiments.reports import vae as vae_report
from experiments.reports import vq as vq_report
from research import randomness
from research.data import pipeline
from research.data.dataset import Dataset
from research.data.examples import Examples
from research.errors import UserError
from research.families import vae, vq_vae
from research.networks.autoencoder import ConvAutoencoder, MLPAutoencoder, VQAutoencoder
from research.training import durations, optimizers, precision, steps
from research.training.experiment import Experiment
from research.training.learner import Learner, ensemble

DEFAULT = "configs/vae/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A VAE, or the VQ-VAE where the config asks for it."""
  if config.model.name == "vq":
    return quantised(config)
  data = generative.load(config.data)
  train_data = training(data.train, config)
  total = steps_of(config, "duration", train_data)
  likelihood = likelihood_of(config.model)
  family = vae.vae(
    network(config, data.train, likelihood.parameters),
    likelihood,
    objective=config.train.objective,
    samples=config.train.samples,
    beta=config.train.beta,
    warmup=steps_of(config, "warmup", train_data, total),
    eval_samples=config.train.eval_samples,
    augment=vae.binarised if config.data.binarise else None,
  )
  learner = gradient_learner(family, config, train_data, total)
  left_out = classes_left_out(config.data.leave_out, data.train)
  if left_out:
    learner = without(learner, left_out)
  test_data = evaluation(data.test, config, config.data.eval_batch_size)
  predict = lambda state, path: vae_report.predictions(state, family, config, path, data.test, assembly(config))
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=evaluation(data.validation, config, config.data.eval_batch_size) if data.validation else None,
    test_data=test_data,
    report=lambda state: (
      vae_report.anomalies(state, family, left_out, test_data, data.test)
      if left_out
      else vae_report.report(state, family, config, evaluation(data.test, config, config.report.batch_size), data.test)
    ),
    predict=None if left_out else predict,
    definitions=vae.DEFINITIONS,
  )


def quantised(config: ml_collections.ConfigDict) -> Experiment:
  """A VQ-VAE."""
  data, model = generative.load(config.data), config.model
  train_data, test_data = training(data.train, config), evaluation(data.test, config, config.data.eval_batch_size)
  likelihood = likelihood_of(model, dequantise=False)
  shape, widths = image_shape(config, data.train), tuple(model.widths)
  compute = precision.dtype(config.train.precision)
  network = VQAutoencoder(shape, likelihood.parameters, model.code_size, widths, model.blocks, compute)
  family = vq_vae.vq_vae(network, likelihood, codes=model.codes, commitment=model.commitment, decay=model.code_decay)
  return Experiment(
    learner=gradient_learner(family, config, train_data, steps_of(config, "duration", train_data)),
    train_data=train_data,
    eval_data=evaluation(data.validation, config, config.data.eval_batch_size) if data.validation else None,
    test_data=test_data,
    report=lambda state: vq_report.report(state, family, config, test_data),
    predict=lambda state, path: vq_report.predictions(state, family, config, path, data.test, assembly(config)),
    definitions=vq_vae.DEFINITIONS,
  )


def likelihood_of(model: ml_collections.ConfigDict, dequantise: bool = True) -> vae.Likelihood:
  """p(x | z) by name; a VQ-VAE takes bytes as they are."""
  match model.likelihood:
    case "bernoulli":
      return vae.bernoulli()
    case "gaussian":
      return vae.gaussian(model.std or None, dequantise=dequantise)
    case "logistic":
      return vae.discretised_logistic()
  raise UserError("config.model.likelihood", model.likelihood, "choose bernoulli, gaussian or logistic.")


def network(config: ml_collections.ConfigDict, data: Examples, parameters: int):
  """Encoder and decoder, as `config.model` has them."""
  model = config.model
  shape, compute = image_shape(config, data), precision.dtype(config.train.precision)
  classes = data.num_classes if model.conditional else 0
  match model.name:
    case "mlp":
      return MLPAutoencoder(
        shape,
        parameters,
        latents=tuple(model.latents),
        hidden=tuple(model.hidden),
        activation=model.activation,
        dropout=model.dropout,
        num_classes=classes,
        dtype=compute,
      )
    case "conv":
      return ConvAutoencoder(
        shape,
        parameters,
        vector=model.vector,
        maps=tuple(model.maps),
        widths=tuple(model.widths),
        blocks=model.blocks,
        num_classes=classes,
        dtype=compute,
      )
  raise UserError("config.model.name", model.name, "choose mlp, conv or vq.")


def image_shape(config: ml_collections.ConfigDict, data: Examples) -> tuple[int, int, int]:
  """(height, width, channel); UserError where examples are no images of bytes."""
  if data.inputs.ndim != 4 or data.inputs.dtype != np.uint8:
    raise UserError("config.data.name", config.data.name, "name a set of images of bytes: these examples are none.")
  height, width, channels = data.inputs.shape[1:]
  return height, width, channels


def gradient_learner(family, config: ml_collections.ConfigDict, data: Dataset, total: int) -> Learner:
  """The gradient of the bound, and the optimizer of the config."""
  size = {"batch_size": data.batch_size, "num_examples": data.num_examples}
  optimizer, schedule = optimizers.from_config(config.optimizer.to_dict(), total_steps=total, **size)
  return steps.gradient_learner(
    init=family.init,
    loss=family.loss,
    evaluate=family.evaluate,
    optimizer=optimizer,
    schedule=schedule,
    ema_decay=config.train.ema_decay,
    accumulate=config.train.accumulate,
  )


def training(data: Examples, config: ml_collections.ConfigDict) -> Dataset:
  """Shuffled images 0 to 1; the field `step`, the same for every row, is what the weight of the KL rises by."""
  found = pipeline.shuffled(
    data.arrays, config.train.batch_size, seed=config.seed, name=data.name, assemble=pipeline.normalised()
  )
  feed = lambda step: {**found.feed(step), "step": np.full(found.batch_size, step, np.int32)}
  return dataclasses.replace(found, feed=feed)


def evaluation(data: Examples, config: ml_collections.ConfigDict, batch_size: int) -> Dataset:
  """Images in order, each known by its `index`."""
  found = pipeline.sequential(data.arrays, batch_size, name=data.name, assemble=assembly(config))
  return generative.identified(found)


def assembly(config: ml_collections.ConfigDict) -> pipeline.Assemble:
  """Images 0 to 1; where training binarises anew at each step, evaluation does so once, the same in every run."""
  plain = pipeline.normalised()

  def binarised(resident, fed):
    batch = plain(resident, fed)
    return {**batch, "inputs": vae.binarised(randomness.evaluation_keys(fed["index"], "binarise"), batch["inputs"])}

  return binarised if config.data.binarise else plain


def steps_of(config: ml_collections.ConfigDict, field: str, data: Dataset, total: int | None = None) -> int:
  """The duration `config.train.<field>` in steps."""
  size = {"batch_size": data.batch_size, "num_examples": data.num_examples}
  return durations.steps(config.train[field], **size, total_steps=total, field=f"config.train.{field}")


def classes_left_out(names: str, data: Examples) -> tuple[int, ...]:
  """The classes that `config.data.leave_out` names.

  Raises:
    UserError: there is no such class.
  """
  chosen = data.class_names if names == "all" else tuple(name.strip() for name in names.split(",") if name.strip())
  for name in chosen:
    if name not in data.class_names:
      raise UserError("config.data.leave_out", names, f"there is no class {name}: {', '.join(data.class_names)}.")
  return tuple(data.class_names.index(name) for name in chosen)


def without(learner: Learner, classes: tuple[int, ...]) -> Learner:
  """A model for each of the classes, trained side by side, that never learns from that class."""

  def view(member, batch, training):
    del training
    return {**batch, "mask": batch["mask"] * (batch["label"] != jnp.asarray(classes)[member])}

  return ensemble(learner, len(classes), view)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
