"""Fifty topics of the Brown corpus in passages of 100 sentences; a tenth of them is held out.

Paper: Blei, Ng & Jordan 2003; held against scikit-learn's LatentDirichletAllocation on the same split.
Command: python -m experiments.lda --config=configs/lda/brown.py[:online|gibbs] --config.data.path=...
Hardware: 2 CPU cores
Time: half a minute, `gibbs` 2.5 minutes
Expected: a perplexity of document completion of 3,773, and of 3,430 with `gibbs`; the aim is no higher than 3,785,
  scikit-learn's after 100 batch iterations (4,128 online, 20 passes; gensim, 20 passes with learned priors: 4,738)
"""

from configs.lda import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds; `online` learns from batches of 64 documents; `gibbs` samples."""
  config = _base.lda()
  config.data.name = "brown"
  config.model.topics = 50
  config.train.duration = "100 steps"
  if variant == "online":
    config.train.batch_size = 64
    config.train.duration = "20 epochs"
  if variant == "gibbs":
    config.model.name = "gibbs"
    config.model.gibbs.burn_in = 200
    config.train.duration = "400 steps"
  return _base.variant(config, variant, also=("online", "gibbs"))
