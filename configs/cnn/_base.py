"""The fields of a convolutional network."""

import ml_collections

from configs import _classification
from configs._choice import Choice

NETWORKS = {
  # Convolutions of 32 and 64 channels, pooling, a dense layer of 128.
  "textbook": {
    "dropout": 0.0,  # rate in front of the logits
  },
  "lenet5": {},
  # Strong and modern.
  "small": {
    "stages": ((32, 32), (64, 64, 128)),  # widths of the convolutions, stage by stage
    "dropout": 0.0,  # rate in front of the logits
  },
}


def base(network: str) -> ml_collections.ConfigDict:
  """A classifier's, and those of one of `NETWORKS`."""
  config = _classification.classification()
  config.data.test_views = ""  # predictions averaged with the mirror image's (mirror), or shifted ones' (shift)
  config.model = Choice(network, NETWORKS)
  return config
