"""The fields of factors, by task."""

import ml_collections

from configs import _images, common
from configs._choice import Choice

VECTORS = {
  "ppca": {  # probabilistic principal components
    "solver": "closed",  # closed: eigenvectors of the covariance; em; subspace: randomised subspace iteration
    "components": 1,  # of a mixture, by EM; of closed
  },
  "fa": {},  # factor analysis, by EM
  "nmf": {
    "loss": "frobenius",  # frobenius, kullback_leibler
    "iterations": 100,  # of the inference of an example
  },
}
RATINGS = {
  "sgd": {
    "learning_rate": 0.02,  # of one rating, at the start; it falls to 0 linearly
    "penalty": 0.1,  # on the squares of what a rating touches
  },
  "als": {
    "penalty": 15.0,  # on the squares of vectors
    "by_count": False,  # times the number of ratings of each
  },
  "implicit": {  # who has had what, by alternating least squares
    "penalty": 10.0,
    "confidence": 2.0,  # alpha: an item that was had weighs 1 + alpha times its rating
  },
  "bayesian": {  # Gibbs sampling
    "samples": 100,  # kept
    "burn_in": 20,  # sweeps before the first is kept
    "thin": 1,  # sweeps from one that is kept to the next
  },
}


def vectors() -> ml_collections.ConfigDict:
  """Factors of images or rows of numbers."""
  config = common.classical()
  config.task = "vectors"
  config.data.update(
    {
      **_images.images(),
      "levels": 0,  # pixels are brought to whole numbers of 0 to this; 0: to 0 to 1
      "folds": 0,  # of a cross-validation over test_split=all; 0: the test set is its own
      "missing": 0.0,  # share of the training values taken away at random
    }
  )
  config.model = Choice("ppca", VECTORS, latents=10)  # latents: factors, parts
  config.train.update(
    {
      "batch_size": 0,  # over all devices; 0: the whole set
      "step_power": 0.7,  # on smaller batches: the weight of a batch is (step + delay) ** -power
      "step_delay": 1.0,
      "floor": 1e-6,  # of the noise's variance, in the square of the data's unit
    }
  )
  config.report = ml_collections.ConfigDict({"samples": 64})  # in a figure
  return config


def ratings() -> ml_collections.ConfigDict:
  """Factors of who has rated what."""
  config = common.classical()
  config.task = "ratings"
  del config.data["data_dir"]
  config.data.update(
    {
      "name": "movielens",  # movielens; own: a CSV, or MovieLens' ratings.dat, at `path`
      "folds": 5,  # at random, one of which is the test set
      "fold": -1,  # which; -1: the seed, modulo their number, so that as many seeds are a cross-validation
      "eval_batch_size": 4000,  # ratings, over all devices
    }
  )
  config.model = Choice("bayesian", RATINGS, factors=20)  # factors: of a user's and of an item's vector
  config.train.update({"batch_size": 0, "precision": "float32"})  # batch_size: of sgd, ratings over all devices
  config.report = ml_collections.ConfigDict(
    {
      "first": 10,  # items of a recommendation
      "liked": 4.0,  # the least rating of an item that is to be recommended
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, few factors."""
  config = common.variant(config, name, also)
  if name == "smoke":
    config.model.update({"latents": 3} if config.task == "vectors" else {"factors": 3})
    if config.task == "ratings":
      config.data.fold = 0  # whatever the seed
    if "bayesian" in config.model:
      config.model.bayesian.update({"samples": 3, "burn_in": 1})
    if "nmf" in config.model:
      config.model.nmf.iterations = 10
  return config
