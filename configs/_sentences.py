"""The fields of classifiers of texts, whichever network they have."""

import ml_collections

from configs import common


def base() -> ml_collections.ConfigDict:
  """`common.base`, with labelled texts and how they become tokens."""
  config = common.base()
  del config.data["data_dir"], config.train["members"]
  config.task = "sentences"  # language: the next token; classes: of other sequences; sentences: the class of a text
  config.data.update(
    {
      "name": "sst2",  # files: sst2
      "path": "",  # one's own table of texts and labels; or the folder of sst2's files
      "text": "",  # of one's own, the column of texts; "": text, sentence or content
      "target": "",  # of one's own, that of classes; "": label
      "tokens": "words",  # words, characters, bytes, bpe (pip install 'genera[text]'); init_from: of that run
      "vocabulary": 0,  # of words: the most frequent, 0 for all; of bpe: tokens in all
      "least": 2,  # of words: occurrences of one that is in the vocabulary
      "length": 48,  # tokens of a text; what is longer is cut
      "eval_batch_size": 500,  # texts, over all devices
    }
  )
  config.train.label_smoothing = 0.0  # mass moved from the label to the uniform distribution
  config.optimizer.update({"name": "adamw", "clip_norm": 1.0})
  return config


def sst2(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """What is published, and the bar, of SST-2's dev set."""
  config.published.test_accuracy = {
    "value": 0.854,
    "source": "google/flax, examples/sst2: an LSTM, dev set, 3 TPU minutes or 50 of a CPU",
  }
  config.bars.test_accuracy = {"min": 0.82}
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`, with short texts."""
  if name == "smoke":
    config.data.length = 8
  return common.variant(config, name, also)
