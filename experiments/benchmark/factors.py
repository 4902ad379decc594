"""Word2Vec, topics and recommendations: what `tests/peers/factors.py` measures of gensim, scikit-learn and implicit.

Brown and MovieLens are read from GENERA_DATA_DIR; without it there are none, and the error says so.
"""

from experiments import factors, lda, word2vec
from experiments.benchmark.timing import result, trained
from experiments.command import cli
from experiments.parts import factor_ratings
from research.data import ratings

PASSES = 10


def words(name: str) -> dict:
  """Words of the text a second, rare and frequent ones too, of one pass of skip-gram with negative sampling."""
  config = cli.load_config("configs/word2vec/brown.py")
  experiment = word2vec.experiment(config)
  data, (train, _) = experiment.train_data, word2vec.load(config.data)
  _, seconds = trained(experiment, 0, config.run.steps_per_dispatch, data.num_batches)
  sizes = {"words": train.total, "vocabulary": len(train.words), "features": config.model.features}
  return result(name, "words_per_second", train.total / seconds, "words/s", seconds=seconds, **sizes)


def topics(name: str) -> dict:
  """Seconds a pass of batch variational Bayes, mean of the first ten from a random start, priors as they are."""
  config = cli.load_config("configs/lda/brown.py", {"model.learn_priors": "False"})
  experiment = lda.experiment(config)
  state, seconds = trained(experiment, 0, 1, PASSES)
  sizes = {"topics": config.model.topics, "vocabulary": state.params.weights.shape[1], "passes": PASSES}
  return result(name, "pass", seconds / PASSES, "s", documents=experiment.train_data.num_examples, **sizes)


def alternating(name: str) -> dict:
  """Milliseconds of an iteration, both sides, of alternating least squares for implicit feedback."""
  config = cli.load_config("configs/factors/movielens.py:implicit")
  experiment = factors.experiment(config)
  _, seconds = trained(experiment, 0, PASSES, 10 * PASSES)
  known = len(factor_ratings.divided(ratings.load("movielens"), config).train)
  detail = {"factors": config.model.factors, "ratings": known, "iterations": 10 * PASSES}
  return result(name, "iteration", 1e3 * seconds / (10 * PASSES), "ms", **detail)


WORKLOADS = {"word2vec_brown": words, "lda_brown": topics, "als_movielens": alternating}
