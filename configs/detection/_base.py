"""The fields of a detector."""

import ml_collections

from configs import _scenes, common


def base() -> ml_collections.ConfigDict:
  """Those of scenes, with a small residual trunk and a neck."""
  config = _scenes.scenes()
  config.model = ml_collections.ConfigDict(
    {
      "widths": (24, 48, 96),  # channels of the stages, each of which halves the image, as the stem did
      "blocks": 1,  # residual blocks a stage
      "level": 1,  # stage to whose resolution the neck comes up again, from 0: cells of 2^(level + 2) pixels
      "features": 64,  # channels of the neck and of the heads
    }
  )
  config.detect = ml_collections.ConfigDict(
    {
      "candidates": 20,  # most objects of an image
      "overlap": 0.5,  # IoU above which the less probable of two of a class is suppressed
      "score": 0.3,  # from which on a detection is drawn and told; average precision takes all
    }
  )
  config.train.size_weight = 0.5  # of the error of sizes in cells; 0.1 in the paper, whose objects have more of them
  config.optimizer.clip_norm = 5.0
  config.run.best_metric = "ap"
  config.run.measure_every = "10 %"
  return config


def variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, a small network on small scenes."""
  config = common.variant(config, name)
  if name == "smoke":
    config.model.update({"widths": (4, 8), "level": 0, "features": 8})
    config.scene.update({"size": 16, "sides": (6.0, 9.0)})
    config.data.scenes = 66  # a whole batch, and one of two
    config.run.measure_every = "4 steps"
  return config
