"""Gaussian naive Bayes on scikit-learn's digits: the embedded default; variants `bernoulli`, `categorical`, ...

Paper: none; the data are Alpaydin & Kaynak's, 1,797 images of 8x8 pixels, a stratified fifth held out for testing. The
  smoothing was chosen on held-out training examples.
Command: python -m experiments.naive_bayes
Hardware: 2 CPU cores
Time: under half a minute
Expected: 91.4 % test accuracy
"""

from configs.naive_bayes import _base

SMOOTHING = {
  "gaussian": {"var_smoothing": 0.03},
  "bernoulli": {"alpha": 0.1},
  "multinomial": {"alpha": 0.1},
  "complement": {"alpha": 0.1},
  "categorical": {"alpha": 0.1, "levels": 8},
}


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds, the name of another model is that model."""
  config = _base.base(variant if variant in SMOOTHING else "gaussian")
  config.data.name = "digits"
  config.model.defaults(**SMOOTHING)
  config.train.batch_size = 100
  return _base.variant(config, variant, tuple(SMOOTHING))
