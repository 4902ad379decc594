"""Part-of-speech tagging of the Brown corpus with all its 470-odd tags: trigrams of tags, counted, and Viterbi.

Paper: Brants 2000, TnT; no published number for this corpus, tag set and split.
Command: python -m experiments.hmm --config=configs/hmm/brown_tagging.py --config.data.path=...
Hardware: 2 CPU cores
Time: a minute
Expected: 96.2 % of the tokens of a tenth of the sentences, held out
"""

from configs import common
from configs.hmm import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.tagger()
  config.data.name = "brown"
  config.data.eval_batch_size = 256
  config.train.batch_size = 4096  # sentences
  config.train.duration = "1 epoch"
  config.run.update({"eval_every": "100 %", "save_every": "50 %"})
  config.bars.test_accuracy = {"min": 0.95}
  if variant == "smoke":
    config.train.batch_size = 4  # 8 steps are within the one epoch that counting takes
  return common.variant(config, variant)
