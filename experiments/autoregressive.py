"""Autoregressive models: exact likelihoods, element after element, of images and of sound.

  python -m experiments.autoregressive                                     digits, embedded: two minutes
  python -m experiments.autoregressive --config=configs/autoregressive/binarized_mnist.py:made --config.data.path=...
  python -m experiments.autoregressive --config=configs/autoregressive/spoken_digits.py --config.data.path=...
  python -m experiments.autoregressive --mode=evaluate --workdir=...       likelihood, and every figure again
  python -m experiments.autoregressive --mode=predict --workdir=... [--input=images.npz]
                                       samples; or the log-likelihood of images, and what their lower halves could be

Germain et al. 2015 (MADE); van den Oord et al. 2016b (gated PixelCNN), 2016c (WaveNet); Salimans et al. 2017.
"""

from typing import Any

import flax.linen as nn
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields, generative, learning, splits
from experiments.reports import autoregressive as report_lib
from research.data import pipeline, remembered, spoken_digits
from research.data.examples import Examples
from research.errors import UserError
from research.families import autoregressive as family_lib
from research.networks.made import TokenMADE
from research.networks.pixelcnn import PixelCNN
from research.networks.wavenet import WaveNet
from research.training import precision
from research.training.experiment import Experiment, Program

DEFAULT = "configs/autoregressive/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """An autoregressive model of the config's images, or of its recordings."""
  data, model = load(config.data), config.model
  head = family_lib.by_name(model.head, config.data.levels, model.components)
  net = network(config, data.train, head)
  family = family_lib.autoregressive(net, head, conditional=model.conditional)
  sets = splits.datasets(data, config, pipeline.normalised())
  use = report_lib.Use(config, family, net, data.test)
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


def load(data: ml_collections.ConfigDict) -> splits.Splits[Examples]:
  """Grey images of bytes; or sound, whose samples are levels by the mu-law, as bytes too.

  Raises:
    UserError: no such set, colours, or sound of more than 256 levels.
  """
  if not 2 <= data.levels <= 256:
    raise UserError("config.data.levels", data.levels, "give 2 to 256: elements are bytes.")
  if data.name == spoken_digits.NAME:
    if data.levels != 256:
      raise UserError("config.data.levels", data.levels, "sound has 256 levels here, as in the paper.")
    fields.refuse_unread(data, {"validation", "path"})
    read = lambda split: _companded(spoken_digits.load(split, data.path or None, data.length))
    return remembered.data("recordings", lambda: splits.of(read("train"), read("test"), data.validation))
  images = generative.load_pixels(data)
  if images.test.inputs.shape[-1] != 1:
    raise UserError("config.data.name", data.name, "name a set of grey images, or config.data.channels = 1.")
  return images


def _companded(sound: Examples) -> Examples:
  return Examples(sound.name, family_lib.mu_law(sound.inputs).astype(np.uint8), sound.label, sound.class_names)


def network(config: ml_collections.ConfigDict, data: Examples, head: family_lib.Head) -> nn.Module:
  """The network that the config's `model` names.

  Raises:
    UserError: it is for other data.
  """
  model, sound = config.model, data.inputs.ndim == 3
  if (model.name == "pixelcnn" and sound) or (model.name == "wavenet" and not sound):
    raise UserError("config.model.name", model.name, "pixelcnn is for images, wavenet for sound, made for both.")
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
  raise UserError("config.model.name", model.name, "choose made, pixelcnn or wavenet.")


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
