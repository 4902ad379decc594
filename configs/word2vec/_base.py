"""The fields of vectors of words."""

import ml_collections

from configs import common


def word2vec() -> ml_collections.ConfigDict:
  """`classical`, with a text, what predicts what in it, and an optimizer."""
  config = common.classical()
  del config.data["data_dir"]
  config.data.update(
    {
      "name": "pydoc",  # embedded: pydoc (Python's help); files: brown, sst2; own: path
      "path": "",  # the user's own .txt file or folder of them
      "units": "sentence",  # that no window crosses the end of: sentence; block: 10,000 words
      "least": 5,  # occurrences of a word that is in the vocabulary, at least
      "sample": 1e-3,  # words more frequent than this share of the text are left out now and then; 0: none
      "phrases": 0,  # passes that join pairs of words to phrases: the second joins up to four
      "phrase_threshold": 10.0,  # score of a pair that is a phrase
      "length": 128,  # words of the text that a row is
      "shuffled": True,  # rows come in random order; else in the text's, as in word2vec.c
      "eval_batch_size": 8,  # rows, over all devices
    }
  )
  config.model = ml_collections.ConfigDict(
    {
      "context": "skip-gram",  # skip-gram: each word of the context predicts; cbow: their mean
      "output": "negative",  # negative: noise words; hierarchical: a softmax over Huffman's tree
      "features": 100,  # of a vector
      "window": 5,  # words on each side that a context reaches, at most
      "negatives": 5,  # noise words for each predicted word
      "drawn": 64,  # noise words drawn a step, which all its predictions share
      "corrected": False,  # the gradient of CBOW's mean is divided among its words; word2vec.c does not
      "buckets": 0,  # vectors of subwords, by hash: words never seen have vectors too; 0: of whole words alone
      "shortest": 3,  # characters of a subword
      "longest": 6,
      "vectors": "",  # file in word2vec's format whose vectors are the start of the words that it knows
    }
  )
  config.optimizer = ml_collections.ConfigDict(
    {
      "name": "sgd",  # sgd, adagrad, adam: of the rows that a step names
      "learning_rate": 0.025,  # of sgd, for each prediction: gradients are summed
      "schedule": "linear",
      "warmup": "0 steps",
      "final_fraction": 0.004,  # learning rate at the end, as a share of the peak
    }
  )
  config.train.update({"batch_size": 1, "precision": "float32", "duration": "5 epochs"})  # rows, over all devices
  del config.train["accumulate"]
  config.run.update({"steps_per_dispatch": 200, "log_every": "2 %"})
  config.report = ml_collections.ConfigDict(
    {
      "words": 120,  # on the map: the most frequent but for the first `skip`
      "skip": 60,  # of the most frequent words, which are those of grammar
      "map": "pca",  # pca, tsne
      "neighbours": "",  # words, by spaces, whose neighbours are listed; empty: those of the map
      "similarity": "",  # sets of judged pairs in $GENERA_DATA_DIR/eval, by spaces: wordsim353 simlex999
      "analogies": False,  # the questions in $GENERA_DATA_DIR/eval
      "classify": False,  # SST-2's sentiment, by logistic regression of the mean of a text's vectors
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; smoke has short rows, and many."""
  config = common.variant(config, name, also)
  if name == "smoke":
    config.model.update({"features": 8, "drawn": 8, "window": 2, "buckets": min(config.model.buckets, 50)})
    config.data.update({"length": 24, "least": 2, "eval_batch_size": 8})
    config.train.batch_size = 8
    config.run.steps_per_dispatch = 4
    config.report.update({"words": 20, "skip": 2, "map": "pca"})
  return config
