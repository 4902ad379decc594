"""The fields of translators, whichever network they have."""

import ml_collections

from configs import common


def base() -> ml_collections.ConfigDict:
  """`common.base`, with pairs of sentences, how they become tokens, and how they are searched for."""
  config = common.base()
  del config.data["data_dir"], config.data["validation"], config.train["members"]
  config.task = "translation"  # what to learn, see experiments/<family>.py
  config.data.update(
    {
      "name": "multi30k",  # files: multi30k; own: path
      "path": "",  # the folder of multi30k's files; or, by another name, a .tsv of pairs, or two files by a comma
      "source": "de",  # of multi30k, the language to translate from
      "target": "en",  # and the one to translate to
      "tokens": "bpe",  # bpe (pip install 'genera[text]'), words, characters, bytes
      "vocabulary": 4000,  # of bpe: tokens in all, of both languages; of words: the most frequent, 0 for all
      "length": 48,  # tokens of a sentence; what is longer is cut, and translations end there
      "budget": 96,  # tokens of a packed row of training, on either side; 0 pads each pair to the longest
      "eval_batch_size": 100,  # pairs, over all devices
    }
  )
  config.train.label_smoothing = 0.1  # mass moved from the next token to the uniform distribution
  config.optimizer.update({"name": "adamw", "b2": 0.98, "clip_norm": 1.0})
  config.report = ml_collections.ConfigDict(
    {
      "samples": 20,  # translations of the test set, written beside their references
      "beams": 5,  # of the search
      "alpha": 0.6,  # strength of its length normalisation; 0 for none
    }
  )
  return config


def multi30k(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
  """What is published of Multi30k, de to en, test2016, and the bar."""
  config.published.test_bleu_tokenised = {
    "value": 36.5,
    "source": "bentrevett/pytorch-seq2seq, legacy/6: a Transformer on a GPU, words, greedy; its attention GRU 28-32",
  }
  config.bars.test_bleu = {"min": 30.0}
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`, with short sentences."""
  if name == "smoke":
    config.data.update({"length": 8, "vocabulary": 300, "budget": 16 if config.data.budget else 0})
    config = common.variant(config, name, also)
    config.report.update({"samples": 2, "beams": 2})
    return config
  return common.variant(config, name, also)
