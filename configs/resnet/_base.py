"""The fields of a residual network, and momentum, as these are trained."""

import ml_collections

from configs import _classification
from configs._choice import Choice

NETWORKS = {
  "cifar": {
    "depth": 20,  # layers, 6n + 2: 20, 32, 44, 56, 110
    "version": 1,  # 1: He et al. 2015; 2: pre-activation, 2016
    "shortcut": "A",  # where shapes change: A zero-padded, B projected
    "zero_init": False,  # the last scale of each block starts at 0, so each block as the identity
  },
  "imagenet": {
    "depth": 50,  # layers: 10, 18, 34, 50, 101, 152
    "version": 1,  # as of cifar
    "zero_init": False,  # as of cifar
  },
  "wide": {
    "depth": 28,  # layers, 6n + 4
    "factor": 10,  # channels in multiples of 16, 32, 64
    "dropout": 0.0,  # rate between the convolutions of a block
  },
  "fast": {
    "depth": 2,  # convolutions a group
    "widths": (64, 256, 256),  # channels of the groups
    "whitening_size": 2,  # side of the first layer's patches
    "whitening_stride": 1,  # 2 halves the image at once
  },
}


def base(network: str) -> ml_collections.ConfigDict:
  """A classifier's, and those of one of `NETWORKS`."""
  config = _classification.classification()
  config.data.test_views = ""  # predictions averaged with the mirror image's (mirror), or shifted ones' (shift)
  config.model = Choice(network, NETWORKS)
  config.optimizer.update({"name": "momentum", "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4})
  config.optimizer.boundaries = ()  # of piecewise: durations at which the learning rate drops tenfold
  return config
