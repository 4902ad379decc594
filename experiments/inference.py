"""Bayesian inference: posteriors by Markov chains or by gradient, of models that are built in, one's own, or NumPyro's.

  python -m experiments.inference                                          eight schools by NUTS, embedded: seconds
  python -m experiments.inference --config.method.name=hmc                 metropolis, gibbs, langevin; mean_field, ...
  python -m experiments.inference --config=configs/inference/logistic.py:full_rank     beside NUTS
  python -m experiments.inference --config.model.name=own --config.model.own.path=my_model.py
  python -m experiments.inference --mode=predict --workdir=...             draws; with --input=rows.csv predictions

Metropolis et al. 1953; Geman & Geman 1984; Neal 2011; Welling & Teh 2011; Hoffman & Gelman 2014; Betancourt 2017;
Kucukelbir et al. 2017; Rezende & Mohamed 2015; Liu & Wang 2016.
"""

import ml_collections

from experiments.command import cli
from experiments.parts import approximations, as_files, posteriors
from experiments.reports import inference as report_lib
from research.data.clock import clock
from research.inference import netcdf
from research.training.experiment import Experiment

DEFAULT = "configs/inference/eight_schools.py"


def experiment(config: ml_collections.ConfigDict) -> Experiment:
  """A model, what is known of it, and a way to draw from its posterior."""
  if config.report.netcdf:
    netcdf.check("config.report.netcdf")
  problem = posteriors.load(config)
  train_data = clock(config.train.batch_size, name=config.model.name)
  by_gradient = config.method.name in approximations.NAMES
  method = (approximations.approximation if by_gradient else posteriors.markov_chains)(config, problem, train_data)
  use = report_lib.Use(config, problem, method)
  return Experiment(
    learner=method.learner,
    train_data=train_data,
    test_data=posteriors.rows_to_test(problem, config),
    measure=use.measure,
    report=use.report,
    predict=use.predict,
    as_file=None if problem.data is None else as_files.table(problem.data.columns),
    definitions=report_lib.DEFINITIONS,
  )


if __name__ == "__main__":
  cli.main(experiment, DEFAULT)
