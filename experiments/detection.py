"""Detection: boxes around objects and what they are, by their centres.

  python -m experiments.detection                                             scenes of digits, embedded: two minutes
  python -m experiments.detection --config=configs/detection/scenes.py --config.data.data_dir=...
  python -m experiments.detection --config=configs/detection/own.py --config.data.path=folder
                                                                      of annotations.json, as COCO has it, and images/
  python -m experiments.detection --mode=predict --workdir=... --input=my_images/

Zhou, Wang & Krähenbühl 2019, "Objects as Points".
"""

from typing import NamedTuple

import jax
import ml_collections
import numpy as np

from experiments.command import cli
from experiments.parts import fields, learning, placed, splits
from experiments.reports import detection as detection_report
from research.data import coco, pipeline, remembered
from research.data.dataset import Dataset
from research.errors import UserError
from research.families import detection as family_lib
from research.networks.centre_net import CentreNet
from research.training import precision, steps
from research.training.experiment import Experiment, Program

DEFAULT = "configs/detection/digits.py"


class Data(NamedTuple):
  """Batches, and the names of the classes."""

  sets: splits.Splits[Dataset]
  class_names: tuple[str, ...]


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A detector of digits in scenes, or of what one's own boxes are around."""
  check(config)
  data, size = load(config), config.scene.size
  count = len(data.class_names)
  network = CentreNet(**config.model, num_classes=count, dtype=precision.dtype(config.train.precision))
  choice = {"candidates": config.detect.candidates, "overlap": config.detect.overlap}
  family = family_lib.detector(network, count, size_weight=config.train.size_weight, **choice)
  detect = jax.jit(lambda state, inputs: family.detect(steps.variables_of(state), inputs))
  use = detection_report.Use(detect, data.sets.test, data.class_names, config)
  return Experiment(
    learner=learning.gradient_learner(config, family, data.sets.train),
    train_data=data.sets.train,
    eval_data=data.sets.validation,
    test_data=data.sets.test,
    measure=use.average_precision,
    report=use.report,
    predict=use.predictions,
    definitions=family_lib.DEFINITIONS,
    program=Program(
      lambda state, inputs, index: detect(state, inputs["inputs"])._asdict(),
      {"inputs": np.zeros((1, size, size, 3), np.float32)},
      {"class_names": list(data.class_names)},
    ),
  )


def check(config: ml_collections.ConfigDict) -> None:
  """Raises UserError where the trunk does not fit the image, or the neck the trunk."""
  stages, size = len(config.model.widths), config.scene.size
  if config.model.level >= stages:
    raise UserError("config.model.level", config.model.level, f"give a stage of the trunk, 0 to {stages - 1}.")
  if size % 2 ** (stages + 1):
    remedy = f"give a multiple of {2 ** (stages + 1)}, for the {stages} stages of config.model.widths."
    raise UserError("config.scene.size", size, remedy)


def load(config: ml_collections.ConfigDict) -> Data:
  """Scenes of digits, or one's own images and boxes.

  Raises:
    UserError: no such set, or no such scenes.
  """
  data = config.data
  if not placed.is_own(data, "boxed", coco.at(data.path)):
    return Data(*placed.scenes(config, coco.KINDS))
  fields.refuse_unread(data, {"path", "validation"})
  boxed = remembered.data("boxed", lambda: splits.Splits(*coco.load(data.path, config.scene.size, data.validation)))
  return Data(splits.datasets(boxed, config, pipeline.normalised()), boxed.train.class_names)


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
