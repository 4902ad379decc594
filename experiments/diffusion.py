"""Diffusion models: points, images and sound out of noise.

  python -m experiments.diffusion                                          digits, embedded: two minutes
  python -m experiments.diffusion --config=configs/diffusion/mnist.py --config.data.data_dir=...
  python -m experiments.diffusion --mode=evaluate --workdir=...            measures and figures again
  python -m experiments.diffusion --mode=predict --workdir=...             samples, as arrays
  python -m experiments.diffusion --mode=predict --workdir=... --input=images.npz    inpaints, enlarges, redraws them
  python -m experiments.diffusion --config.data.limit=100 --config.report.augment=2000
                                   a classifier learns from 100 labels, and from them and the samples of a model of them

Ho, Jain & Abbeel 2020; Song et al. 2021; Kingma et al. 2021; Karras et al. 2022; Lipman et al. 2023.
"""

from typing import NamedTuple

import flax.linen as nn
import ml_collections

from experiments.command import cli
from experiments.parts import generative
from experiments.reports import diffusion as diffusion_report
from research.data import examples, mixtures, pipeline, spoken_digits
from research.errors import UserError
from research.families.diffusion import generation, samplers
from research.families.diffusion import model as family
from research.networks import dit
from research.networks.conditioned import ConditionedMLP
from research.networks.unet import UNet
from research.training import durations, optimizers, precision, steps
from research.training.experiment import Experiment

DEFAULT = "configs/diffusion/digits.py"


class Data(NamedTuple):
  """Training, validation and test set, and what inputs are brought to zero mean and unit range by."""

  kind: str
  train: examples.Examples
  validation: examples.Examples | None
  test: examples.Examples
  mean: float
  std: float


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A diffusion model of whatever the config's data are."""
  data, train = load(config.data), config.train
  num_classes = data.train.num_classes if config.model.conditional else 0
  model = family.diffusion(
    network(config.model, num_classes, precision.dtype(train.precision)),
    config.model.process,
    predicts=config.model.predicts,
    weighting=train.weighting,
    times=train.times,
    data_std=config.model.data_std,
    num_classes=num_classes,
    label_dropout=train.label_dropout,
  )
  draw = generator(config.sampler, model)
  assemble = pipeline.normalised(data.mean, data.std)
  train_data = pipeline.shuffled(
    data.train.arrays, train.batch_size, seed=config.seed, name=data.train.name, assemble=assemble
  )
  size = {"batch_size": train.batch_size, "num_examples": train_data.num_examples}
  total = durations.steps(train.duration, **size, field="config.train.duration")
  optimizer, schedule = optimizers.from_config(config.optimizer.to_dict(), total_steps=total, **size)
  learner = steps.gradient_learner(
    init=model.init,
    loss=model.loss,
    evaluate=model.evaluate,
    optimizer=optimizer,
    schedule=schedule,
    ema_decay=train.ema_decay,
    accumulate=train.accumulate,
  )
  measured = lambda part: generative.identified(
    pipeline.sequential(part.arrays, config.data.eval_batch_size, name=part.name, assemble=assemble)
  )
  use = diffusion_report.Use(config, model, draw, data)
  return Experiment(
    learner=learner,
    train_data=train_data,
    eval_data=measured(data.validation) if data.validation else None,
    test_data=measured(data.test),
    report=use.report,
    predict=use.predict,
    definitions=family.DEFINITIONS,
  )


def load(config: ml_collections.ConfigDict) -> Data:
  """Points of a known density, spoken digits, or labelled images.

  Raises:
    UserError: no such set, or more training examples asked for than there are.
  """
  kept = round(100 * (1 - config.validation))
  parts = (f"train[:{kept}%]", f"train[{kept}%:]") if kept < 100 else ("train", "")
  if config.name in mixtures.MIXTURES:
    sets = [mixtures.load(config.name, split, count) for split, count in (("train", config.points), ("test", 10_000))]
    data = Data("points", sets[0], None, sets[1], 0.0, 1.0)
  elif config.name == spoken_digits.NAME:
    read = lambda split: spoken_digits.load(split, config.path or None, config.length)
    validation = read(parts[1]) if parts[1] else None
    data = Data("sound", read(parts[0]), validation, read("test"), 0.0, 1.0)
  else:
    splits = generative.load(config)
    data = Data("images", splits.train, splits.validation, splits.test, 0.5, 0.5)
  if not 0 <= config.limit <= len(data.train):
    raise UserError("config.data.limit", config.limit, f"there are {len(data.train)} training examples; 0 uses all.")
  return data._replace(train=data.train.select(slice(config.limit))) if config.limit else data


def network(model: ml_collections.ConfigDict, num_classes: int, dtype) -> nn.Module:
  """The network that a config's `model` names.

  Raises:
    UserError: there is none, or none with such heads, window or mixing.
  """
  if model.name == "mlp":
    return ConditionedMLP(model.features, model.depth, num_classes, dtype)
  if model.name == "unet":
    return UNet(
      model.widths, model.blocks, model.attention, num_classes=num_classes, dropout=model.dropout, dtype=dtype
    )
  if model.name != "dit":
    raise UserError("config.model.name", model.name, "choose mlp, unet or dit.")
  if model.features % model.heads:
    raise UserError("config.model.heads", model.heads, f"it must divide config.model.features, {model.features}.")
  if model.mixing not in dit.MIXING:
    raise UserError("config.model.mixing", model.mixing, f"choose one of {', '.join(dit.MIXING)}.")
  if model.window < 1:
    raise UserError("config.model.window", model.window, "it is a number of patches: at least 1.")
  return dit.DiT(
    model.features,
    model.depth,
    model.heads,
    model.patch,
    model.window,
    model.mixing,
    num_classes=num_classes,
    dropout=model.dropout,
    dtype=dtype,
  )


def generator(sampler: ml_collections.ConfigDict, model: family.Diffusion) -> generation.Generator:
  """What a config's `sampler` draws with."""
  method = samplers.by_name(sampler.name, sampler.eta, sampler.churn)
  options = {key: sampler[key] for key in ("spacing", "guidance", "guidance_interval", "loop")}
  return generation.generator(model, method, sampler.steps, **options)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
