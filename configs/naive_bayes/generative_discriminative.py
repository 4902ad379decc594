"""Bernoulli naive Bayes against logistic regression, its discriminative twin, on few and on many digits.

Paper: Ng & Jordan 2002, figure 1: naive Bayes is ahead on few examples, logistic regression on many; here on
  scikit-learn's digits, pixels on or off, 20 random training sets of each size. Smoothing and penalty were chosen on
  held-out training examples.
Command: python -m experiments.naive_bayes --config=configs/naive_bayes/generative_discriminative.py
Hardware: 2 CPU cores
Time: about a minute
Expected: they cross at some 95 examples
"""

from configs import common


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = common.naive_bayes()
  config.data.name = "digits"
  config.model.name = "bernoulli"
  config.model.alpha = 0.1
  config.train.batch_size = 100
  config.comparison.sizes = (20, 30, 45, 65, 100, 200, 400, 800, 1438)
  config = common.variant(config, variant)
  if variant == "smoke":
    config.comparison.update({"sizes": (20, 40), "repeats": 2})
  return config
