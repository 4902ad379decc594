"""Factors behind vectors and behind ratings: principal components as a density, factor analysis, parts, recommendation.

  python -m experiments.factors                                     principal components of digits, embedded: seconds
  python -m experiments.factors --config=configs/factors/digits.py[:fa|mixture|missing|subspace|nmf]
  python -m experiments.factors --config=configs/factors/movielens.py[:sgd|als|implicit] --config.data.path=...
  python -m experiments.factors --config=configs/factors/movielens.py --config.data.path=my.csv
  python -m experiments.factors --mode=predict --workdir=... [--input=pairs.csv]   ratings; or items for everyone

Tipping & Bishop 1999a, b (PPCA, mixtures); Rubin & Thayer 1982 (EM for factor analysis); Lee & Seung 1999 (NMF); Koren,
Bell & Volinsky 2009; Hu, Koren & Volinsky 2008; Salakhutdinov & Mnih 2008 (ratings).
"""

import ml_collections

from experiments.command import cli
from experiments.parts import factor_ratings, factor_vectors
from experiments.reports import factors as factors_report
from research.errors import UserError
from research.training.experiment import Experiment

DEFAULT = "configs/factors/digits.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """What the config's task asks for."""
  match config.task:
    case "vectors":
      return factor_vectors.experiment(config, factors_report.vectors, factors_report.predict_vectors)
    case "ratings":
      return factor_ratings.experiment(config, factors_report.ratings, factors_report.predict_ratings)
  raise UserError("config.task", config.task, "choose vectors or ratings.")


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
