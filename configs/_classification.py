"""What configs of classifiers share."""

import ml_collections

from configs import _images, common


def classification() -> ml_collections.ConfigDict:
  """`common.base`, with the fields of a classifier."""
  config = common.base()
  config.data.update(
    {
      **_images.images(),
      "folds": 0,  # k: cross-validate on test_split, k networks side by side; 0 does not
      "random_area": (),  # of streamed training images, the range of areas of a random part; (): the centre
      "centre": 1.0,  # of streamed test images, the part of the shorter side that is taken
    }
  )
  config.augment = ml_collections.ConfigDict(
    {
      "rotation": 0.0,  # largest angle, degrees
      "translation": 0.0,  # largest shift, pixels
      "scale": (1.0, 1.0),  # least and largest magnification
      "elastic": 0.0,  # standard deviation of a smooth displacement of every pixel, pixels
      "crop": 0,  # pixels of reflected border around which a window of the image's size is taken
      "flip": False,  # mirror half of the images
      "cutout": 0,  # side of a square that is erased
      "mixup": 0.0,  # alpha of Beta(alpha, alpha); 0 does not mix
    }
  )
  config.train.update({"label_smoothing": 0.0})  # mass moved from the label to the uniform distribution
  return config
