"""Digits by networks whose weights have a posterior, beside the plain one: Bayes by backprop and, as variants, others.

`plain` is one network of the same widths, trained by Adam; `dropout`, `ensemble`, `langevin`, `laplace` the methods.

Paper: Blundell et al. 2015, and those of experiments/bnn.py
Command: python -m experiments.bnn --config=configs/bnn/digits.py[:plain|dropout|ensemble|langevin|laplace]
Hardware: 2 CPU cores
Time: 2 to 3 minutes on a shared machine
Expected: of one seed, untuned, test loss and calibration error (ECE): plain 0.081, 0.010; ensemble 0.064, 0.011;
  laplace 0.084, 0.022; backprop 0.276, 0.165. None is better than plain on both: aimed at was two
"""

from configs.bnn import _base

METHODS = ("plain", "dropout", "ensemble", "langevin", "laplace")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  method = variant if variant in METHODS else "backprop"
  config = _base.bnn(method)
  config.data.name = "digits"
  config.train.batch_size = 64
  config.train.duration = "60 epochs"
  config.run.steps_per_dispatch = 50
  if method == "dropout":
    config.model.dropout = 0.2
  elif method == "langevin":
    config.optimizer.update({"learning_rate": 0.1, "schedule": "constant"})
    config.train.duration = "200 epochs"
  return _base.variant(config, variant, also=METHODS)
