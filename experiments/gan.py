"""Generative adversarial networks: on points of the plane, on images, on classes of images.

  python -m experiments.gan                                        digits, embedded: two minutes
  python -m experiments.gan --config=configs/gan/gaussians.py      25 Gaussians on a grid; :ring for eight on a circle
  python -m experiments.gan --config=configs/gan/mnist.py --config.data.data_dir=...
  python -m experiments.gan --mode=predict --workdir=...           samples, as predictions.npz

Goodfellow et al. 2014; Radford et al. 2016 (DCGAN); the losses and penalties: `research/families/gan.py`.
"""

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import generative
from experiments.reports import gan as gan_report
from experiments.reports.gan import Data
from research.data import mixtures, pipeline, stacked
from research.data.examples import Examples
from research.errors import UserError
from research.families import diffaugment
from research.families import gan as family_lib
from research.networks import dcgan
from research.training import durations, game, optimizers, precision
from research.training.experiment import Experiment

DEFAULT = "configs/gan/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A generator and a discriminator, their optimizers, and their data."""
  model, train = config.model, config.train
  data = _points(config) if config.data.name in mixtures.MIXTURES else _images(config)
  family = family_lib.gan(
    *networks(model, data, precision.dtype(train.precision)),
    latent_size=model.latent_size,
    loss=model.loss,
    gradient_penalty=model.gradient_penalty,
    r1=model.r1,
    augment=diffaugment.policy(model.augment),
  )
  size = {"batch_size": train.batch_size, "num_examples": data.train.num_examples}
  size["total_steps"] = durations.steps(train.duration, **size, field="config.train.duration")
  optimizer, schedule = optimizers.from_config(config.optimizer.to_dict(), **size)
  critic_optimizer, _ = optimizers.from_config(config.critic_optimizer.to_dict(), **size)
  learner = game.game_learner(
    init=family.init,
    generate=family.generate,
    critic_loss=family.critic_loss,
    generator_loss=family.generator_loss,
    evaluate=family.evaluate,
    generator_optimizer=optimizer,
    critic_optimizer=critic_optimizer,
    schedule=schedule,
    critic_steps=train.critic_steps,
    ema_decay=train.ema_decay,
  )
  report = gan_report.points if data.mixture else gan_report.images
  return Experiment(
    learner=learner,
    train_data=data.train,
    eval_data=data.validation,
    test_data=data.test,
    report=lambda state: report(gan_report.Sampler(family, state, data, config), config),
    predict=lambda state, path: gan_report.predictions(gan_report.Sampler(family, state, data, config), path, config),
    definitions=family_lib.DEFINITIONS,
  )


def networks(model: ml_collections.ConfigDict, data: Data, dtype) -> tuple[nn.Module, nn.Module]:
  """The generator and the discriminator that a config's `model` names."""
  classes, norm = (data.num_classes if model.conditional else 0), model.critic_norm
  widths, critic_widths = tuple(model.generator_widths), tuple(model.critic_widths)
  match model.network:
    case "dcgan" if len(data.shape) == 3:
      height, width, channels = data.shape
      made = dcgan.Generator((height, width, channels), widths, num_classes=classes, dtype=dtype)
      return made, dcgan.Discriminator(critic_widths, norm, num_classes=classes, dtype=dtype)
    case "mlp" if norm != "batch":
      made = dcgan.MLPGenerator(
        data.shape, widths, model.output, batch_norm=model.generator_norm, num_classes=classes, dtype=dtype
      )
      return made, dcgan.MLPDiscriminator(critic_widths, norm, num_classes=classes, dtype=dtype)
    case "mlp":
      raise UserError("config.model.critic_norm", norm, "of mlp, choose spectral or none.")
  raise UserError("config.model.network", model.network, "choose dcgan (images) or mlp (images and points).")


def _points(config: ml_collections.ConfigDict) -> Data:
  """A mixture of Gaussians, at unit scale."""
  name, size = config.data.name, config.data.eval_batch_size
  mixture = mixtures.MIXTURES[name]()
  scale = float(np.sqrt((mixture.centres**2).mean() + mixture.std**2))
  assemble = pipeline.normalised(0, scale)
  train, validation, test = (mixtures.load(name, s, config.data.examples) for s in ("train", "validation", "test"))
  return Data(
    train=pipeline.shuffled(
      train.arrays, config.train.batch_size, seed=config.seed, name=train.name, assemble=assemble
    ),
    validation=pipeline.sequential(validation.arrays, size, name=validation.name, assemble=assemble),
    test=pipeline.sequential(test.arrays, size, name=test.name, assemble=assemble),
    shape=(2,),
    labels=train.label,
    num_classes=len(mixture.centres),
    scale=scale,
    mixture=mixture,
  )


def _images(config: ml_collections.ConfigDict) -> Data:
  """Images in the range of the generator's output."""
  data = config.data
  splits = generative.load(data)
  assert isinstance(splits.train, Examples)  # which `load` sees to
  assert isinstance(splits.test, Examples)
  signed = config.model.network == "dcgan" or config.model.output == "tanh"
  assemble = pipeline.normalised(0.5, 0.5) if signed else pipeline.normalised()

  def measured(examples):
    if data.stacked:
      return stacked.stacked(examples, data.eval_batch_size, seed=0, train=False, assemble=assemble)
    return pipeline.sequential(examples.arrays, data.eval_batch_size, name=examples.name, assemble=assemble)

  if data.stacked:
    train = stacked.stacked(splits.train, config.train.batch_size, seed=config.seed, train=True, assemble=assemble)
  else:
    train = pipeline.shuffled(
      splits.train.arrays, config.train.batch_size, seed=config.seed, name=splits.train.name, assemble=assemble
    )
  height, width, channels = splits.train.inputs.shape[1:]
  classes = splits.train.num_classes ** (stacked.CHANNELS if data.stacked else 1)
  return Data(
    train=train,
    validation=measured(splits.validation) if splits.validation else None,
    test=measured(splits.test),
    shape=(height, width, stacked.CHANNELS if data.stacked else channels),
    labels=np.arange(classes) if data.stacked else splits.train.label,
    num_classes=classes,
    signed=signed,
    images=(splits.train, splits.test),
  )


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
