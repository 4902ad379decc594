"""The fields of a predictor of films."""

import ml_collections

from configs import _images, common


def base() -> ml_collections.ConfigDict:
  """`common.base`, with digits that move, and a convolutional LSTM."""
  config = common.base()
  config.data.update({**_images.images(), "films": 1000})  # for validation, and for the test
  config.data.path = ""  # one's own films: a folder of .gif files, or of folders of frames
  config.data.test_films = ""  # moving_mnist: its 10,000 published films are measured on; empty: drawn ones
  config.data.validation = 0.1
  config.film = ml_collections.ConfigDict(
    {
      "size": 32,  # side of the canvas; one's own films are brought to it
      "known": 10,  # frames that are given
      "horizon": 10,  # frames that are predicted from them
      "objects": 2,  # digits that move
      "side": 14.0,  # of a digit's picture, pixels
      "speeds": (1.0, 2.5),  # least and largest, pixels a frame
    }
  )
  config.model = ml_collections.ConfigDict(
    {
      "widths": (64, 64),  # channels of the layers
      "patch": 4,  # side of the squares that are one place each
      "kernel": 3,  # places that a place sees, along a side
    }
  )
  config.optimizer.clip_norm = 1.0
  config.report = ml_collections.ConfigDict({"samples": 6})  # films in a figure
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, a small network and short, small films."""
  config = common.variant(config, name, also)
  if name == "smoke":
    config.model.update({"widths": (4,)})
    config.film.update({"size": 16, "side": 8.0, "known": 3, "horizon": 2})
    config.data.films = 66  # a whole batch, and one of two
    config.report.samples = 2
  return config
