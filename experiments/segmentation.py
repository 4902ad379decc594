"""Semantic segmentation: the class of every pixel, by the U-Net of the diffusion models.

  python -m experiments.segmentation                                          scenes of digits, embedded: two minutes
  python -m experiments.segmentation --config=configs/segmentation/scenes.py --config.data.data_dir=...
  python -m experiments.segmentation --config=configs/segmentation/own.py --config.data.path=folder
                                                                              of images/ and masks/ of the same names
  python -m experiments.segmentation --mode=predict --workdir=... --input=my_images/      of any size

Ronneberger, Fischer & Brox 2015; Milletari, Navab & Ahmadi 2016 (the Dice loss).
"""

from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields, generative, learning, placed, splits
from research.data import images, masks, pipeline, remembered
from research.data.dataset import Dataset
from research.errors import UserError
from research.evaluation import figures, segments
from research.families import segmentation as family_lib
from research.networks.unet import UNet
from research.training import precision, steps
from research.training.experiment import Experiment, Program, Report

DEFAULT = "configs/segmentation/digits.py"


class Data(NamedTuple):
  """Batches, the names of the classes, and what is odd about them."""

  sets: splits.Splits[Dataset]
  class_names: tuple[str, ...]
  notes: tuple[str, ...] = ()


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A segmenter of scenes, or of one's own images."""
  data, model = load(config), config.model
  if len(model.widths) != len(model.attention):
    remedy = f"give one for each of config.model.widths, of which there are {len(model.widths)}."
    raise UserError("config.model.attention", model.attention, remedy)
  network = UNet(**model, outputs=len(data.class_names), dtype=precision.dtype(config.train.precision))
  family = family_lib.segmenter(network, data.class_names, dice=config.train.dice)
  size = config.scene.size
  logits = lambda state, inputs: family.logits(steps.variables_of(state), inputs)

  def predict(state, path: str):
    return predictions(jax.jit(lambda inputs: jax.nn.softmax(logits(state, inputs))), path, size, data.class_names)

  return Experiment(
    learner=learning.gradient_learner(config, family, data.sets.train),
    train_data=data.sets.train,
    eval_data=data.sets.validation,
    test_data=data.sets.test,
    derive=family_lib.miou,
    report=lambda state: report(state, logits, data, config.report.samples),
    predict=predict,
    definitions=family_lib.definitions(data.class_names),
    notes=data.notes,
    program=Program(
      lambda state, inputs, index: {"classes": logits(state, inputs["inputs"]).argmax(-1)},
      {"inputs": np.zeros((1, size, size, 3), np.float32)},
    ),
  )


def load(config: ml_collections.ConfigDict) -> Data:
  """Scenes of digits, none of which is in two of train, validation and test; or tiles of one's own images.

  Raises:
    UserError: no such set, or no such scenes.
  """
  data = config.data
  if placed.is_own(data, "tiles", masks.at(data.path)):
    fields.refuse_unread(data, {"path", "validation"})
    tiles = remembered.data("tiles", lambda: splits.Splits(*masks.load(data.path, config.scene.size, data.validation)))
    return Data(splits.datasets(tiles, config, own_pixels), tiles.train.class_names, masks.notes(tiles.train))
  sets, names = placed.scenes(config, masks.KINDS)
  return Data(sets, ("ground", *names))


def own_pixels(resident, fed):
  """Bytes as 0 to 1, and classes as numbers."""
  batch = pipeline.normalised()(resident, fed)
  return {**batch, "classes": batch["classes"].astype(jnp.int32)}


def report(state, logits, data: Data, samples: int) -> Report:
  """Test images, what they are and what they are taken for."""
  test, count = data.sets.test, len(data.class_names)
  first = jax.jit(lambda resident, fed: test.assemble(resident, fed))(dict(test.resident), test.feed(0))
  inputs, classes = (np.asarray(first[name])[:samples] for name in ("inputs", "classes"))
  classify = jax.jit(lambda inputs: logits(state, inputs).argmax(-1))
  guesses = generative.batched(lambda inputs: classify(inputs), len(inputs), inputs)
  rows = [inputs, *([segments.overlay(*pair, count) for pair in zip(inputs, of)] for of in (classes, guesses))]
  title = "images; the classes of their pixels; what they are taken for"
  return Report(figures={"segments": figures.image_grid(np.concatenate(rows), columns=len(inputs), title=title)})


def predictions(function, path: str, size: int, class_names: tuple[str, ...]) -> dict[str, np.ndarray | bytes]:
  """Of each image at `path` a mask and an overlay, and the share of its pixels that each class has.

  Raises:
    UserError: there is no image.
  """
  files, outputs, shares = masks.listed(Path(path).expanduser(), "--input"), {}, []
  for i, file in enumerate(files):
    image = images.decode(file, 3, None, str(file)).astype(np.float32) / 255
    classes = segments.stitched(lambda tiles: np.asarray(function(tiles)), image, size, 16).argmax(-1)
    shares.append(np.bincount(classes.ravel(), minlength=len(class_names)) / classes.size)
    outputs[f"{i:04d}_{file.stem}.png"] = segments.png(classes.astype(np.uint8))
    painted = segments.overlay(image, classes, len(class_names))
    outputs[f"{i:04d}_{file.stem}_overlay.png"] = segments.png((255 * painted).astype(np.uint8))
  named = {"name": np.asarray([str(file) for file in files]), "class_names": np.asarray(class_names)}
  return {**outputs, **named, "share": np.stack(shares)}


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
