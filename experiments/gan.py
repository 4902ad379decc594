"""Generative adversarial networks: on points of the plane, on images, on classes of images.

  python -m experiments.gan                                        digits, embedded: two minutes
  python -m experiments.gan --config=configs/gan/gaussians.py      25 Gaussians on a grid; :ring for eight on a circle
  python -m experiments.gan --config=configs/gan/mnist.py --config.data.data_dir=...
  python -m experiments.gan --mode=predict --workdir=...           samples, as predictions.npz

Goodfellow et al. 2014; Radford et al. 2016 (DCGAN); the losses and penalties: `research/families/gan.py`.
"""

from typing import Any

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields, generative, learning, splits
from experiments.reports import gan as gan_report
from experiments.reports.gan import Data
from research.data import mixtures, pipeline, stacked
from research.errors import UserError
from research.families import diffaugment
from research.families import gan as family_lib
from research.networks import dcgan
from research.training import game, precision
from research.training.experiment import Experiment, Program

DEFAULT = "configs/gan/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A generator and a discriminator, their optimizers, and their data."""
  model, train = config.model, config.train
  data = points(config) if config.data.name in mixtures.MIXTURES else images(config)
  family = family_lib.gan(
    *networks(model, data, precision.dtype(train.precision)),
    latent_size=model.latent_size,
    loss=model.loss,
    gradient_penalty=model.gradient_penalty,
    r1=model.r1,
    augment=diffaugment.policy(model.augment),
  )
  learner = learning.game_learner(config, family, data.sets.train, critic_steps=train.critic_steps)
  report = gan_report.points if data.mixture else gan_report.images
  return Experiment(
    learner=learner,
    train_data=data.sets.train,
    eval_data=data.sets.validation,
    test_data=data.sets.test,
    report=lambda state: report(gan_report.Sampler(family, state, data, config), config),
    predict=lambda state, path: gan_report.predictions(gan_report.Sampler(family, state, data, config), path, config),
    sample=lambda state: gan_report.predictions(gan_report.Sampler(family, state, data, config), "", config),
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, _: family.sample(game.generator_of(state), inputs["z"], inputs["label"]),
      {"z": np.zeros((1, model.latent_size), np.float32), "label": np.zeros(1, np.int32)},
    ),
  )


def networks(model: ml_collections.ConfigDict, data: Data, dtype) -> tuple[nn.Module, nn.Module]:
  """The generator and the discriminator that a config's `model` names."""
  norm = model.critic_norm
  options: dict[str, Any] = {"num_classes": data.num_classes if model.conditional else 0, "dtype": dtype}
  if data.mixture and model.augment:
    raise UserError("config.model.augment", tuple(model.augment), "only images are augmented: leave it out.")
  match model.name:
    case "dcgan" if len(data.shape) == 3:
      height, width, channels = data.shape
      generator = dcgan.Generator((height, width, channels), tuple(model.dcgan.generator_widths), **options)
      return generator, dcgan.Discriminator(tuple(model.dcgan.critic_widths), norm, **options)
    case "mlp" if norm != "batch":
      mlp = model.mlp
      generator = dcgan.MLPGenerator(
        data.shape, tuple(mlp.generator_widths), mlp.output, batch_norm=mlp.generator_norm, **options
      )
      return generator, dcgan.MLPDiscriminator(tuple(mlp.critic_widths), norm, **options)
    case "mlp":
      raise UserError("config.model.critic_norm", norm, "of mlp, choose spectral or none.")
  raise UserError("config.model.name", model.name, "choose dcgan (images) or mlp (images and points).")


def points(config: ml_collections.ConfigDict) -> Data:
  """A mixture of Gaussians, at unit scale."""
  name = config.data.name
  fields.refuse_unread(config.data, {"validation"})
  mixture = mixtures.MIXTURES[name]()
  scale = float(np.sqrt((mixture.centres**2).mean() + mixture.std**2))
  assemble = pipeline.normalised(0, scale)
  parts = splits.with_own_validation(lambda split: mixtures.load(name, split, config.data.examples), config.data)
  sets = splits.datasets(parts, config, assemble)
  return Data(sets, (2,), parts.train.label, len(mixture.centres), scale=scale, mixture=mixture)


def images(config: ml_collections.ConfigDict) -> Data:
  """Images in the range of the generator's output."""
  data, seed, batch_size = config.data, config.seed, config.train.batch_size
  parts = generative.load_pixels(data, config.model.conditional or data.stacked)
  signed = config.model.name == "dcgan" or config.model.mlp.output == "tanh"
  assemble = pipeline.normalised(0.5, 0.5) if signed else pipeline.normalised()
  classes, (*sides, channels) = parts.train.num_classes, parts.train.inputs.shape[1:]
  if data.stacked:
    train = stacked.stacked(parts.train, batch_size, seed=seed, train=True, assemble=assemble)
    measured = lambda part: stacked.stacked(part, data.eval_batch_size, seed=0, train=False, assemble=assemble)
    sets = parts.map(measured)._replace(train=train)
    channels, classes = stacked.CHANNELS, classes**stacked.CHANNELS
  else:
    sets = splits.datasets(parts, config, assemble)
  labels = np.arange(classes) if data.stacked else parts.train.label
  return Data(sets, (*sides, channels), labels, classes, signed, images=parts)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
