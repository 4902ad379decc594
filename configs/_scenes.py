"""What configs of scenes share: digits placed on a canvas (`research.data.scenes`)."""

import ml_collections

from configs import _images, common


def scenes() -> ml_collections.ConfigDict:
  """`common.base`, with the digits that scenes are made of, and what these look like."""
  config = common.base()
  config.data.update({**_images.images(), "scenes": 1000})  # for validation, and for the test
  config.data.validation = 0.1
  config.scene = ml_collections.ConfigDict(
    {
      "size": 48,  # side of the canvas; of one's own images, of a tile
      "objects": (1, 3),  # least and most objects
      "sides": (16.0, 26.0),  # least and largest side of an object's picture, pixels
      "overlap": 0.15,  # share of the smaller of two pictures that both may have, where there is room
      "coloured": True,  # objects of six colours; False: white
      "cluttered": True,  # noise on the ground; False: one dark grey
    }
  )
  config.report = ml_collections.ConfigDict({"samples": 8})  # images in a figure
  return config
