"""Diffusion models: points, images and sound out of noise; text out of what is hidden.

  python -m experiments.diffusion                                          digits, embedded: two minutes
  python -m experiments.diffusion --config=configs/diffusion/mnist.py --config.data.data_dir=...
  python -m experiments.diffusion --mode=predict --workdir=...             samples, as arrays
  python -m experiments.diffusion --mode=predict --workdir=... --input=images.npz    inpaints, enlarges, redraws them
  python -m experiments.diffusion --config=configs/diffusion/text.py       characters, hidden and told again
  python -m experiments.diffusion --config=configs/diffusion/films.py      films of moving digits
  python -m experiments.diffusion --config=configs/diffusion/captions.py   scenes of digits by what is said of them
  python -m experiments.diffusion --mode=predict --workdir=... --input="The ▁▁▁▁ of"    fills them in
  python -m experiments.diffusion --config.data.limit=100 --config.report.augment=2000
                                   a classifier learns from 100 labels, and from them and the samples of a model of them

Ho, Jain & Abbeel 2020; Song et al. 2021; Kingma et al. 2021; Karras et al. 2022; Lipman et al. 2023; Austin et al.
2021, Sahoo et al. 2024 (text); Ho et al. 2022 (films); Rombach et al. 2022 (captions).
"""

from typing import Any, NamedTuple

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import absorbing, captions, fields, film_diffusion, generative, learning, sound, splits
from experiments.reports import diffusion as diffusion_report
from research.data import mixtures, pipeline, spoken_digits
from research.data.examples import Examples
from research.errors import UserError
from research.evaluation.generative import subset
from research.families.diffusion import generation, samplers
from research.families.diffusion import model as family
from research.networks import dit
from research.networks.conditioned import ConditionedMLP
from research.networks.unet import UNet
from research.training import precision
from research.training.experiment import Experiment, Program

DEFAULT = "configs/diffusion/digits.py"
TASKS = ("text", "captions", "films")  # of configs that say one; the others are of points, images or sound


class Data(NamedTuple):
  """Points, sound or images, as they were read; what inputs are brought to zero mean and unit range by; of sound, its
  samples a second."""

  kind: str
  parts: splits.Splits[Examples]
  mean: float
  std: float
  rate: int = 0


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A diffusion model of whatever the config's data are."""
  if "task" in config:
    fields.check_task(config, TASKS)
    match config.task:
      case "text":
        return absorbing.experiment(config)
      case "captions":
        return captions.experiment(config, generator)
      case "films":
        return film_diffusion.experiment(config, generator)
  data, train = load(config), config.train
  num_classes = data.parts.train.num_classes if config.model.conditional else 0
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
  sets = splits.datasets(data.parts, config, pipeline.normalised(data.mean, data.std))
  measured = sets.map(generative.identified)
  use = diffusion_report.Use(config, model, generator(config.sampler, model), data)
  return Experiment(
    learner=learning.gradient_learner(config, model, sets.train),
    train_data=sets.train,
    eval_data=measured.validation,
    test_data=measured.test,
    report=use.report,
    predict=use.predict,
    sample=lambda state: use.predict(state, ""),
    definitions=family.DEFINITIONS,
    program=Program(use.samples, {"seed": np.zeros(1, np.int32), "label": np.zeros(1, np.int32)}),
  )


def load(config: ml_collections.ConfigDict) -> Data:
  """Points of a known density, spoken digits, or labelled images.

  Raises:
    UserError: no such set, or more training examples asked for than there are.
  """
  data = config.data
  if data.name in mixtures.MIXTURES:
    fields.refuse_unread(data, {"validation"})
    train, test = (mixtures.load(data.name, *part) for part in (("train", data.points), ("test", 10_000)))
    whole = Data("points", splits.of(train, test, data.validation), 0.0, 1.0)
  elif data.name == spoken_digits.NAME:
    recordings, rate = sound.recordings(data, labels=config.model.conditional)
    whole = Data("sound", recordings, 0.0, 1.0, rate)
  else:
    whole = Data("images", generative.load_pixels(data, config.model.conditional), 0.5, 0.5)
  train = whole.parts.train
  if not 0 <= data.limit <= len(train):
    raise UserError("config.data.limit", data.limit, f"there are {len(train)} training examples; 0 uses all.")
  if data.limit:
    train = train.select(subset(len(train), data.limit, config.seed))
  return whole._replace(parts=whole.parts._replace(train=train))


def network(model: ml_collections.ConfigDict, num_classes: int, dtype) -> nn.Module:
  """The network that a config's `model` names.

  Raises:
    UserError: there is none, or none with such heads, window, mixing or stages.
  """
  options: dict[str, Any] = {"num_classes": num_classes, "dtype": dtype}
  match model.name:
    case "mlp":
      return ConditionedMLP(model.mlp.features, model.mlp.depth, **options)
    case "unet":
      widths, attention = model.unet.widths, model.unet.attention
      if len(widths) != len(attention):
        remedy = f"give one for each of config.model.unet.widths, of which there are {len(widths)}."
        raise UserError("config.model.unet.attention", attention, remedy)
      return UNet(**model.unet, **options)
    case "dit":
      check(model.dit)
      return dit.DiT(**model.dit, **options)
  raise UserError("config.model.name", model.name, "choose mlp, unet or dit.")


def check(model: ml_collections.ConfigDict) -> None:
  """Raises UserError where a transformer cannot be built of these fields."""
  if model.heads < 1 or model.features % model.heads:
    raise UserError(
      "config.model.dit.heads", model.heads, f"it must divide config.model.dit.features, {model.features}."
    )
  if model.mixing not in dit.MIXING:
    raise UserError("config.model.dit.mixing", model.mixing, f"choose one of {', '.join(dit.MIXING)}.")
  for field in ("window", "patch"):
    if model[field] < 1:
      raise UserError(f"config.model.dit.{field}", model[field], "it is a length: at least 1.")


def generator(sampler: ml_collections.ConfigDict, model: family.Diffusion) -> generation.Generator:
  """What a config's `sampler` draws with."""
  method = samplers.by_name(sampler.name, sampler.eta, sampler.churn)
  options = {key: sampler[key] for key in ("spacing", "guidance", "guidance_interval", "loop") if key in sampler}
  return generation.generator(model, method, sampler.steps, **options)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
