"""The fields of language models, whichever network they have."""

import ml_collections

from configs import common


def base() -> ml_collections.ConfigDict:
  """`common.base`, with a text, how it becomes tokens, and what is written in the end."""
  config = common.base()
  config.task = "language"  # language: the next token; classes: of other sequences; sentences: the class of a text
  config.data.update(
    {
      "name": "pydoc",  # embedded: pydoc (Python's help); files: shakespeare; TFDS: tiny_shakespeare; own: path
      "path": "",  # the user's own .txt file or folder of them
      "tokens": "characters",  # characters, bytes, words, bpe (pip install 'genera[text]')
      "vocabulary": 0,  # of words: the most frequent, 0 for all; of bpe: tokens in all
      "limit": 0,  # characters of each part that are used, the first ones; 0 uses all
      "length": 128,  # tokens of a row that a step sees
      "eval_batch_size": 20,  # rows, over all devices
    }
  )
  del config.train["members"]
  config.train.label_smoothing = 0.0  # mass moved from the next token to the uniform distribution
  config.optimizer.update({"name": "adamw", "b2": 0.99, "clip_norm": 1.0})
  config.report = ml_collections.ConfigDict(
    {
      "samples": 4,  # texts written
      "length": 500,  # tokens of each
      "prompt": "\n",  # what they go on from
      "temperature": 0.8,  # 0 takes the most probable token
      "top_k": 0,  # most probable tokens that are drawn from; 0: all
      "top_p": 1.0,  # share of the mass of the most probable tokens that are drawn from
      "min_p": 0.0,  # least probability of a token, as a share of the most probable one's
      "repetition_penalty": 1.0,  # what logits of tokens used before are divided by; 1 for none
    }
  )
  return config


def transformer() -> ml_collections.ConfigDict:
  """The section `model` of a Transformer; what the words mean: `research.networks.attention.Style`."""
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


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`, on the first characters of a text."""
  if name == "smoke":
    config.data.update({"limit": 2000, "length": 8})
    config.report.length = 8
    config = common.variant(config, name, also)
    config.report.samples = 2
    return config
  return common.variant(config, name, also)
