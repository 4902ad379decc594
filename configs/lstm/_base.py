"""The fields of recurrent networks."""

import ml_collections

from configs import _language


def network() -> ml_collections.ConfigDict:
  """The section `model`."""
  return ml_collections.ConfigDict(
    {
      "cell": "lstm",  # lstm, gru
      "features": 256,  # units of a layer
      "layers": 1,
      "residual": False,  # each layer but the first adds to its input
      "dropout": 0.0,  # rate at the input of every layer and at the output, one mask for all steps
      "recurrent_dropout": 0.0,  # rate on the state before the recurrent product, one mask for all steps
      "chrono": 0,  # longest dependency expected, for the biases of gates; 0: forget gates of 1
    }
  )


def language() -> ml_collections.ConfigDict:
  """A language model that carries its state from window to window."""
  config = _language.base()
  config.model = network()
  config.model.embedding = 0  # size of a token's vector; 0: `features`
  config.model.tied = False  # the softmax's kernel is the embedding
  config.optimizer.learning_rate = 4e-3
  config.train.batch_size = 32  # rows that go on from step to step, over all devices
  return config


def smoke(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """A network in seconds."""
  config.model.features = 8
  return config
