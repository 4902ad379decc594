"""The fields of a naive Bayes model."""

import ml_collections

from configs import _images, common
from configs._choice import Choice

_SMOOTHED = {
  "alpha": 1.0,  # added to every count
}
MODELS = {
  "gaussian": {
    "var_smoothing": 1e-9,  # share of the largest variance that every variance gains
  },
  "bernoulli": {
    **_SMOOTHED,
    "threshold": 0.5,  # a pixel, 0 to 1, is on above it
  },
  "multinomial": _SMOOTHED,
  "complement": {
    **_SMOOTHED,
    "norm": False,  # divide the weights of a class by their sum
  },
  "categorical": {
    **_SMOOTHED,
    "levels": 4,  # grey levels that a pixel is brought to
  },
}


def base(model: str) -> ml_collections.ConfigDict:
  """Those of what counts labelled images, and of one of `MODELS`."""
  config = common.classical()
  config.data.update(_images.images())
  config.model = Choice(model, MODELS)
  config.report = ml_collections.ConfigDict({"samples": 10})  # images of each class in a figure
  config.comparison = ml_collections.ConfigDict(
    {
      "sizes": (),  # of training sets on which logistic regression is compared; (): it is not
      "repeats": 20,  # random training sets of each size
      "inverse_penalty": 1.0,  # of logistic regression: scikit-learn's C
    }
  )
  return config


def variant(config: ml_collections.ConfigDict, name: str, also: tuple[str, ...] = ()) -> ml_collections.ConfigDict:
  """`common.variant`; in `smoke`, a comparison on few and small training sets."""
  if name == "smoke" and config.comparison.sizes:
    config.comparison.update({"sizes": (20, 40), "repeats": 2})
  return common.variant(config, name, also)
