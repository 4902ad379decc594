"""The fields of topics."""

import ml_collections

from configs import common
from configs._choice import Choice

LEARNING = {
  "variational": {},  # variational Bayes
  "gibbs": {"burn_in": 50},  # Gibbs sampling: sweeps before the first of those whose mean is the result
}


def lda() -> ml_collections.ConfigDict:
  """`classical`, with documents and their topics."""
  config = common.classical()
  del config.data["data_dir"]
  config.data.update(
    {
      "name": "python_help",  # embedded: python_help; a file: brown; own: a folder of .txt files, or a document a line
      "least": 5,  # training documents that a word of the vocabulary stands in, at least
      "most": 0.5,  # share of the training documents that it stands in, at most
      "passage": 100,  # sentences of brown that are a document
      "eval_batch_size": 64,  # documents, over all devices
    }
  )
  config.model = Choice(
    "variational",
    LEARNING,
    topics=20,  # K
    alpha=0.0,  # prior of a document's topics at the start; 0: one over their number
    eta=0.0,  # prior of a topic's words at the start; 0: one over the number of topics
    learn_priors=True,  # both move to where the bound, or the likelihood, is highest
    iterations=100,  # of the inference of a document, at most
  )
  config.train.update(
    {
      "batch_size": 0,  # documents, over all devices; 0: the whole set, which makes every step one of EM
      "step_power": 0.7,  # on smaller batches: the weight of a batch is (step + delay) ** -power
      "step_delay": 10.0,
      "precision": "float32",
    }
  )
  config.report = ml_collections.ConfigDict({"topics": 12})  # in a figure
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; smoke has few topics, and batches of the whole set stay so."""
  batch_size = config.train.batch_size
  config = common.variant(config, name, also)
  if name == "smoke":
    config.model.update({"topics": 4, "iterations": 10})
    config.data.update({"least": 2, "passage": 2})
    config.report.topics = 4
    config.train.batch_size = min(batch_size, 16)
  return config
