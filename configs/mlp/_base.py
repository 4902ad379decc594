"""The fields of a multilayer perceptron."""

import ml_collections

from configs import _classification


def base() -> ml_collections.ConfigDict:
  """A classifier's, and those of the network."""
  config = _classification.classification()
  config.model = ml_collections.ConfigDict(
    {
      "features": (256, 256),  # widths of the hidden layers
      "dropout": 0.0,  # rate behind every hidden layer
      "input_dropout": 0.0,  # rate at the input
      "input_noise": 0.0,  # standard deviation of normal noise at the input
      "noise": 0.0,  # the same for every hidden layer, before its activation
      "batch_norm": False,  # normalise every hidden layer before its activation
      "kernel_init": "he",  # lecun, he, glorot, orthogonal
    }
  )
  return config
