"""The fields of a hidden Markov model, and of a tagger."""

import ml_collections

from configs import common
from configs._choice import Choice

EMISSIONS = {
  "categorical": {  # of symbols
    "prior": 0.0,  # pseudo-counts of each symbol
  },
  "bernoulli": {  # of bits
    "prior": 0.0,  # pseudo-counts in all, divided as the bit is in the training set
  },
  "autoregressive": {  # of bits, given those before
    "reach": 2,  # how far away, in keys, it looks for one that was down before
  },
  "neural": {  # of bits, given those before, by a network
    "hidden": 256,  # width of its hidden layer
    "dropout": 0.0,  # rate behind it
  },
}
TRANSITIONS = {
  "table": {
    "prior": 0.0,  # pseudo-counts of each transition, and of each first state
  },
  "neural": {  # a network of the observation before moves a table of low rank
    "rank": 64,  # of that table
    "hidden": 256,  # width of the network's hidden layer
    "dropout": 0.0,  # rate behind it
    "input_dropout": 0.0,  # rate of the observation before
  },
}


def base(learning: str) -> ml_collections.ConfigDict:
  """Those of sequences: `common.base` where it learns by gradient, else `common.classical`."""
  config = common.base() if learning == "gradient" else common.classical()
  del config.data["data_dir"]
  config.data.update(
    {
      "name": "weather",  # embedded: weather; files: jsb_chorales, brown
      "path": "",  # the folder of the files; empty: GENERA_DATA_DIR and the name
      "eval_batch_size": 200,  # sequences, over all devices
    }
  )
  config.train.update(
    {
      "learning": learning,  # em (Baum-Welch), counts (of known states), gradient (of the likelihood)
      "batch_size": 1000,  # sequences, over all devices; in Baum-Welch, fewer than all are stepwise EM
    }
  )
  if learning == "gradient":
    del config.train["members"]
  return config


def hidden_states(learning: str = "em") -> ml_collections.ConfigDict:
  """`base`, with states that are hidden."""
  config = base(learning)
  config.data.resolution = "quarter"  # of jsb_chorales: length of a time step, quarter or 16th
  config.model = ml_collections.ConfigDict({"states": 2})  # K
  config.model.emission = Choice("categorical", EMISSIONS)
  config.model.transition = Choice("table", TRANSITIONS)
  config.report = ml_collections.ConfigDict(
    {
      "samples": 4,  # sequences drawn
      "steps": 64,  # time steps of each
      "states": 48,  # shown in figures, those most visited
    }
  )
  return config


def tagger() -> ml_collections.ConfigDict:
  """`base`, with a trigram tagger, which counts."""
  config = base("counts")
  config.train.precision = "float32"  # exact for counts below 16 million
  config.model = ml_collections.ConfigDict(
    {
      "suffix": 5,  # letters of the longest suffix that tells the tags of an unknown word
      "rare": 10,  # occurrences of the words that are learned from for unknown ones, at most
      "least": 3,  # such words that a suffix must have
      "strength": 10.0,  # tokens that what a shorter suffix says weighs
    }
  )
  return config
