"""Bernoulli naive Bayes against logistic regression, its discriminative twin, on few and on many digits.

Paper: Ng & Jordan 2002, figure 1: naive Bayes is ahead on few examples, logistic regression on many; here on
  scikit-learn's digits, pixels on or off, 20 random training sets of each size. Smoothing and penalty were chosen on
  held-out training examples.
Command: python -m experiments.naive_bayes --config=configs/naive_bayes/generative_discriminative.py
Hardware: 2 CPU cores
Time: about a minute
Expected: they cross at some 95 examples
"""

from configs.naive_bayes import _base


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base("bernoulli")
  config.data.name = "digits"
  config.model.bernoulli.alpha = 0.1
  config.train.batch_size = 100
  config.comparison.sizes = (20, 30, 45, 65, 100, 200, 400, 800, 1438)
  return _base.variant(config, variant)
