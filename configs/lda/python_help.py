"""Topics of the pages of Python's own help: the embedded default.

Paper: none; the documents are those of `pydoc_data.topics`, which every Python has.
Command: python -m experiments.lda
Hardware: 2 CPU cores
Time: under a minute
Expected: topics of classes, numbers, imports, exceptions
"""

from configs.lda import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.lda()
  config.model.topics = 12
  config.data.least = 3
  config.train.duration = "60 steps"
  return _base.variant(config, variant)
