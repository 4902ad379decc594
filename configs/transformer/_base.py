"""The fields of Transformers."""

import ml_collections

from configs import _language

network = _language.transformer


def language() -> ml_collections.ConfigDict:
  """A decoder on windows of a text."""
  config = _language.base()
  config.model = _language.transformer()
  config.data.length = 128
  config.data.context = 64  # tokens that a window of the evaluation repeats, to begin with some before it
  config.optimizer.update({"name": "muon", "learning_rate": 5e-3, "weight_decay": 0.01})
  config.train.batch_size = 16  # windows, over all devices
  return config


def smoke(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """A network in seconds."""
  config.model.update({"features": 8, "depth": 1, "heads": 2})
  return config
