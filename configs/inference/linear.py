"""Linear regression of diabetes by mean-field ADVI, beside NUTS; `gibbs` draws from the exact conditionals.

Paper: Kucukelbir et al. 2017; Gelman et al., Bayesian Data Analysis, chapter 14.
Command: python -m experiments.inference --config=configs/inference/linear.py[:gibbs]
Hardware: 2 CPU cores
Time: under a minute
Expected: R-hat below 1.01; see RESULTS.md
"""

from configs.inference import _base

CONFORMANCE = "every promise"  # the state of what follows a gradient


def get_config(variant: str = ""):
  """The config; `smoke` is the same in seconds."""
  config = _base.inference("linear", "gibbs" if variant == "gibbs" else "mean_field", "diabetes")
  if variant != "gibbs":
    config.train.batch_size = 16
    config.report.compare = 2000
  return _base.variant(config, variant, also=("gibbs",))
