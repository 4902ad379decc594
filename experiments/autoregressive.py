"""Autoregressive models: exact likelihoods, element after element, of images, sound, music and of a VQ-VAE's codes.

  python -m experiments.autoregressive                                     digits, embedded: two minutes
  python -m experiments.autoregressive --config=configs/autoregressive/binarized_mnist.py:made --config.data.path=...
  python -m experiments.autoregressive --config=configs/autoregressive/spoken_digits.py --config.data.path=...
  python -m experiments.autoregressive --config=configs/autoregressive/codes.py [--config.data.codes=RUN]
                                       images by a VQ-VAE (a run of experiments.vae): a prior over its codes
  python -m experiments.autoregressive --mode=evaluate --workdir=...       likelihood, and every figure again
  python -m experiments.autoregressive --mode=predict --workdir=... [--input=images.npz]
                                       samples; or the log-likelihood of images, and what their lower halves could be

Germain et al. 2015 (MADE); van den Oord et al. 2016b (gated PixelCNN), 2016c (WaveNet); Salimans et al. 2017;
Parmar et al. 2018 (Image Transformer).
"""

from typing import Any

import flax.linen as nn
import ml_collections

from experiments.command import cli
from experiments.parts import elements, learning, splits
from experiments.reports import autoregressive as report_lib
from research.errors import UserError
from research.families import autoregressive as family_lib
from research.networks.made import TokenMADE
from research.networks.pixelcnn import PixelCNN
from research.networks.raster_transformer import RasterTransformer
from research.networks.wavenet import WaveNet
from research.training import precision
from research.training.experiment import Experiment, Program

DEFAULT = "configs/autoregressive/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """An autoregressive model of the config's images, recordings, codes or pieces."""
  data, model = elements.load(config.data, config.model.conditional), config.model
  head = family_lib.by_name(model.head, config.data.levels, model.components)
  net = network(config, data, head)
  augment = None
  if config.train.transpose:
    if data.kind != "voices":
      raise UserError("config.train.transpose", config.train.transpose, "it is for music: leave it at 0.")
    augment = family_lib.transposed(config.train.transpose, head.levels)
  family = family_lib.autoregressive(net, head, conditional=model.conditional, augment=augment)
  sets = splits.datasets(data.parts, config, data.assemble)
  use = report_lib.Use(config, family, net, data)
  return Experiment(
    learner=learning.gradient_learner(config, family, sets.train),
    train_data=sets.train,
    eval_data=sets.validation,
    test_data=sets.test,
    report=use.report,
    predict=use.predict,
    sample=lambda state: use.predict(state, ""),
    definitions=family_lib.DEFINITIONS,
    program=Program.of_batches(use.log_likelihood, sets.test),
  )


def network(config: ml_collections.ConfigDict, data: elements.Elements, head: family_lib.Head) -> nn.Module:
  """The network that the config's `model` names.

  Raises:
    UserError: it is for other data.
  """
  model = config.model
  fitting = {"made": ("images", "sound", "codes"), "pixelcnn": ("images", "codes"), "wavenet": ("sound",)}
  fitting["transformer"] = ("images", "codes", "voices")
  if data.kind not in fitting[model.name]:
    others = ", ".join(name for name, kinds in fitting.items() if data.kind in kinds)
    raise UserError("config.model.name", model.name, f"it is not for {data.kind}: choose one of {others}.")
  if model.conditional and not data.num_classes:
    raise UserError("config.model.conditional", True, f"{config.data.name} has no labels: leave it out.")
  part = model[model.name]
  shared: dict[str, Any] = {
    "num_classes": data.num_classes if model.conditional else 0,
    "dtype": precision.dtype(config.train.precision),
  }
  match model.name:
    case "made":
      options: dict[str, Any] = {"hidden": tuple(part.hidden), "seed": part.seed, "dropout": part.dropout}
      return TokenMADE(head.size, head.levels, **options, **shared)
    case "pixelcnn":
      return PixelCNN(head.size, head.levels, **part.to_dict(), **shared)
    case "wavenet":
      return WaveNet(head.size, head.levels, tuple(part.dilations), part.width, part.skip, **shared)
    case "transformer":
      return RasterTransformer(head.size, head.levels, (data.shape[0], data.shape[1]), **part.to_dict(), **shared)
  raise UserError("config.model.name", model.name, "choose made, pixelcnn, transformer or wavenet.")


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
