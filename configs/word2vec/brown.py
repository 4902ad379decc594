"""Vectors of the words of the Brown corpus, each of the four models beside gensim's at equal settings.

Paper: Mikolov et al. 2013a, 2013b; published for Brown: gensim's notebook on WordRank, 0.32 (fastText 0.38).
Command: python -m experiments.word2vec --config=configs/word2vec/brown.py[:cbow|:sg_hs|:cbow_hs|:best]
Hardware: 2 CPU cores
Time: about half a minute of CPU; `best` four minutes
Expected: Spearman on WordSim-353, 274 pairs, no more than 0.02 below gensim's (`python -m tests.peers.word2vec`):
  of five seeds skip-gram .252 (gensim .257), `cbow` .136 (.113), `sg_hs` .306 (.274); `cbow_hs` .046 (.084), which
  misses it; `best` .418
"""

from configs.word2vec import _base

VARIANTS = {
  "": {},
  "cbow": {"context": "cbow"},
  "sg_hs": {"output": "hierarchical"},
  "cbow_hs": {"context": "cbow", "output": "hierarchical"},
  "subwords": {"buckets": 100_000},
  "best": {"window": 15},
}


def get_config(variant: str = ""):
  """The config: skip-gram by negative sampling; variants `cbow`, `sg_hs`, `cbow_hs`, `subwords`, `best`; `smoke`."""
  config = _base.word2vec()
  config.data.name = "brown"
  config.data.shuffled = False  # as gensim reads it
  config.model.update(VARIANTS.get(variant, {}))
  config.report.update({"similarity": "wordsim353 simlex999", "analogies": True, "map": "tsne"})
  if variant == "best":
    config.data.units = "block"
    config.data.sample = 1e-4
    config.train.duration = "20 epochs"
    config.bars = {"wordsim353": {"min": 0.36}}
  return _base.variant(config, variant, also=tuple(VARIANTS))
