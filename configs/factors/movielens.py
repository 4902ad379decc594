"""Ratings of films on MovieLens 100K, five folds at random: Bayesian factors, or `sgd`, `als`; `implicit` ranks.

Seeds 0 to 4 hold out the five folds.

Paper: Salakhutdinov & Mnih 2008 (Gibbs); Koren et al. 2009 (`sgd`); Zhou et al. 2008 (`als`); Hu et al. 2008
  (`implicit`)
Command: python -m experiments.factors --config=configs/factors/movielens.py[:sgd|als|implicit] --config.data.path=...
Hardware: 2 CPU cores
Time: Gibbs about a minute a fold on shared cores, `sgd` and `als` 15 to 40 s
Expected: a root mean squared error over the five folds of .898 (Gibbs), .911 (`sgd`), .914 (`als`)
"""

from configs.factors import _base

CONFORMANCE = "every promise"  # what moves by a rule of its own: a sampler's sweep
VARIANTS = ("sgd", "als", "implicit")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.ratings()
  config.train.duration = "300 steps"
  match variant:
    case "sgd":
      config.model.name = "sgd"
      config.model.factors = 50
      config.train.update({"batch_size": 1000, "duration": "40 epochs"})
      config.run.steps_per_dispatch = 100
    case "als":
      config.model.name = "als"
      config.train.duration = "20 steps"
    case "implicit":
      config.model.name = "implicit"
      config.train.duration = "20 steps"
  if variant != "implicit":  # which predicts no ratings
    config.published.test_rmse = {"value": 0.9355, "source": "Surprise, SVD, five folds, README"}
    config.bars.test_rmse = {"max": 0.92 if variant in ("sgd", "als") else 0.905}
  return _base.variant(config, variant, VARIANTS)
