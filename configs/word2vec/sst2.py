"""Sentiment of film reviews by the mean of their words' vectors, learned from the reviews alone.

Paper: Socher et al. 2013 (the data); Mikolov et al. 2013b (the vectors).
Command: python -m experiments.word2vec --config=configs/word2vec/sst2.py
Hardware: 2 CPU cores
Time: not yet measured
Expected: not yet measured
"""

from configs.word2vec import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.word2vec()
  config.data.name = "sst2"
  config.report.update({"classify": True, "neighbours": "good bad funny boring plot actor"})
  return _base.variant(config, variant)
