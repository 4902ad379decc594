"""Ten Gaussians with full covariances on scikit-learn's digits: means and samples as images.

Variants: `anomaly` trains ten mixtures side by side, each without one class, and tells that class by its density;
`classifier` has a mixture for each class.

Paper: Bishop 2006, section 9.2; the data are Alpaydin & Kaynak's 1,797 images of 8x8 pixels, a fifth held out.
Command: python -m experiments.gmm --config=configs/gmm/digits.py[:anomaly|classifier]
Hardware: 2 CPU cores
Time: under a minute
Expected: a test log-likelihood of about 64 nats (pixels 0 to 1); `anomaly`: a mean AUROC of .97; `classifier`: 98.9 %
  test accuracy
"""

from configs import common
from configs.gmm import _base

VARIANTS = ("anomaly", "classifier")


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.base()
  config.data.name = "digits"
  config.data.validation = 0.1
  config.model.components = 10
  config.model.reg_covar = 1e-3
  config.model.starts = 5
  config.train.duration = "50 steps"
  match variant:
    case "anomaly":
      config.data.leave_out = "all"
      config.model.starts = 1
    case "classifier":
      config.data.principal_components = 30
      config.model.by_class = True
      config.model.starts = 1
      config.model.components = 2
      config.model.reg_covar = 0.03
    case "smoke":
      config.model.components = 3
      config.model.starts = 2
  return common.variant(config, variant, VARIANTS)
