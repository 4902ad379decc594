"""The fields of a Bayesian neural network: a multilayer perceptron and a method."""

import ml_collections

from configs import _images, common
from configs._choice import Choice

METHODS = {
  "plain": {},  # one network, what the others are held against
  "backprop": {
    "prior": 0.2,  # deviation of every weight's normal prior
    "std": 0.02,  # deviation of every weight's posterior at the beginning
    "temperature": 1.0,  # weight of the divergence from the prior; below 1 a colder posterior
    "draws": 30,  # of the weights, that a prediction is the mean of
  },
  "dropout": {"draws": 50},  # masks that a prediction is the mean of
  "ensemble": {"members": 5},
  "langevin": {
    "prior": 0.2,  # deviation of every weight's normal prior
    "temperature": 1.0,  # of the noise; below 1 a colder posterior
    "draws": 30,  # kept, evenly
    "burn_in": "50 %",  # of the run, before the first is
  },
  "laplace": {
    "precision": 1.0,  # of the prior of the last layer's weights
    "decay": 0.99,  # of the moving averages of the curvature
    "draws": 100,  # of logits, that a prediction is the mean of
  },
}


def bnn(method: str) -> ml_collections.ConfigDict:
  """A network by a method."""
  config = common.base()
  del config.train["members"]
  config.data.update(_images.images())
  config.model = ml_collections.ConfigDict(
    {
      "features": (256, 256),  # widths of the hidden layers
      "dropout": 0.0,  # rate behind every hidden layer
    }
  )
  config.method = Choice(method, METHODS)
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; smoke draws little."""
  config = common.variant(config, name, also)
  if name == "smoke":
    config.model.features = (16, 16)
    fields = config.method[config.method.name]
    if "draws" in fields:
      fields.draws = 3
  return config
