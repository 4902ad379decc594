"""The fields of Transformers."""

import ml_collections

from configs import _language


def network() -> ml_collections.ConfigDict:
  """The section `model`; what the words mean: `research.networks.attention.Style`."""
  return ml_collections.ConfigDict(
    {
      "features": 128,  # width of the residual stream
      "depth": 4,  # layers
      "heads": 4,  # of queries
      "kv_heads": 0,  # of keys and values; 0: as many
      "hidden": 0,  # width of the perceptrons; 0: 4 features, or two thirds of that where gated
      "positions": "rotary",  # sinusoidal, learned, rotary, alibi, none
      "norm": "rms",  # layer, rms
      "pre_norm": True,  # normalise in front of each branch, not behind each sum
      "activation": "gelu",  # relu, gelu, silu, relu2
      "gated": False,  # perceptrons are gated: SwiGLU with silu
      "qk_norm": False,  # normalise queries and keys
      "cap": 0.0,  # soft bound of attention's logits; 0 for none
      "use_bias": False,  # of all projections and layer norms
      "dropout": 0.0,  # rate behind each branch and the embedding
      "remat": False,  # recompute layers in the backward pass
      "scan": False,  # one compiled loop over layers
      "tied": True,  # the softmax's kernel is the embedding
    }
  )


def language() -> ml_collections.ConfigDict:
  """A decoder on windows of a text."""
  config = _language.base()
  config.model = network()
  config.data.length = 128
  config.data.context = 64  # tokens that a window of the evaluation repeats, to begin with some before it
  config.optimizer.update({"name": "muon", "learning_rate": 5e-3, "weight_decay": 0.01})
  config.train.batch_size = 16  # windows, over all devices
  return config


def smoke(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """A network in seconds."""
  config.model.update({"features": 8, "depth": 1, "heads": 2})
  return config
