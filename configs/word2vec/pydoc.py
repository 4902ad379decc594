"""Vectors of the words of Python's own help: the embedded default.

Paper: Mikolov et al. 2013b, skip-gram with negative sampling; the text is that of `pydoc_data.topics`.
Command: python -m experiments.word2vec
Hardware: 2 CPU cores
Time: not yet measured
Expected: neighbours of `class` and `string` that make sense
"""

from configs.word2vec import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.word2vec()
  config.data.validation = 0.05
  config.data.sample = 1e-4
  config.train.duration = "20 epochs"
  return _base.variant(config, variant)
