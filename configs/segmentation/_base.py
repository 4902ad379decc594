"""The fields of a segmenter."""

import ml_collections

from configs import _scenes, common


def base() -> ml_collections.ConfigDict:
  """Those of scenes, with a U-Net."""
  config = _scenes.scenes()
  config.model = ml_collections.ConfigDict(
    {
      "widths": (16, 32, 64),  # channels of the stages
      "blocks": 1,  # residual blocks a stage
      "attention": (False, False, False),  # whether a stage has attention; the middle always has
      "groups": 4,  # of group normalisation, at most; of one channel each they would cancel biases in front of them
      "dropout": 0.0,
    }
  )
  config.train.dice = 1.0  # weight of the Dice loss beside the cross-entropy
  config.optimizer.clip_norm = 1.0
  return config


def variant(config: ml_collections.ConfigDict, name: str) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, a small network on small scenes."""
  config = common.variant(config, name)
  if name == "smoke":
    config.model.update({"widths": (4, 8), "attention": (False, False), "groups": 2})
    config.scene.update({"size": 16, "sides": (6.0, 9.0)})
    config.data.scenes = 66  # a whole batch, and one of two
  return config
