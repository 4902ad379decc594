"""The fields of a mixture of Gaussians."""

import ml_collections

from configs import _images, common
from configs._choice import Choice

LEARNING = {
  "em": {},  # maximum likelihood
  "variational": {  # variational Bayes; covariance full or diag
    "concentration": 1e-3,  # of the Dirichlet prior, for each component; small empties components
  },
}


def base() -> ml_collections.ConfigDict:
  """Those of what counts labelled images, and of a mixture that learns by EM."""
  config = common.classical()
  config.data.update(
    {
      **_images.images(),
      "principal_components": 0,  # of the training set, that inputs are projected onto; 0 takes them as they are
      "whole": False,  # train on test_split too: a density of all the data, as the literature has it on iris
      "leave_out": "",  # classes left out of training, to be told as anomalies: "3,5" or "all"; a mixture for each
    }
  )
  config.model = Choice(
    "em",
    LEARNING,
    components=10,  # Gaussians of a mixture
    candidates=(),  # numbers of components trained side by side, the best chosen by BIC; (): `components`
    covariance="full",  # full, tied, diag, spherical
    reg_covar=1e-6,  # added to every variance, in the square of the data's unit
    start="k-means++",  # k-means++, random (examples), of the means before k-means
    lloyd_iterations=100,  # of k-means before the first update, at most
    starts=1,  # mixtures trained side by side, the best chosen by likelihood
    by_class=False,  # one mixture for each class: a generative classifier
  )
  config.train.update(
    {
      "batch_size": 0,  # over all devices; 0: the whole set, which makes every step one of EM
      "step_power": 0.7,  # of stepwise EM, on smaller batches: the weight of a batch is (step + delay) ** -power
      "step_delay": 1.0,
    }
  )
  config.report = ml_collections.ConfigDict({"samples": 64})  # in a figure
  return config
